"""The output of frozen layers, computed once and cached in memory-mapped shards.

A shard is a folder of one .npy per tensor, (frame, feature) with the frames of its utterances
one after another, and an index. It is written to a scratch folder and renamed, so that an
interrupted extraction can resume, and each has a lock, so that several processes share the work.

No map stays open: an utterance's frames are mapped, copied and unmapped. Pages read through an
open map count as the process' memory, which would grow to the size of its cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phonemo.corpora.manifest import Manifest, Utterance
from phonemo.corpora.recordings import load_utterance
from phonemo.errors import AudioError, RunError
from phonemo.files import build_missing, loads_json
from phonemo.model.network import PhonemoForAudioClassification
from phonemo.train.freezing import FrozenDepth


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write a .npy file.

    Raises:
        RunError: the file cannot be written.
    """
    try:
        with path.open("wb") as stream:
            np.save(_ArrayFile(stream), array)
    except OSError as error:
        raise RunError(
            f"{path}: features cannot be written ({error.strerror}); free disk space and run again"
        ) from error


class _ArrayFile:
    """Hides the real file: numpy writes those directly, and its error has no reason."""

    def __init__(self, stream: BinaryIO) -> None:
        self.write = stream.write


#: Raised for an array or an index that is absent or broken; numpy parses headers as Python.
#: MemoryError and PermissionError are no reason to compute it again.
UNREADABLE = (
    *(FileNotFoundError, NotADirectoryError, IsADirectoryError, EOFError, BadZipFile),
    *(ValueError, LookupError, TypeError, AttributeError, SyntaxError, TokenError),
)
#: Incremented whenever the frozen part computes something else from the same weights.
VERSION = 1
_SCRATCH = ".part"
SHARD_UTTERANCES = 64
BATCH_UTTERANCES = 8


@dataclass(frozen=True, slots=True)
class Place:
    """Position of an utterance's frames; one for each utterance, hence slots."""

    shard: Path
    start: int
    frames: int


@dataclass(frozen=True, slots=True)
class _Layout:
    """Offset, width and dtype of the values in a .npy file."""

    offset: int
    features: int
    kind: np.dtype[Any]


class FeatureCache:
    """Cached features by utterance id."""

    def __init__(self, places: dict[str, Place], names: tuple[str, ...]) -> None:
        self.places = places
        self.names = names
        self._layouts: dict[Path, _Layout] = {}

    def frames(self, utterance: str) -> int:
        """Return the number of frames of an utterance."""
        return self.places[utterance].frames

    def read(self, utterance: str) -> dict[str, NDArray[np.float32]]:
        """Return copies of an utterance's tensors by name, each (frame, feature)."""
        place = self.places[utterance]
        return {name: self._read_copy(place.shard / f"{name}.npy", place) for name in self.names}

    def _read_copy(self, path: Path, place: Place) -> NDArray[np.float32]:
        layout = self._layouts.get(path)
        if layout is None:
            layout = self._layouts[path] = _layout(path)
        first = layout.offset + place.start * layout.features * layout.kind.itemsize
        shape = (place.frames, layout.features)
        with path.open("rb", buffering=0) as file:
            return np.array(np.memmap(file, layout.kind, "r", offset=first, shape=shape))


def build_cache(
    folder: Path,
    model: PhonemoForAudioClassification,
    manifest: Manifest,
    utterances: Sequence[Utterance],
    boundary: FrozenDepth,
    progress: Callable[[int, int], None] | None = None,
) -> FeatureCache:
    """Open the cache for these utterances, computing missing shards.

    Processes that do this at the same time share the shards; each then opens all of them.

    Args:
        folder: the parent of all caches; this one's name is a hash of everything it depends on.
        model: has the frozen part, in evaluation mode.
        manifest: locates the audio.
        utterances: what to cache, in any order.
        boundary: where the frozen part ends.
        progress: called with (done, total) utterances.
    """
    cache = folder / _digest(model, manifest, utterances, boundary)
    members = _assign_shards(cache, utterances)

    def write(shard: Path) -> None:
        _write_shard(shard, model, manifest, members[shard], boundary)

    done = 0
    for shard in build_missing(list(members), _is_complete, write):
        done += len(members[shard])
        if progress is not None:
            progress(done, len(utterances))
    return _open_index(members)


def _assign_shards(cache: Path, utterances: Sequence[Utterance]) -> dict[Path, list[Utterance]]:
    """Map each shard to its utterances, ordered by id."""
    ordered = sorted(utterances, key=lambda utterance: utterance.id)
    starts = range(0, len(ordered), SHARD_UTTERANCES)
    return {
        cache / f"shard-{number:05d}": ordered[start : start + SHARD_UTTERANCES]
        for number, start in enumerate(starts)
    }


def _open_index(members: Mapping[Path, Sequence[Utterance]]) -> FeatureCache:
    """Read all positions; keys are the manifest's own strings, so that ids are not stored twice."""
    places: dict[str, Place] = {}
    names: tuple[str, ...] = ()
    for shard, utterances in members.items():
        index = loads_json((shard / "index.json").read_text(encoding="utf-8"))
        names = tuple(index["names"])
        places.update(
            (utterance.id, Place(shard, *index["places"][utterance.id])) for utterance in utterances
        )
    return FeatureCache(places, names)


