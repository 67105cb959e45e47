"""HTML as a tree of calls: text is escaped, markup is not."""

from __future__ import annotations

import re
from html import escape

_CODE = re.compile(r"`([^`]+)`")


class Markup(str):
    """Text that is HTML already."""


def tag(name: str, *children: str, **attributes: str) -> Markup:
    """Return an element.

    Args:
        name: of the element.
        children: texts, which are escaped, and markup.
        attributes: ``class_`` is class, and other underscores are hyphens.
    """
    pairs = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
    )
    return Markup(f"<{name}{pairs}>{joined(*children)}</{name}>")


def joined(*children: str) -> Markup:
    """Return the children one after the other; texts are escaped."""
    markup = (child if isinstance(child, Markup) else escape(child) for child in children)
    return Markup("".join(markup))


def prose(text: str) -> Markup:
    """Return a text in which `code` is marked with backticks."""
    pieces = _CODE.split(" ".join(text.split()))
    return joined(
        *(tag("code", piece) if place % 2 else piece for place, piece in enumerate(pieces))
    )
