"""Files of a site: gzipped where that saves transfer, with their checksums."""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SiteFile:
    """A file of the site.

    Attributes:
        path: its place below the site's folder.
        content: what is sent.
    """

    path: str
    content: bytes

    def to_dict(self) -> dict[str, Any]:
        """Plain data for site.json."""
        digest = hashlib.sha256(self.content).hexdigest()
        return {"path": self.path, "bytes": len(self.content), "sha256": digest}


def packed(path: str, content: bytes) -> SiteFile:
    """A file that is sent gzipped; hosts do not compress such files on their own.

    The same content gives the same bytes, so that a new version of the site keeps the checksum.
    """
    return SiteFile(f"{path}.gz", gzip.compress(content, 6, mtime=0))


def integrity(content: bytes) -> str:
    """The checksum by which a browser accepts a file."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content).digest()).decode()


def version_of(integrities: Mapping[str, str]) -> str:
    """A name for exactly these files."""
    lines = (f"{path} {mark}\n" for path, mark in sorted(integrities.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]
