"""Vectors of a corpus under a network: computed once, kept as .npy files by what they depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from phonemo.audio import load_waveform
from phonemo.corpora.manifest import Utterance
from phonemo.errors import AudioError
from phonemo.train.arrays import save_array
from phonemo.train.transfer.networks import Network
from phonemo.train.transfer.sources import Corpus

Floats32 = npt.NDArray[np.float32]

#: Utterances of a block, in which vectors are kept until the whole corpus is done.
_BLOCK = 100
#: By corpus, once it is known: thousands of files are looked at.
_DIGESTS: WeakKeyDictionary[Corpus, str] = WeakKeyDictionary()


def vectors_of(
    home: Path,
    network: Network,
    corpus: Corpus,
    names: Sequence[str],
    progress: Callable[[int, int], None],
) -> dict[str, Floats32]:
    """By name as ``Network.vectors`` has them, (utterance, feature) for all of ``utterances``.

    Args:
        home: where vectors are kept; a folder in it is named by network and corpus.
        network: computes what is not there.
        corpus: whose.
        names: which.
        progress: called with (done, total) utterances.

    Raises:
        AudioError: a recording is missing or cannot be decoded.
        RunError: the disk refused.
    """
    folder = home / network.digest / f"{corpus.name}-{recordings_digest(corpus)}"
    paths = {name: folder / f"{name}.npy" for name in names}
    missing = [name for name, path in paths.items() if not path.is_file()]
    if missing:
        _compute(paths, network, corpus, missing, progress)
    return {name: np.load(path) for name, path in paths.items()}


def _compute(
    paths: Mapping[str, Path],
    network: Network,
    corpus: Corpus,
    names: Sequence[str],
    progress: Callable[[int, int], None],
) -> None:
    """Block by block, so that an interrupted computation goes on where it stopped."""
    total = len(corpus.utterances)
    blocks: dict[str, list[Path]] = {name: [] for name in names}
    for start in range(0, total, _BLOCK):
        own = {name: paths[name].with_name(f"{name}.{start:07d}.npy") for name in names}
        if not all(path.is_file() for path in own.values()):
            _save_block(own, network, corpus, corpus.utterances[start : start + _BLOCK])
        for name, path in own.items():
            blocks[name].append(path)
        progress(min(start + _BLOCK, total), total)
    for name, parts in blocks.items():
        _save(paths[name], np.concatenate([np.load(part) for part in parts]))
        for part in parts:
            part.unlink()


def _save_block(
    paths: Mapping[str, Path], network: Network, corpus: Corpus, members: Sequence[Utterance]
) -> None:
    rows: dict[str, list[Floats32]] = {name: [] for name in paths}
    for one in members:
        path = corpus.manifest.audio_path(one)
        audio = load_waveform(path, start=one.start, end=one.end)
        for name, vector in network.vectors(np.array(audio.samples), list(paths)).items():
            rows[name].append(vector)
    for name, vectors in rows.items():
        _save(paths[name], np.stack(vectors))


def _save(path: Path, array: Floats32) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f"{path.name}.part")
    try:
        save_array(scratch, array)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def recordings_digest(corpus: Corpus) -> str:
    """Of the recordings that have an emotion, not of which; AudioError where one is missing."""
    if corpus not in _DIGESTS:
        found = hashlib.sha256()
        for one in corpus.utterances:
            found.update(json.dumps(_facts(corpus, one)).encode())
        _DIGESTS[corpus] = found.hexdigest()[:12]
    return _DIGESTS[corpus]


def _facts(corpus: Corpus, one: Utterance) -> tuple[str | float | None, ...]:
    path = corpus.manifest.audio_path(one)
    if not path.is_file():
        raise AudioError(
            "missing_file", f"{path}: no such file; {one.id} of the manifest of {corpus.name}"
        )
    facts = path.stat()
    return (one.id, one.file, one.start, one.end, facts.st_size, facts.st_mtime_ns)
