"""Bundles: the card, and the network."""

from __future__ import annotations

import contextlib
import io
import math
import shutil
from functools import cache
from pathlib import Path

from phonemo.runtime.bundle import CARD, HEAD, MODEL, open_bundle
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.session import Graph, Head
from tests.fuzz.judging import check_scores, scratch, told
from tests.tiny_bundle import BUNDLE, RATE, make_clip

_CLIP = make_clip(RATE // 4, 120.0)


def bundle(data: bytes) -> None:
    """A card beside the golden network, which then hears."""
    folder = _copied()
    (folder / CARD).write_bytes(data)
    opened = told(open_bundle, folder)
    if opened is None:
        return
    recognizer = told(OnnxRecognizer, opened, threads=1)
    heard = None if recognizer is None else told(recognizer.predict, _CLIP, rate=RATE)
    if heard is not None:
        check_scores(heard.scores)
        assert heard.label in opened.card.labels
        assert all(math.isfinite(one.end) and one.start <= one.end for one in heard.spans or ())


@cache
def _copied() -> Path:
    folder = scratch() / "bundle"
    folder.mkdir()
    for name in (MODEL, HEAD):
        shutil.copyfile(BUNDLE / name, folder / name)
    return folder


def network(data: bytes) -> None:
    """Bytes of the golden graphs changed: which, then three bytes of place and one of value each.

    Without a whole change it is the bytes themselves that are opened. Nothing may be printed.
    """
    which, kind = (HEAD, Head) if data[:1] and data[0] & 1 else (MODEL, Graph)
    content = data if len(data) < 5 else _changed(which, data[1:])
    with contextlib.redirect_stdout(io.StringIO()) as said:
        told(kind, content, 1)
    assert not said.getvalue(), said.getvalue()


def _changed(which: str, changes: bytes) -> bytes:
    content = bytearray(_golden(which))
    for at in range(0, len(changes) - 3, 4):
        content[int.from_bytes(changes[at : at + 3]) % len(content)] = changes[at + 3]
    return bytes(content)


@cache
def _golden(which: str) -> bytes:
    return (BUNDLE / which).read_bytes()
