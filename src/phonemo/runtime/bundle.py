"""Bundles: a trained network as a folder that can be used without torch.

Training writes it (phonemo.train.export.export) and the runtime reads it; they share nothing else.
``model.onnx`` is the network. ``head.onnx`` repeats its pooling and emotion head, to compute scores
with some frames left out. ``adaptation.npz`` is the reference for profiles, where the model takes
them. ``phonemes.npz`` is a phoneme language model for decoding, optional too. ``bundle.json``, the
card, describes inputs and outputs and holds the files' SHA-256.

A bundle may share the network of another bundle in the same folder, named in its card: then it has
no ``model.onnx``, and its emotions come from the head in its ``adaptation.npz``.

The module also locates the weights that come with phonemo: in the package, or in a clone beside it.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from phonemo.audio import RATE
from phonemo.audio.frames import FrameGrid
from phonemo.errors import CheckpointError
from phonemo.files import CHECKSUMS, loads_json
from phonemo.runtime.session import NETWORK_NAME, place_of

FORMAT = 1
"""Version of the format; other versions are rejected."""
MODEL = "model.onnx"
HEAD = "head.onnx"
ADAPTATION = "adaptation.npz"
DECODER = "phonemes.npz"
CARD = "bundle.json"
PACKAGED = "phonemo-small"
_MOST_CARD_BYTES = 2**22
_MOST_MODEL_BYTES = 2**31
"""The size limit of a protobuf."""
_MOST_ADAPTATION_BYTES = 2**26

Precision = Literal["fp32", "int8"]
_Count = Annotated[int, Field(ge=1)]
_Step = Annotated[int, Field(ge=1, le=RATE)]
_Share = Annotated[float, Field(ge=0, le=1)]
_Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_Name = Annotated[str, Field(pattern=NETWORK_NAME, max_length=64)]
#: Keys that are omitted where they are None, so that cards of older models stay the same.
_OMIT_IF_NONE = ("adaptation_sha256", "decoder_sha256", "network", "network_digest", "dimensions")


class _CardModel(BaseModel):
    # Unknown keys are ignored: a later phonemo may add keys within the same format.
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class InventoryCard(_CardModel):
    """The phoneme inventory, PhonemeInventory as JSON."""

    name: str
    alphabet: str
    symbols: Annotated[tuple[str, ...], Field(min_length=2)]
    """The symbol of each index; the first is CTC's blank."""


class Parity(_CardModel):
    """Difference between the fp32 graph and torch, measured at export."""

    clips: _Count
    difference: Annotated[float, Field(ge=0)]
    """Largest difference of any logit or frame weight."""


class Drift(_CardModel):
    """Difference between int8 and fp32 in scores (probabilities)."""

    audio: str
    """The clips used: "noise", or the manifest's corpus."""
    clips: _Count
    largest: _Share
    mean: _Share
    changed: _Share
    """Share of clips whose label changes."""
    ua_fp32: _Share | None = None
    """Unweighted accuracy, where the manifest and the network have the same emotions."""
    ua_int8: _Share | None = None


class DimensionsCard(_CardModel):
    """A head trained on ratings; its output "dimensions" (batch, dimension) is 0 to 1."""

    names: Annotated[tuple[str, ...], Field(min_length=1)]
    """The dimensions, in the order of the output."""
    derived: Literal[False] = False
    """Dimensions that are derived from the emotions' scores are not part of a bundle."""


