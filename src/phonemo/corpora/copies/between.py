"""Find recordings that several manifests share, row by row, with 16 bytes of memory for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phonemo.corpora.copies.digests import DIGEST_BYTES, Progress, iter_recordings
from phonemo.corpora.manifest import ManifestStream


@dataclass(frozen=True)
class SharedRecordings:
    """Copies between manifests.

    Attributes:
        repeated: rows whose recording is in an earlier manifest, counted over all manifests.
        pairs: the first files of each manifest pair: "a/1.wav = b/1.flac".
        unread: number of rows that are silent or cannot be decoded.
    """

    repeated: frozenset[int]
    pairs: tuple[str, ...]
    unread: int


_UNKNOWN = bytes(DIGEST_BYTES)


def shared_recordings(
    manifests: Sequence[ManifestStream], progress: Progress | None = None, listed: int = 3
) -> SharedRecordings:
    """Compare the recordings of manifests by their decoded samples.

    Args:
        manifests: the manifests, each read three times.
        progress: called with (done, total) rows.
        listed: number of pairs to name.
    """
    sizes = [sum(1 for _ in manifest) for manifest in manifests]
    packed = bytearray()
    for manifest in manifests:
        for recording in iter_recordings(manifest, manifest):
            packed += recording.digest or _UNKNOWN
            if progress is not None:
                progress(len(packed) // DIGEST_BYTES, sum(sizes))
    upper, lower = np.frombuffer(packed, "<u8").reshape(-1, 2).T
    known = (upper != 0) | (lower != 0)
    owners = np.repeat(np.arange(len(sizes)), sizes)
    order = np.lexsort((np.arange(len(owners)), lower, upper))
    rows = order[known[order]]
    originals = rows[_first_of_equals(upper[rows], lower[rows])]
    later = owners[rows] != owners[originals]
    pairs = sorted(zip(rows[later].tolist(), originals[later].tolist(), strict=True))
    return SharedRecordings(
        repeated=frozenset(row for row, _ in pairs),
        pairs=_named(manifests, pairs[:listed]),
        unread=len(known) - int(known.sum()),
    )


def _first_of_equals(upper: NDArray[np.uint64], lower: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Index of the first of each run of equal pairs."""
    starts = np.ones(len(upper), bool)
    starts[1:] = (upper[1:] != upper[:-1]) | (lower[1:] != lower[:-1])
    firsts: NDArray[np.int64] = np.flatnonzero(starts)[np.cumsum(starts) - 1]
    return firsts


def _named(
    manifests: Sequence[ManifestStream], pairs: Sequence[tuple[int, int]]
) -> tuple[str, ...]:
    named = {row for pair in pairs for row in pair}
    rows = (
        f"{manifest.header.corpus}/{utterance.file}"
        for manifest in (manifests if named else ())
        for utterance in manifest
    )
    files = {row: file for row, file in enumerate(rows) if row in named}
    return tuple(f"{files[original]} = {files[row]}" for row, original in pairs)
