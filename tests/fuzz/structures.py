"""Edits of parsed data: bytes that mutate JSON mostly break its grammar, and then test its parser.

An input is a list of edits. Each takes four bytes: two choose a node of the data, one the kind of
edit, one its operand. Coverage then guides which fields change and how.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

_EDIT_BYTES = 4
_MOST_EDITS = 12
_DEPTH = 60


def _nested() -> Any:
    value: Any = 0
    for _ in range(_DEPTH):
        value = [value]
    return value


#: Values that a field may have instead of its own.
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**63, 10**400, -(10**400), 0.5, -0.0, 1e-320, 1e308),
    *(math.nan, math.inf, -math.inf, "", " ", "0", "1.5", "NaN", "a", "\ud800", "a\nb", "\0"),
    *("\u202e", "../../a", "9" * 400, "9" * 5000, "x" * 3000, b"\xff", [], {}, [[]], [None], [0]),
    *([1, "a", None], {"": None}, {"start": 0}, [{}], [[0, 1]], [0.25, 0.75], _nested()),
)
#: The same for text formats, which have neither bytes nor lone surrogates.
PLAIN_ODD = tuple(one for one in ODD if not isinstance(one, bytes) and one != "\ud800")

Place = tuple[Any, Any]
"""A list or an object, and the index or key in it."""


def edited(value: Any, edits: bytes, odd: tuple[Any, ...] = ODD) -> Any:
    """A copy of the value with some nodes replaced, removed, doubled, renamed or exchanged."""
    holder = [deepcopy(value)]
    for at in range(0, min(len(edits), _MOST_EDITS * _EDIT_BYTES) - 3, _EDIT_BYTES):
        places = list(_places(holder))
        place = places[int.from_bytes(edits[at : at + 2], "big") % len(places)]
        other = places[edits[at + 3] * 7 % len(places)]
        _KINDS[edits[at + 2] % len(_KINDS)](place, other, odd[edits[at + 3] % len(odd)])
        holder = holder or [None]
    return holder[0]


def _places(node: Any) -> Iterator[Place]:
    for key in list(node) if isinstance(node, dict) else range(len(node)):
        yield node, key
        if isinstance(node[key], dict | list):
            yield from _places(node[key])


def _replace(place: Place, other: Place, odd: Any) -> None:
    node, key = place
    node[key] = deepcopy(odd)


def _remove(place: Place, other: Place, odd: Any) -> None:
    node, key = place
    del node[key]


def _double(place: Place, other: Place, odd: Any) -> None:
    node, key = place
    if isinstance(node, list) and len(node) < 100:
        node.insert(key, deepcopy(node[key]))
    elif isinstance(node, dict):
        node[f"{key}2"] = deepcopy(node[key])


def _rename(place: Place, other: Place, odd: Any) -> None:
    node, key = place
    if isinstance(node, dict):
        node[odd if isinstance(odd, str) else f"{key} "] = node.pop(key)


def _exchange(place: Place, other: Place, odd: Any) -> None:
    """What is elsewhere comes here, too."""
    node, key = place
    content = deepcopy(other[0][other[1]])
    node[key] = content


def _wrap(place: Place, other: Place, odd: Any) -> None:
    node, key = place
    node[key] = [node[key]] if not isinstance(node[key], list) else {"a": node[key]}


def _scale(place: Place, other: Place, odd: Any) -> None:
    node, key = place
    number = node[key]
    if isinstance(number, int | float) and not isinstance(number, bool):
        node[key] = -number if isinstance(odd, str) else number * 1000 + 1


_KINDS: tuple[Callable[[Place, Place, Any], None], ...] = (
    *(_replace, _replace, _replace, _remove, _double, _rename, _exchange, _wrap, _scale),
)
