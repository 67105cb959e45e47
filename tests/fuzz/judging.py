"""What a parser may do with bytes from anywhere: answer, or one of phonemo's errors in one line."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from phonemo.errors import PhonemoError

Value = TypeVar("Value")

#: What parts the files, lines or messages that one input is made of.
CUT = b"\n=8<=\n"
#: No message needs more letters, however long the input is that it quotes.
LONGEST_MESSAGE = 1000
#: Memory that is a folder, where the system has one: an execution writes a file or two.
_MEMORY = Path("/dev/shm")


@functools.cache
def scratch() -> Path:
    """A folder of this process, gone at its end."""
    place = _MEMORY if _MEMORY.is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="phonemo-fuzz-", dir=place))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def written(name: str, data: bytes) -> Path:
    """A file in the scratch folder."""
    path = scratch() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def cut(data: bytes, count: int) -> list[bytes]:
    """So many parts; those that are missing are empty, the last one keeps what is left."""
    parts = data.split(CUT, count - 1)
    return parts + [b""] * (count - len(parts))


def told(parse: Callable[..., Value], *arguments: Any, **options: Any) -> Value | None:
    """What a parser gives; None where it refuses as it should. All else is a finding."""
    try:
        return parse(*arguments, **options)
    except PhonemoError as error:
        check_message(str(error))
        return None


def check_message(message: str) -> None:
    """One line, not empty, not endless, and of letters that can be printed somewhere."""
    assert message.strip(), "the message is empty"
    assert len(message.splitlines()) == 1, f"the message has several lines: {message[:200]!r}"
    assert len(message) <= LONGEST_MESSAGE, f"a message of {len(message)} letters: {message[:200]}"
    message.encode("utf-8")


def check_scores(scores: dict[str, float]) -> None:
    """Probabilities: from 0 to 1, and together 1."""
    assert all(0 <= score <= 1 for score in scores.values()), scores
    assert abs(sum(scores.values()) - 1) < 1e-6, scores
