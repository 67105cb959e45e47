"""The bundle: a trained network as a folder that needs no torch.

Training writes it (phonemo.train.export.export) and the runtime reads it; they share nothing else.
``model.onnx`` is the network; ``head.onnx`` is its upper end once more, which says what the emotion
would be without some frames; ``adaptation.npz`` is what a profile is measured against, where the
model takes one; ``bundle.json`` says what goes in and what comes out, and holds their SHA-256.

A bundle may share the network of another one in the same folder, which its card names: then it has
no ``model.onnx`` of its own, and its emotions come from the head in its ``adaptation.npz``.

Where the weights that come with phonemo lie: in the package, or in a clone beside it.
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
"""The version of the contract; a reader refuses any other."""
MODEL = "model.onnx"
HEAD = "head.onnx"
ADAPTATION = "adaptation.npz"
CARD = "bundle.json"
PACKAGED = "phonemo-small"
_MOST_CARD_BYTES = 2**22
_MOST_MODEL_BYTES = 2**31
"""Beyond which a network is no protobuf."""
_MOST_ADAPTATION_BYTES = 2**26

Precision = Literal["fp32", "int8"]
_Count = Annotated[int, Field(ge=1)]
_Step = Annotated[int, Field(ge=1, le=RATE)]
_Share = Annotated[float, Field(ge=0, le=1)]
_Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_Name = Annotated[str, Field(pattern=NETWORK_NAME, max_length=64)]
#: Keys that a card has only where they say something: older models have the card they always had.
_UNSAID = ("adaptation_sha256", "network", "network_digest")


class _CardModel(BaseModel):
    # Unknown keys are let through: a later phonemo may say more within the same format.
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class InventoryCard(_CardModel):
    """What the phoneme head tells apart: PhonemeInventory as JSON."""

    name: str
    alphabet: str
    symbols: Annotated[tuple[str, ...], Field(min_length=2)]
    """The symbol of every index; the first is CTC's blank."""


class Parity(_CardModel):
    """How far the fp32 graph was from torch when it was exported."""

    clips: _Count
    difference: Annotated[float, Field(ge=0)]
    """Largest difference of any logit or frame weight."""


class Drift(_CardModel):
    """How far int8 is from fp32, in scores (probabilities)."""

    audio: str
    """What was heard: "noise", or the corpus of a manifest."""
    clips: _Count
    largest: _Share
    mean: _Share
    changed: _Share
    """Share of clips whose label changes."""
    ua_fp32: _Share | None = None
    """Unweighted accuracy, where the manifest's emotions are the network's."""
    ua_int8: _Share | None = None


class BundleCard(_CardModel):
    """What bundle.json says."""

    format: int = FORMAT
    phonemo: str
    """The version that exported it."""
    name: str
    precision: Precision
    labels: Annotated[tuple[str, ...], Field(min_length=1)]
    """The emotions, in the order of the graph's output."""
    inventory: InventoryCard | None
    """None: the network has no phoneme head."""
    rate: int = RATE
    """Samples a second that the graph wants."""
    normalise: bool
    """Whether the graph brings each clip to zero mean and unit variance. Callers never do."""
    fewest_samples: Annotated[int, Field(ge=1, le=RATE * 60)]
    """Shorter clips are padded with zeros to this; ``samples`` still says their true length."""
    conv_kernel: Annotated[tuple[_Step, ...], Field(min_length=1, max_length=64)]
    conv_stride: Annotated[tuple[_Step, ...], Field(min_length=1, max_length=64)]
    window_seconds: Annotated[float, Field(gt=0, le=3600)]
    """The longest recording that is heard whole; a longer one is heard in windows."""
    temperature: Annotated[float, Field(ge=1e-3, le=1e3)] = 1.0
    """The emotion logits are divided by this before the softmax."""
    abstain_below: _Share = 0.0
    """An answer with a lower score carries the warning "unsure"; 0 warns of none."""
    calibrated_on: Annotated[int, Field(ge=0)] = 0
    """How many utterances temperature and threshold were fitted on; 0: they were not."""
    licence: str
    """Of the weights."""
    parity: Parity
    drift: Drift | None = None
    """None for fp32."""
    sha256: _Sha256
    """Of model.onnx."""
    head_sha256: _Sha256 | None = None
    """Of head.onnx; None: the bundle has none, and cannot say which phonemes carried an emotion."""
    adaptation_sha256: _Sha256 | None = None
    """Of adaptation.npz; None: the model takes no profile."""
    network: _Name | None = None
    """The bundle beside this one that holds model.onnx, unless a copy of it lies here; the
    emotions come from adaptation.npz, whatever the graph says of them. None: the graph is whole."""
    network_digest: _Sha256 | None = None
    """Of the trained weights without the emotion head; None: exported before there were any."""

    @field_validator("labels")
    @classmethod
    def _each_once(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(labels)) != len(labels):
            raise ValueError("a label is there twice")
        return labels

    @field_validator("rate")
    @classmethod
    def _ours(cls, rate: int) -> int:
        if rate != RATE:
            raise ValueError(f"{rate} samples a second, {RATE} are wanted")
        return rate

    @model_validator(mode="after")
    def _makes_frames(self) -> BundleCard:
        if len(self.conv_kernel) != len(self.conv_stride):
            raise ValueError("conv_kernel and conv_stride are not of the same convolutions")
        if self.grid.field_samples > RATE * 60:
            raise ValueError(f"a frame that hears {self.grid.field_samples} samples")
        return self

    @model_validator(mode="after")
    def _has_a_head(self) -> BundleCard:
        if self.network is not None and self.adaptation_sha256 is None:
            raise ValueError(f"network {self.network} is shared, and adaptation.npz is not named")
        return self

    @property
    def grid(self) -> FrameGrid:
        """Where the frames lie in time."""
        return FrameGrid.of(self.conv_kernel, self.conv_stride)


