"""What training leaves behind: a checkpoint's seal, and a network's past."""

from __future__ import annotations

from phonemo.files import CHECKSUMS, verify_checksums
from tests.fuzz.judging import cut, scratch, told, written


def seal(data: bytes) -> None:
    """The seal of a folder with one file."""
    said, content = cut(data, 2)
    written("sealed/state.json", content)
    told(verify_checksums, written(f"sealed/{CHECKSUMS}", said).parent)


def lineage(data: bytes) -> None:
    """What a folder says of a network's past."""
    from phonemo.train.provenance import HEARD, PROVENANCE, provenance_of

    for name, text in zip((HEARD, PROVENANCE), cut(data, 2), strict=True):
        path = written(f"past/{name}", text)
        if not text:
            path.unlink()
    found = told(provenance_of, scratch() / "past")
    assert found is None or found.to_json()
