"""Model folders: readable by transformers' from_pretrained, plus labels and checksums."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from phonemo.corpora.phoneme_inventory import PhonemeInventory
from phonemo.errors import CheckpointError, LabelError
from phonemo.files import checksummed_folder, loads_json, verify_checksums
from phonemo.labels import LabelSet, label_set
from phonemo.model.network import PhonemoConfig, PhonemoForAudioClassification
from phonemo.model.pretrained import (
    INDEX,
    ForeignError,
    feature_extractor,
    read_config,
    read_network,
)
from phonemo.train.provenance import PROVENANCE, Provenance, provenance_of

LABELS = "labels.json"
_SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


@dataclass(frozen=True)
class LoadedModel:
    """A network with its labels and phonemes."""

    model: PhonemoForAudioClassification
    labels: LabelSet
    inventory: PhonemeInventory | None
    folder: Path


def save_trained(
    target: Path,
    model: PhonemoForAudioClassification,
    labels: LabelSet,
    frozen_backbone: Path | None = None,
    lineage: Provenance | None = None,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write a model folder with checksums.

    Args:
        target: the folder.
        model: the network.
        labels: its emotions.
        frozen_backbone: file for the weights of a frozen backbone, shared by many folders:
            written once and hard-linked, so that ten folds do not store ten backbones. Each
            folder is still complete when copied.
        lineage: what it was trained on, its ancestors included.
        dtype: of the weights in the file; they are always loaded in float32.
    """
    state = {name: tensor.to(dtype).contiguous() for name, tensor in model.state_dict().items()}
    model.config.architectures = [type(model).__name__]
    model.config.dtype = "float32"
    with checksummed_folder(target, (OSError, SafetensorError)) as folder:
        model.config.save_pretrained(folder)
        feature_extractor().save_pretrained(folder)
        names = {"names": labels.names, "merge": dict(labels.merge)}
        (folder / LABELS).write_text(json.dumps(names, ensure_ascii=False), encoding="utf-8")
        if lineage is not None:
            (folder / PROVENANCE).write_text(json.dumps(lineage.to_json()), encoding="utf-8")
        if frozen_backbone is None:
            save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
        else:
            _save_shards(folder, state, frozen_backbone)


def convert_to_half(source: str | Path, target: str | Path) -> None:
    """Copy a model folder with its weights in half precision, for distribution.

    Raises:
        CheckpointError: the source is no model, the target exists, or a weight is beyond half
            precision.
    """
    target = Path(target)
    if target.exists():
        raise CheckpointError(f"{target}: expected a new folder, got an existing one; name another")
    trained = load_trained(source)
    largest = max(float(tensor.abs().max()) for tensor in trained.model.state_dict().values())
    if largest > torch.finfo(torch.float16).max:
        raise CheckpointError(
            f"{source}: expected weights within half precision, got {largest:g}; keep it as it is"
        )
    save_trained(
        target, trained.model, trained.labels, lineage=provenance_of(source), dtype=torch.float16
    )


def load_trained(folder: str | Path) -> LoadedModel:
    """Open a model folder that phonemo saved, after verifying its checksums.

    Raises:
        CheckpointError: absent, broken, incomplete, or not a phonemo model.
    """
    folder = Path(folder)
    _check_is_model(folder)
    verify_checksums(folder)
    labels = _labels(folder)
    try:
        config = read_config(PhonemoConfig, folder, local_files_only=True)
        model, missing, unexpected = read_network(
            PhonemoForAudioClassification, folder, config, local_files_only=True
        )
    except ForeignError as error:
        raise CheckpointError(f"{folder}: the model cannot be read ({error})") from error
    mismatched = missing + unexpected
    if mismatched or len(model.config.id2label or {}) != len(labels):
        raise CheckpointError(
            f"{folder}: expected weights and labels that fit its config, got others "
            f"{mismatched[:1]}; copy the whole folder again"
        )
    auxiliary = model.config.auxiliary
    inventory = None if auxiliary is None else PhonemeInventory.from_json(auxiliary)
    return LoadedModel(model.eval(), labels, inventory, folder)


def _check_is_model(folder: Path) -> None:
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such model folder")
    if (folder / "config.yaml").is_file() and not (folder / "config.json").is_file():
        models = sorted(folder.glob("seed-*/*/model"))
        hint = f"; name one of its models, as {models[0]}" if models else ""
        raise CheckpointError(f"{folder}: expected a model folder, got a run folder{hint}")
    if not (folder / "config.json").is_file():
        raise CheckpointError(
            f"{folder}: expected a model folder of phonemo train, got no config.json"
        )
    try:
        kind = loads_json((folder / "config.json").read_bytes()).get("model_type")
    except (ValueError, AttributeError) as error:
        raise CheckpointError(
            f"{folder}/config.json: not JSON; copy the whole folder again"
        ) from error
    if kind != "phonemo":
        raise CheckpointError(f"{folder}: expected a phonemo model, got a model of type {kind!r}")


def _labels(folder: Path) -> LabelSet:
    try:
        data = loads_json((folder / LABELS).read_bytes())
        return label_set(data["names"], data["merge"])
    except (OSError, ValueError, KeyError, TypeError, LabelError) as error:
        raise CheckpointError(
            f"{folder}: {LABELS} is missing or malformed; copy the whole folder again"
        ) from error


def _save_shards(folder: Path, state: dict[str, Tensor], shared: Path) -> None:
    parts = [
        {
            name: tensor
            for name, tensor in state.items()
            if name.startswith("backbone.") == is_backbone
        }
        for is_backbone in (True, False)
    ]
    if not shared.is_file():
        shared.parent.mkdir(parents=True, exist_ok=True)
        # a fixed name, since one process at a time holds a run's folder: leftovers are overwritten
        scratch = shared.with_name(f"{shared.name}.part")
        try:
            save_file(parts[0], scratch, metadata={"format": "pt"})
            scratch.chmod(0o644)
            scratch.rename(shared)
        finally:
            scratch.unlink(missing_ok=True)
    link_or_copy(shared, folder / _SHARDS[0])
    save_file(parts[1], folder / _SHARDS[1], metadata={"format": "pt"})
    size = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    weight_map = {name: shard for shard, part in zip(_SHARDS, parts, strict=True) for name in part}
    index = {"metadata": {"total_size": size}, "weight_map": weight_map}
    (folder / INDEX).write_text(json.dumps(index), encoding="utf-8")


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """Hard-link a file, or copy it where the file system cannot."""
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