@dataclass(frozen=True)
class Bundle:
    """An opened bundle: checked, in memory."""

    folder: Path
    card: BundleCard
    model: bytes
    """model.onnx as it was hashed, so that nothing can change it before it is run."""
    head: bytes | None = None
    """head.onnx likewise; None where there is none."""
    adaptation: bytes | None = None
    """adaptation.npz likewise."""


def is_bundle(folder: str | Path) -> bool:
    """Whether a folder is a bundle, or would be one if it were whole."""
    return any((Path(folder) / name).is_file() for name in (CARD, MODEL))


def packaged(name: str = PACKAGED) -> Path:
    """A bundle that ships with phonemo; CheckpointError where this copy has none of that name."""
    folder = _shelf() / name
    if not is_bundle(folder):
        raise CheckpointError(
            "no model is named and this copy of phonemo ships none; name a bundle or a model "
            "folder: --model FOLDER, or phonemo.load(FOLDER)"
        )
    return folder


def packaged_names() -> tuple[str, ...]:
    """The names of the bundles that ship with this copy of phonemo, the default one first."""
    shelf = _shelf()
    names = sorted(one.name for one in shelf.iterdir() if is_bundle(one)) if shelf.is_dir() else []
    return tuple(sorted(names, key=lambda name: name != PACKAGED))


def named(model: str | Path) -> Path:
    """The folder of a model: a path that exists wins over the name of a bundle that ships."""
    folder = Path(model)
    if folder.exists() or str(model) not in packaged_names():
        return folder
    return packaged(str(model))


def _shelf() -> Path:
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
    head = None if card.head_sha256 is None else _checked(folder / HEAD, card.head_sha256)
    adaptation = None
    if card.adaptation_sha256 is not None:
        path = folder / ADAPTATION
        adaptation = _checked(path, card.adaptation_sha256, _MOST_ADAPTATION_BYTES)
    model = _checked(place_of(folder, MODEL, card.network), card.sha256)
    return Bundle(folder, card, model, head, adaptation)


def write_bundle(
    target: str | Path,
    model: bytes,
    says: Mapping[str, Any],
    head: bytes | None = None,
    adaptation: bytes | None = None,
) -> Bundle:
    """Write a bundle. An older one is replaced; other files beside it, as a model card, stay.

    Each file is written beside its place, and when all are, they are renamed, the card last: a full
    disk leaves the older bundle, and whatever interrupts it, no network is ever opened with the
    card of another.

    Args:
        target: the folder.
        model: the content of model.onnx; not written where the fields name a ``network`` and the
            bundle of that name beside the target holds the same.
        says: the fields of BundleCard but the hashes.
        head: the content of head.onnx.
        adaptation: the content of adaptation.npz.

    Raises:
        CheckpointError: something else is there, or the disk refused.
    """
    target = Path(target)
    check_target(target)
    parts = {HEAD: head, ADAPTATION: adaptation}
    hashes = {name: None if part is None else _hash(part) for name, part in parts.items()}
    known = {"head_sha256": hashes[HEAD], "adaptation_sha256": hashes[ADAPTATION]}
    card = BundleCard(**(dict(says) | known), sha256=_hash(model))
    own = None if _lies_beside(target, card) else model
    files = {MODEL: own, **parts, CARD: _card_text(card).encode()}
    try:
        target.mkdir(parents=True, exist_ok=True)
        _write(target, {name: content for name, content in files.items() if content is not None})
        for name, part in ({MODEL: own} | parts).items():
            if part is None:
                (target / name).unlink(missing_ok=True)
    except OSError as error:
        raise CheckpointError(
            f"{target}: could not be written ({error.strerror}); free room or name another place"
        ) from error
    return Bundle(target, card, model, head, adaptation)