class BundleCard(_CardModel):
    """The content of bundle.json."""

    format: int = FORMAT
    phonemo: str
    """The version of phonemo that exported the bundle."""
    name: str
    precision: Precision
    labels: Annotated[tuple[str, ...], Field(min_length=1)]
    """The emotions, in the order of the graph's output."""
    inventory: InventoryCard | None
    """None: the network has no phoneme head."""
    rate: int = RATE
    """Samples per second of the graph's input."""
    normalise: bool
    """Whether the graph normalizes each clip to zero mean and unit variance. Callers never do."""
    fewest_samples: Annotated[int, Field(ge=1, le=RATE * 60)]
    """Shorter clips are zero-padded to this; ``samples`` still holds their true length."""
    conv_kernel: Annotated[tuple[_Step, ...], Field(min_length=1, max_length=64)]
    conv_stride: Annotated[tuple[_Step, ...], Field(min_length=1, max_length=64)]
    window_seconds: Annotated[float, Field(gt=0, le=3600)]
    """The longest recording processed in one pass; longer ones are processed in windows."""
    temperature: Annotated[float, Field(ge=1e-3, le=1e3)] = 1.0
    """The emotion logits are divided by this before the softmax."""
    abstain_below: _Share = 0.0
    """Predictions with a lower score carry the warning "unsure"; 0 disables it."""
    calibrated_on: Annotated[int, Field(ge=0)] = 0
    """Utterances that temperature and threshold were fitted on; 0: not calibrated."""
    licence: str
    """License of the weights."""
    parity: Parity
    drift: Drift | None = None
    """None for fp32."""
    sha256: _Sha256
    """SHA-256 of model.onnx."""
    head_sha256: _Sha256 | None = None
    """SHA-256 of head.onnx; None: no head.onnx, so phonemes get no share in the emotion."""
    adaptation_sha256: _Sha256 | None = None
    """SHA-256 of adaptation.npz; None: the model takes no profile."""
    decoder_sha256: _Sha256 | None = None
    """SHA-256 of phonemes.npz; None: phonemes are decoded without a language model."""
    network: _Name | None = None
    """The adjacent bundle that holds model.onnx, unless this folder has a copy of it; emotions
    come from adaptation.npz, not from the graph's emotion logits. None: the graph is complete."""
    dimensions: DimensionsCard | None = None
    """None: the network has no head of rated dimensions; arousal and valence are derived from the
    emotions' scores."""
    network_digest: _Sha256 | None = None
    """SHA-256 of the trained weights without the emotion head; None in older exports."""

    @field_validator("labels")
    @classmethod
    def _check_unique(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(labels)) != len(labels):
            raise ValueError("expected unique labels, got a duplicate")
        return labels

    @field_validator("rate")
    @classmethod
    def _check_rate(cls, rate: int) -> int:
        if rate != RATE:
            raise ValueError(f"expected {RATE} samples per second, got {rate}")
        return rate

    @model_validator(mode="after")
    def _check_convolutions(self) -> BundleCard:
        if len(self.conv_kernel) != len(self.conv_stride):
            raise ValueError("expected conv_kernel and conv_stride of the same length")
        if self.grid.field_samples > RATE * 60:
            limit = RATE * 60
            raise ValueError(
                f"expected a receptive field of at most {limit} samples, got "
                f"{self.grid.field_samples}"
            )
        return self

    @model_validator(mode="after")
    def _check_shared_head(self) -> BundleCard:
        if self.network is not None and self.adaptation_sha256 is None:
            raise ValueError(f"expected adaptation.npz for the shared network {self.network}")
        return self

    @property
    def grid(self) -> FrameGrid:
        """The position of the frames in time."""
        return FrameGrid.of(self.conv_kernel, self.conv_stride)


@dataclass(frozen=True)
class Bundle:
    """An opened bundle: verified and in memory."""

    folder: Path
    card: BundleCard
    model: bytes
    """Content of model.onnx, verified; later changes of the file have no effect."""
    head: bytes | None = None
    """Content of head.onnx; None where there is none."""
    adaptation: bytes | None = None
    """Content of adaptation.npz; None where there is none."""
    decoder: bytes | None = None
    """Content of phonemes.npz; None where there is none."""


def is_bundle(folder: str | Path) -> bool:
    """Whether a folder is a bundle, possibly incomplete."""
    return any((Path(folder) / name).is_file() for name in (CARD, MODEL))


def packaged(name: str = PACKAGED) -> Path:
    """Folder of a bundle that ships with phonemo; CheckpointError where this copy lacks it."""
    folder = _models_folder() / name
    if not is_bundle(folder):
        raise CheckpointError(
            "expected a model, got none, and this copy of phonemo ships none; name a bundle or a "
            "model folder: --model FOLDER, or phonemo.load(FOLDER)"
        )
    return folder


def packaged_names() -> tuple[str, ...]:
    """Names of the bundles that ship with this copy of phonemo, the default first."""
    models = _models_folder()
    names = (
        sorted(path.name for path in models.iterdir() if is_bundle(path)) if models.is_dir() else []
    )
    return tuple(sorted(names, key=lambda name: name != PACKAGED))


def named(model: str | Path) -> Path:
    """Folder of a model: an existing path takes precedence over a packaged bundle's name."""
    folder = Path(model)
    if folder.exists() or str(model) not in packaged_names():
        return folder
    return packaged(str(model))


