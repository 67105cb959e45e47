"""What is to be heard: one recording, or a stretch of one."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from phonemo.plain_json import parsed

_ROUND = 2**128


@dataclass(frozen=True, slots=True)
class Item:
    """A recording, or the stretch of it from ``start`` to ``end``."""

    file: str
    """As it was named: in its row of the answers."""
    path: str
    """What is opened: an absolute path, or an address such as s3://bucket/a.wav."""
    id: str | None = None
    """Of its row in a manifest."""
    start: float | None = None
    """In seconds."""
    end: float | None = None
    """In seconds."""

    @property
    def key(self) -> bytes:
        """16 bytes that tell it from all others."""
        text = repr((self.path, self.id, self.start or None, self.end))
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()

    def named(self) -> dict[str, Any]:
        """How its row of the answers begins."""
        said = {"id": self.id, "file": self.file, "from": self.start, "to": self.end}
        return {name: value for name, value in said.items() if value is not None}

    def to_line(self) -> str:
        """One line of a plan."""
        told = ((name, getattr(self, name)) for name in self.__slots__)
        return json.dumps({name: value for name, value in told if value is not None}) + "\n"

    @classmethod
    def of_line(cls, line: str) -> Item:
        """What ``to_line`` wrote."""
        return cls(**parsed(line))


class SetHash:
    """A hash of a set that does not depend on the order in which it is told."""

    def __init__(self) -> None:
        self.count = 0
        self._sum = 0

    def add(self, key: bytes) -> None:
        """One more member, which was none before."""
        self.count += 1
        self._sum = (self._sum + int.from_bytes(key, "big")) % _ROUND

    def hexdigest(self) -> str:
        """32 hexadecimal digits."""
        return f"{self._sum:032x}"
