"""The output of frozen layers, computed once and kept in memory-mapped shards.

A shard is a folder of one .npy per tensor, (frame, feature) with the frames of its utterances
one after another, and an index. It is written beside its place and renamed, so that an
interrupted extraction goes on where it stopped, and each has a lock, so that several processes
share the extraction.

No map stays open: the frames of an utterance are mapped, copied and unmapped. What was touched of
an open map counts as memory of the process, which would grow to the size of its cache.

Arrays in files, with an error that says what the disk said.
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

from phonemo.audio import load_waveform
from phonemo.corpora.manifest import Manifest, Utterance
from phonemo.errors import AudioError, RunError
from phonemo.files import build_missing, loads_json
from phonemo.model.network import PhonemoForAudioClassification
from phonemo.train.freezing import FrozenDepth


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write a .npy file.

    Raises:
        RunError: the disk refused.
    """
    try:
        with path.open("wb") as stream:
            np.save(_ArrayFile(stream), array)
    except OSError as error:
        raise RunError(
            f"{path}: features cannot be kept ({error.strerror}); free room and run again"
        ) from error


class _ArrayFile:
    """Of a real file numpy writes by itself, and says of a full disk how many bytes it lacks."""

    def __init__(self, stream: BinaryIO) -> None:
        self.write = stream.write


#: What an array or its index raises that is absent or broken; of a header numpy raises what its
#: parser of Python does. No memory and no permission are no reason to compute anew.
UNREADABLE = (
    *(FileNotFoundError, NotADirectoryError, IsADirectoryError, EOFError, BadZipFile),
    *(ValueError, LookupError, TypeError, AttributeError, SyntaxError, TokenError),
)
#: Raised whenever the frozen part computes something else from the same weights.
VERSION = 1
_SCRATCH = ".part"
SHARD_UTTERANCES = 64
BATCH_UTTERANCES = 8


@dataclass(frozen=True, slots=True)
class Place:
    """Where an utterance's frames lie; there is one for each utterance, so it is small."""

    shard: Path
    start: int
    frames: int


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the numbers of a .npy begin, and of what kind they are."""

    offset: int
    features: int
    kind: np.dtype[Any]


class FeatureCache:
    """Kept features, by utterance id."""

    def __init__(self, places: dict[str, Place], names: tuple[str, ...]) -> None:
        self.places = places
        self.names = names
        self._layouts: dict[Path, _Layout] = {}

    def frames(self, utterance: str) -> int:
        """Frames of an utterance."""
        return self.places[utterance].frames

    def read(self, utterance: str) -> dict[str, NDArray[np.float32]]:
        """Its tensors by name, each (frame, feature), in memory of their own."""
        place = self.places[utterance]
        return {name: self._copied(place.shard / f"{name}.npy", place) for name in self.names}

    def _copied(self, path: Path, place: Place) -> NDArray[np.float32]:
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
    """Open the cache for these utterances, computing what is not there yet.

    Processes that do this at the same time share the shards; each then opens the whole.

    Args:
        folder: the parent of all caches; this one's name is a hash of everything it depends on.
        model: gives the frozen part, in evaluation mode.
        manifest: says where the audio lies.
        utterances: what to keep, in any order.
        boundary: where the frozen part ends.
        progress: called with (done, total) utterances.
    """
    home = folder / _digest(model, manifest, utterances, boundary)
    members = _divided(home, utterances)

    def write(shard: Path) -> None:
        _write_shard(shard, model, manifest, members[shard], boundary)

    done = 0
    for shard in build_missing(list(members), _is_complete, write):
        done += len(members[shard])
        if progress is not None:
            progress(done, len(utterances))
    return _open_index(members)


def _divided(home: Path, utterances: Sequence[Utterance]) -> dict[Path, list[Utterance]]:
    """Shard -> its utterances, in the order of their ids."""
    ordered = sorted(utterances, key=lambda one: one.id)
    starts = range(0, len(ordered), SHARD_UTTERANCES)
    return {
        home / f"shard-{number:05d}": ordered[start : start + SHARD_UTTERANCES]
        for number, start in enumerate(starts)
    }


def _open_index(members: Mapping[Path, Sequence[Utterance]]) -> FeatureCache:
    """The places of all utterances; their ids are the manifest's own strings."""
    places: dict[str, Place] = {}
    names: tuple[str, ...] = ()
    for shard, ones in members.items():
        index = loads_json((shard / "index.json").read_text(encoding="utf-8"))
        names = tuple(index["names"])
        places.update((one.id, Place(shard, *index["places"][one.id])) for one in ones)
    return FeatureCache(places, names)


def backbone_digest(model: PhonemoForAudioClassification) -> str:
    """SHA-256 of the backbone's weights, whatever file they came from."""
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
    kept: dict[str, dict[str, NDArray[np.float32]]] = {}
    clips = {one.id: _samples(manifest, one) for one in members}
    by_length = sorted(members, key=lambda one: len(clips[one.id]))
    for start in range(0, len(by_length), BATCH_UTTERANCES):
        ids = [one.id for one in by_length[start : start + BATCH_UTTERANCES]]
        kept |= dict(zip(ids, _extract(model, [clips[key] for key in ids], boundary), strict=True))
    with _scratch_of(shard) as scratch:
        _save(scratch, kept, [one.id for one in members])
        scratch.chmod(0o755)
        _put(scratch, shard)


@contextmanager
def _scratch_of(shard: Path) -> Iterator[Path]:
    """A folder to write into; gone where that fails, and so are those of processes that died.

    The caller holds the shard's lock, where the system has any.
    """
    shard.parent.mkdir(parents=True, exist_ok=True)
    if os.name != "nt":
        for left in shard.parent.glob(f"{shard.name}.*{_SCRATCH}"):
            shutil.rmtree(left, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix=f"{shard.name}.", suffix=_SCRATCH, dir=shard.parent))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _save(
    scratch: Path, kept: Mapping[str, Mapping[str, NDArray[np.float32]]], ids: Sequence[str]
) -> None:
    places, at = {}, 0
    names = sorted(next(iter(kept.values())))
    for key in ids:
        frames = len(kept[key][names[0]])
        places[key] = (at, frames)
        at += frames
    for name in names:
        save_array(scratch / f"{name}.npy", np.concatenate([kept[key][name] for key in ids]))
    index = {"names": names, "places": places}
    (scratch / "index.json").write_text(json.dumps(index), encoding="utf-8")


def _put(scratch: Path, shard: Path) -> None:
    """Rename; where another process was faster, its shard holds the same."""
    try:
        scratch.rename(shard)
    except OSError:
        if not _is_complete(shard):
            shutil.rmtree(shard)
            scratch.rename(shard)


def _is_complete(shard: Path) -> bool:
    """Whether a shard's arrays have the frames that its index says."""
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
    path = manifest.audio_path(utterance)
    waveform = load_waveform(path, start=utterance.start, end=utterance.end)
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
    root = manifest.root
    for one in sorted(utterances, key=lambda one: one.id):
        path = root / one.file
        if not path.is_file():
            raise AudioError("missing_file", f"{path}: no such file; {one.id} of the manifest")
        facts = path.stat()
        row = (one.id, one.file, one.start, one.end, facts.st_size, facts.st_mtime_ns)
        digest.update(json.dumps(row).encode())
    return digest.hexdigest()[:24]