def check_target(target: Path) -> None:
    """Raise CheckpointError where a bundle cannot be written without harm to something else."""
    if target.is_dir() and any(target.iterdir()) and not (target / CARD).is_file():
        raise CheckpointError(
            f"{target}: holds something else than a bundle; name an empty or a new folder"
        )
    if target.exists() and not target.is_dir():
        raise CheckpointError(f"{target}: a file; name the folder to write the bundle into")


def _card_text(card: BundleCard) -> str:
    left_out = {name for name in _UNSAID if getattr(card, name) is None}
    return card.model_dump_json(indent=1, exclude=left_out) + "\n"


def _card(folder: Path) -> BundleCard:
    path = folder / CARD
    try:
        data = loads_json(_read(path, _MOST_CARD_BYTES))
    except ValueError as error:  # not UTF-8 either
        raise CheckpointError(f"{path}: not JSON; copy the whole folder again") from error
    found = data.get("format") if isinstance(data, dict) else None
    if type(found) is not int:
        raise CheckpointError(f"{path}: no format number; this is not a phonemo bundle")
    if found != FORMAT:
        raise CheckpointError(
            f"{path}: format {found} found, format {FORMAT} is wanted; export the model again "
            "with this phonemo, or install the version of phonemo that wrote it"
        )
    try:
        return BundleCard.model_validate(data)
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(map(str, fault["loc"])) or "card"
        raise CheckpointError(f"{path}: {key}: {fault['msg']}; export the model again") from error


def _lies_beside(target: Path, card: BundleCard) -> bool:
    """Whether the bundle that the card names holds the network already."""
    if card.network is None:
        return False
    path = Path(os.path.abspath(target)).parent / card.network / MODEL
    if not path.is_file() or path.is_symlink() or path.parent.is_symlink():
        return False
    return _hash(_read(path, _MOST_MODEL_BYTES)) == card.sha256


def _checked(path: Path, wanted: str, most_bytes: int = _MOST_MODEL_BYTES) -> bytes:
    content = _read(path, most_bytes)
    if (found := _hash(content)) != wanted:
        raise CheckpointError(
            f"{path}: SHA-256 {found[:12]}... found, {CARD} says {wanted[:12]}...; copy the whole "
            "folder again"
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
    """The content; of a regular file alone, as a pipe or a device may have no end."""
    try:
        with open(path, "rb", opener=_open_regular) as stream:
            found = os.fstat(stream.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise CheckpointError(f"{path}: no regular file; copy the whole folder again")
            if found.st_size > most_bytes:
                raise CheckpointError(
                    f"{path}: {found.st_size} bytes found, at most {most_bytes} are taken; "
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
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # a pipe would wait for a writer


#: Name -> its folder in the package (an installed wheel has it) and in a clone.
_PLACES = {
    name: (f"models/{name}-weights", f"models/{name}") for name in ("phonemo-small", "phonemo-open")
}


def weights_of(name: str) -> Path:
    """A model folder by its name, or by its path where it is none of the names.

    Raises:
        CheckpointError: this copy of phonemo lacks the weights of that name.
    """
    if name not in _PLACES or Path(name).is_dir():
        return Path(name)
    found = packaged_weights(name)
    if found is None:
        raise CheckpointError(
            f"{name}: this copy of phonemo has no weights of it; install the wheel, or name a "
            "folder"
        )
    return found


def packaged_weights(name: str) -> Path | None:
    """The model folder of a name; None where this copy of phonemo has none."""
    package = Path(str(resources.files("phonemo")))
    inside, beside = _PLACES.get(name, ("", ""))
    places = (package / inside, package.parents[1] / beside) if inside else ()
    return next((one for one in places if (one / CHECKSUMS).is_file()), None)