def _models_folder() -> Path:
    return Path(str(resources.files("phonemo"))) / "models"


def open_bundle(folder: str | Path) -> Bundle:
    """Read and check a bundle.

    Raises:
        CheckpointError: a part is missing, malformed, changed, or of another format.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such bundle folder; phonemo export writes one")
    card = _card(folder)
    head = None if card.head_sha256 is None else _read_verified(folder / HEAD, card.head_sha256)
    adaptation = None
    if card.adaptation_sha256 is not None:
        path = folder / ADAPTATION
        adaptation = _read_verified(path, card.adaptation_sha256, _MOST_ADAPTATION_BYTES)
    decoder = None
    if card.decoder_sha256 is not None:
        path = folder / DECODER
        decoder = _read_verified(path, card.decoder_sha256, _MOST_ADAPTATION_BYTES)
    return Bundle(folder, card, network_of(folder, card), head, adaptation, decoder)


def network_of(folder: Path, card: BundleCard) -> bytes:
    """Read the network of a bundle that has this card.

    Raises:
        CheckpointError: it is gone, or another than the card's.
    """
    return _read_verified(place_of(folder, MODEL, card.network), card.sha256)


def place_of_bundle(folder: Path) -> str:
    """The name of a packaged bundle, which another computer has, too; else the absolute path."""
    absolute = folder.absolute()
    is_packaged = absolute.parent == _models_folder().absolute()
    return absolute.name if is_packaged else str(absolute)


def reopen_bundle(place: str, card: str) -> Bundle:
    """Open the bundle of a pickled recognizer.

    Args:
        place: from ``place_of_bundle``.
        card: the bundle's card as JSON.

    Raises:
        CheckpointError: the bundle is gone, broken, or another than the pickled one.
    """
    expected = BundleCard.model_validate_json(card)
    is_name = os.path.basename(place) == place
    folder = packaged(place) if is_name else Path(place)
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder}: expected the bundle of a pickled recognizer; put it back, or load the "
            "model in this process"
        )
    bundle = open_bundle(folder)
    if bundle.card != expected:
        raise CheckpointError(
            f"{folder}: expected the bundle that the recognizer was pickled with "
            f"({expected.name}, SHA-256 {expected.sha256[:12]}...), got {bundle.card.name} "
            f"({bundle.card.sha256[:12]}...); load the model again"
        )
    return bundle


def write_bundle(
    target: str | Path,
    model: bytes,
    says: Mapping[str, Any],
    head: bytes | None = None,
    adaptation: bytes | None = None,
    decoder: bytes | None = None,
) -> Bundle:
    """Write a bundle. An older one is replaced; other files in the folder, as a model card, stay.

    Each file is written under a temporary name, and all are renamed at the end, the card last: on a
    full disk the older bundle stays, and an interruption never leaves a network that opens with
    the card of another.

    Args:
        target: the folder.
        model: content of model.onnx; not written where ``says`` names a ``network`` and the bundle
            of that name beside the target holds the same.
        says: the fields of BundleCard except the hashes.
        head: content of head.onnx.
        adaptation: content of adaptation.npz.
        decoder: content of phonemes.npz.

    Raises:
        CheckpointError: the folder holds something else, or it cannot be written.
    """
    target = Path(target)
    check_target(target)
    parts = {HEAD: head, ADAPTATION: adaptation, DECODER: decoder}
    hashes = {name: None if part is None else _hash(part) for name, part in parts.items()}
    known = {"head_sha256": hashes[HEAD], "adaptation_sha256": hashes[ADAPTATION]}
    known |= {"decoder_sha256": hashes[DECODER]}
    card = BundleCard(**(dict(says) | known), sha256=_hash(model))
    own_model = None if _has_network_beside(target, card) else model
    files = {MODEL: own_model, **parts, CARD: _card_text(card).encode()}
    try:
        target.mkdir(parents=True, exist_ok=True)
        _write(target, {name: content for name, content in files.items() if content is not None})
        for name, part in ({MODEL: own_model} | parts).items():
            if part is None:
                (target / name).unlink(missing_ok=True)
    except OSError as error:
        raise CheckpointError(
            f"{target}: cannot be written ({error.strerror}); free space or use another folder"
        ) from error
    return Bundle(target, card, model, head, adaptation, decoder)


def check_target(target: Path) -> None:
    """Raise CheckpointError where a bundle would overwrite something else."""
    if target.is_dir() and any(target.iterdir()) and not (target / CARD).is_file():
        raise CheckpointError(
            f"{target}: expected a bundle or an empty folder; name an empty or a new folder"
        )
    if target.exists() and not target.is_dir():
        raise CheckpointError(f"{target}: expected a folder, got a file; name a folder")


def _card_text(card: BundleCard) -> str:
    left_out = {name for name in _OMIT_IF_NONE if getattr(card, name) is None}
    return card.model_dump_json(indent=1, exclude=left_out) + "\n"


def _card(folder: Path) -> BundleCard:
    path = folder / CARD
    try:
        data = loads_json(_read(path, _MOST_CARD_BYTES))
    except ValueError as error:  # includes invalid UTF-8
        raise CheckpointError(f"{path}: expected JSON; copy the whole folder again") from error
    version = data.get("format") if isinstance(data, dict) else None
    if type(version) is not int:
        raise CheckpointError(f"{path}: expected a format number; this is not a phonemo bundle")
    if version != FORMAT:
        raise CheckpointError(
            f"{path}: expected format {FORMAT}, got {version}; export the model again with this "
            "phonemo, or install the version of phonemo that wrote it"
        )
    try:
        return BundleCard.model_validate(data)
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(map(str, fault["loc"])) or "card"
        raise CheckpointError(f"{path}: {key}: {fault['msg']}; export the model again") from error


def _has_network_beside(target: Path, card: BundleCard) -> bool:
    """Whether the bundle named in the card already holds the network."""
    if card.network is None:
        return False
    path = Path(os.path.abspath(target)).parent / card.network / MODEL
    if not path.is_file() or path.is_symlink() or path.parent.is_symlink():
        return False
    return _hash(_read(path, _MOST_MODEL_BYTES)) == card.sha256


def _read_verified(path: Path, expected: str, most_bytes: int = _MOST_MODEL_BYTES) -> bytes:
    content = _read(path, most_bytes)
    if (digest := _hash(content)) != expected:
        raise CheckpointError(
            f"{path}: expected SHA-256 {expected[:12]}... ({CARD}), got {digest[:12]}...; copy the "
            "whole folder again"
        )
    return content


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _write(target: Path, files: Mapping[str, bytes]) -> None:
    scratches = {target / f"{name}.part": target / name for name in files}
    try:
        for scratch, content in zip(scratches, files.values(), strict=True):
            scratch.write_bytes(content)
        for scratch, path in scratches.items():
            scratch.replace(path)
    finally:
        for scratch in scratches:
            scratch.unlink(missing_ok=True)


def _read(path: Path, most_bytes: int) -> bytes:
    """Read a regular file; a pipe or a device may have no end."""
    try:
        with open(path, "rb", opener=_open_regular) as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise CheckpointError(f"{path}: expected a regular file; copy the folder again")
            if status.st_size > most_bytes:
                raise CheckpointError(
                    f"{path}: expected at most {most_bytes} bytes, got {status.st_size}; "
                    "copy the whole folder again"
                )
            return stream.read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(
            f"{path}: cannot be read ({reason}); copy the whole folder: {CARD}, {MODEL} "
            f"and, where the card names them, {HEAD} and {ADAPTATION}"
        ) from error


def _open_regular(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # else a pipe blocks


#: Name -> its folder in the package (installed wheel) and in a clone.
_WEIGHT_FOLDERS = {
    name: (f"models/{name}-weights", f"models/{name}") for name in ("phonemo-small", "phonemo-open")
}


def weights_of(name: str) -> Path:
    """Resolve a model folder's name; any other text is a path.

    Raises:
        CheckpointError: this copy of phonemo lacks the weights of that name.
    """
    if name not in _WEIGHT_FOLDERS or Path(name).is_dir():
        return Path(name)
    folder = packaged_weights(name)
    if folder is None:
        raise CheckpointError(
            f"{name}: expected its weights in this copy of phonemo; install the wheel, or name a "
            "folder"
        )
    return folder


def packaged_weights(name: str) -> Path | None:
    """Folder of a model by name; None where this copy of phonemo lacks it."""
    package = Path(str(resources.files("phonemo")))
    inside, beside = _WEIGHT_FOLDERS.get(name, ("", ""))
    folders = (package / inside, package.parents[1] / beside) if inside else ()
    return next((folder for folder in folders if (folder / CHECKSUMS).is_file()), None)
