"""Digests and fingerprints of an audio file's samples, computed once and cached on disk."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phonemo.corpora.copies.fingerprint import Words, fingerprint
from phonemo.corpora.manifest import Manifest, ManifestStream, Utterance
from phonemo.corpora.recordings import load_utterance
from phonemo.errors import AudioError

Progress = Callable[[int, int], None]

DIGEST_BYTES = 16
#: Incremented whenever the same audio gets another digest or fingerprint.
_VERSION = 1
_INT16 = 32_768.0
_COMMIT_ROWS = 500
_BUSY_SECONDS = 10.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recording:
    """What identifies an utterance's samples."""

    digest: bytes | None
    """Of the samples, 16 bytes; None for silence and for audio that cannot be decoded."""
    words: Words
    """The fingerprint, (frame,)."""


UNREADABLE = Recording(None, np.empty(0, np.uint32))


def iter_recordings(
    manifest: Manifest | ManifestStream,
    utterances: Iterable[Utterance],
    progress: Callable[[], None] | None = None,
) -> Iterator[Recording]:
    """Yield an utterance's recording each; audio that was decoded before comes from the cache.

    The cache is one SQLite file per user, with a row of about a kilobyte per utterance. Without a
    place to write it, everything is decoded.

    Args:
        manifest: locates the audio.
        utterances: any of its utterances.
        progress: called after each.
    """
    with _open_cache() as cache:
        for utterance in utterances:
            yield _recording(cache, manifest, utterance)
            if progress is not None:
                progress()


def sample_digest(samples: NDArray[np.float32]) -> bytes | None:
    """Digest of 16 kHz samples, (sample,), as 16-bit integers without zeros at both ends.

    The same samples have one digest in every lossless container; None for silence.
    """
    rounded = np.clip(np.round(samples * _INT16), -_INT16, _INT16 - 1).astype("<i2")
    sounding = np.flatnonzero(rounded)
    if not len(sounding) or rounded.min() == rounded.max():
        return None
    inside = rounded[sounding[0] : sounding[-1] + 1]
    return hashlib.blake2b(inside.tobytes(), digest_size=DIGEST_BYTES).digest()


def cache_path() -> Path:
    """The cache's file, below XDG_CACHE_HOME, ~/Library/Caches or %LOCALAPPDATA%."""
    variable = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"
    usual = "Library/Caches" if sys.platform == "darwin" else ".cache"
    home = os.environ.get("XDG_CACHE_HOME") or os.environ.get(variable) or Path.home() / usual
    return Path(home) / "phonemo" / "recordings.sqlite"


class _Cache:
    """Rows of key, digest and fingerprint; after a failure of the database it does nothing."""

    def __init__(self, database: sqlite3.Connection | None) -> None:
        self._database = database
        self._fresh = 0

    def get(self, key: bytes) -> Recording | None:
        if self._database is None:
            return None
        try:
            query = "SELECT digest, words FROM recordings WHERE key = ?"
            row = self._database.execute(query, (key,)).fetchone()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            self._give_up(error)
            return None
        return _recording_of(*row) if row else None

    def put(self, key: bytes, recording: Recording) -> None:
        if self._database is None:
            return
        row = key, recording.digest, recording.words.tobytes()
        try:
            self._database.execute("INSERT OR REPLACE INTO recordings VALUES (?, ?, ?)", row)
            self._fresh += 1
            if self._fresh % _COMMIT_ROWS == 0:
                self._database.commit()
        except sqlite3.Error as error:
            self._give_up(error)

    def commit(self) -> None:
        if self._database is not None and self._fresh:
            try:
                self._database.commit()
            except sqlite3.Error as error:
                self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        log.info("%s: not used (%s)", cache_path(), error)
        self._database = None


def _recording_of(digest: Any, words: Any) -> Recording | None:
    """A row's recording; None for a damaged row, which is computed and written again."""
    sound = digest is None or (isinstance(digest, bytes) and len(digest) == DIGEST_BYTES)
    if not sound or not isinstance(words, bytes) or len(words) % np.uint32().itemsize:
        return None
    return Recording(digest, np.frombuffer(words, np.uint32))


@contextmanager
def _open_cache() -> Iterator[_Cache]:
    try:
        path = cache_path()
        path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(path, timeout=_BUSY_SECONDS)
    except (OSError, RuntimeError, sqlite3.Error):  # RuntimeError: no home
        yield _Cache(None)
        return
    with closing(database):
        yield from _use(database)


def _use(database: sqlite3.Connection) -> Iterator[_Cache]:
    cache = _Cache(database)
    columns = "key BLOB PRIMARY KEY, digest BLOB, words BLOB"
    try:
        database.execute(f"CREATE TABLE IF NOT EXISTS recordings ({columns})")
    except (sqlite3.Error, UnicodeDecodeError):  # damaged, read-only, or on a full disk
        cache = _Cache(None)
    try:
        yield cache
    finally:
        cache.commit()


def _recording(
    cache: _Cache, manifest: Manifest | ManifestStream, utterance: Utterance
) -> Recording:
    path = manifest.audio_path(utterance)
    try:
        stat = path.stat()
    except (OSError, ValueError):
        return UNREADABLE
    what = (_VERSION, os.path.abspath(path), stat.st_size, stat.st_mtime_ns)
    key = hashlib.blake2b(
        json.dumps([*what, utterance.start, utterance.end, utterance.channel]).encode(
            "utf-8", "surrogatepass"
        ),
        digest_size=DIGEST_BYTES,
    ).digest()
    recording = cache.get(key)
    if recording is None:
        recording = _decode(manifest, utterance)
        cache.put(key, recording)
    return recording


def _decode(manifest: Manifest | ManifestStream, utterance: Utterance) -> Recording:
    try:
        samples = load_utterance(manifest, utterance).samples
    except AudioError:  # training reports it
        return UNREADABLE
    return Recording(sample_digest(samples), fingerprint(samples))