def backbone_digest(model: PhonemoForAudioClassification) -> str:
    """Return the SHA-256 of the backbone's weights, independent of their file."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.backbone.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()


def _layout(path: Path) -> _Layout:
    array = np.load(path, mmap_mode="r")
    return _Layout(array.offset, array.shape[1], array.dtype)


def _write_shard(
    shard: Path,
    model: PhonemoForAudioClassification,
    manifest: Manifest,
    members: Sequence[Utterance],
    boundary: FrozenDepth,
) -> None:
    features: dict[str, dict[str, NDArray[np.float32]]] = {}
    clips = {utterance.id: _samples(manifest, utterance) for utterance in members}
    by_length = sorted(members, key=lambda utterance: len(clips[utterance.id]))
    for start in range(0, len(by_length), BATCH_UTTERANCES):
        ids = [utterance.id for utterance in by_length[start : start + BATCH_UTTERANCES]]
        features |= dict(
            zip(
                ids,
                _extract(model, [clips[identifier] for identifier in ids], boundary),
                strict=True,
            )
        )
    with _scratch_folder(shard) as scratch:
        _save(scratch, features, [utterance.id for utterance in members])
        scratch.chmod(0o755)
        _move_into_place(scratch, shard)


@contextmanager
def _scratch_folder(shard: Path) -> Iterator[Path]:
    """Yield a scratch folder and remove it, and those of processes that died.

    The caller holds the shard's lock, except on Windows.
    """
    shard.parent.mkdir(parents=True, exist_ok=True)
    if os.name != "nt":
        for leftover in shard.parent.glob(f"{shard.name}.*{_SCRATCH}"):
            shutil.rmtree(leftover, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix=f"{shard.name}.", suffix=_SCRATCH, dir=shard.parent))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _save(
    scratch: Path, features: Mapping[str, Mapping[str, NDArray[np.float32]]], ids: Sequence[str]
) -> None:
    places, position = {}, 0
    names = sorted(next(iter(features.values())))
    for key in ids:
        frames = len(features[key][names[0]])
        places[key] = (position, frames)
        position += frames
    for name in names:
        save_array(scratch / f"{name}.npy", np.concatenate([features[key][name] for key in ids]))
    index = {"names": names, "places": places}
    (scratch / "index.json").write_text(json.dumps(index), encoding="utf-8")


def _move_into_place(scratch: Path, shard: Path) -> None:
    """Rename; if another process was faster, its shard has the same content."""
    try:
        scratch.rename(shard)
    except OSError:
        if not _is_complete(shard):
            shutil.rmtree(shard)
            scratch.rename(shard)


def _is_complete(shard: Path) -> bool:
    """Whether a shard's arrays have as many frames as its index lists."""
    try:
        index = loads_json((shard / "index.json").read_text(encoding="utf-8"))
        frames = max(start + count for start, count in index["places"].values())
        arrays = [np.load(shard / f"{name}.npy", mmap_mode="r") for name in index["names"]]
    except UNREADABLE:
        return False
    return bool(arrays) and all(len(array) == frames for array in arrays)


def _extract(
    model: PhonemoForAudioClassification, clips: Sequence[Tensor], boundary: FrozenDepth
) -> Iterable[dict[str, NDArray[np.float32]]]:
    lengths = torch.tensor([len(clip) for clip in clips])
    waveform = torch.nn.utils.rnn.pad_sequence(list(clips), batch_first=True)
    training = model.training
    model.eval()
    with torch.no_grad():
        frozen = model.forward_frozen(waveform, lengths, boundary.layers)
    model.train(training)
    for row, size in enumerate(frozen.frames.tolist()):
        yield {name: value[row, :size].numpy() for name, value in frozen.named().items()}


def _samples(manifest: Manifest, utterance: Utterance) -> Tensor:
    waveform = load_utterance(manifest, utterance)
    return torch.from_numpy(np.array(waveform.samples))


def _digest(
    model: PhonemoForAudioClassification,
    manifest: Manifest,
    utterances: Sequence[Utterance],
    boundary: FrozenDepth,
) -> str:
    digest = hashlib.sha256()
    shape: dict[str, Any] = {
        "version": VERSION,
        "normalise": model.backbone.normalise,
        "layers": boundary.layers,
        "cnn": model.reads_cnn,
        "wanted": sorted(model.required_states),
        "shard": SHARD_UTTERANCES,
    }
    if model.speech_only:
        shape["speech"] = True
    digest.update(json.dumps(shape, sort_keys=True).encode())
    digest.update(model.backbone.network.config.to_json_string().encode())
    digest.update(backbone_digest(model).encode())
    for utterance in sorted(utterances, key=lambda utterance: utterance.id):
        digest.update(json.dumps(recording_key(manifest, utterance)).encode())
    return digest.hexdigest()[:24]


def recording_key(manifest: Manifest, utterance: Utterance) -> tuple[str | float | int | None, ...]:
    """What cached values of an utterance depend on: id, file, start, end, size, change time.

    A channel is the last value, if the utterance has one.

    Raises:
        AudioError: the file is missing.
    """
    path = manifest.audio_path(utterance)
    if not path.is_file():
        raise AudioError(
            "missing_file",
            f"{path}: no such file; {utterance.id} of the manifest of {manifest.header.corpus}",
        )
    stat = path.stat()
    times = utterance.start, utterance.end
    channel = () if utterance.channel is None else (utterance.channel,)
    return (utterance.id, utterance.file, *times, stat.st_size, stat.st_mtime_ns, *channel)
