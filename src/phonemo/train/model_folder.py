"""Model folders: what transformers' from_pretrained opens, with labels and a seal beside it."""

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

from phonemo.corpora.inventory import PhonemeInventory
from phonemo.errors import CheckpointError, LabelError
from phonemo.files import checksummed_folder, loads_json, verify_checksums
from phonemo.labels import LabelSet
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
    """A network with what its outputs mean."""

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
    """Write a model folder, sealed.

    Args:
        target: the folder.
        model: the network.
        labels: its emotions.
        frozen_backbone: where the weights of a backbone that never learned are shared by many
            folders: written there once and hard-linked, so that ten folds do not cost ten
            backbones. Each folder is still complete by itself when copied.
        lineage: what it was trained on, its ancestors included.
        dtype: of the weights in the file; they are opened in float32 whatever it is.
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
    """Write a model folder again with its weights in half precision: for giving away.

    Raises:
        CheckpointError: the source is no model, the target is there already, or a weight is
            beyond half precision.
    """
    target = Path(target)
    if target.exists():
        raise CheckpointError(f"{target}: is there already; name a new folder")
    trained = load_trained(source)
    largest = max(float(tensor.abs().max()) for tensor in trained.model.state_dict().values())
    if largest > torch.finfo(torch.float16).max:
        raise CheckpointError(f"{source}: a weight of {largest:g} is beyond half precision")
    save_trained(
        target, trained.model, trained.labels, lineage=provenance_of(source), dtype=torch.float16
    )


def load_trained(folder: str | Path) -> LoadedModel:
    """Open a model folder that phonemo saved, after checking its seal.

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
    strangers = missing + unexpected
    if strangers or model.config.num_labels != len(labels):
        raise CheckpointError(
            f"{folder}: weights and config do not fit each other: {strangers[:1]}"
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
        raise CheckpointError(f"{folder}: this is a run folder, a model folder is wanted{hint}")
    if not (folder / "config.json").is_file():
        raise CheckpointError(
            f"{folder}: no config.json; a folder that phonemo train saved is wanted"
        )
    try:
        kind = loads_json((folder / "config.json").read_bytes()).get("model_type")
    except (ValueError, AttributeError) as error:
        raise CheckpointError(f"{folder}/config.json: not JSON") from error
    if kind != "phonemo":
        raise CheckpointError(f"{folder}: a model of type {kind!r}; a phonemo model is wanted")


def _labels(folder: Path) -> LabelSet:
    try:
        data = loads_json((folder / LABELS).read_bytes())
        return LabelSet(tuple(data["names"]), data["merge"])
    except (OSError, ValueError, KeyError, TypeError, LabelError) as error:
        raise CheckpointError(f"{folder}: {LABELS} is missing or malformed") from error


def _save_shards(folder: Path, state: dict[str, Tensor], shared: Path) -> None:
    parts = [
        {name: tensor for name, tensor in state.items() if name.startswith("backbone.") == below}
        for below in (True, False)
    ]
    if not shared.is_file():
        shared.parent.mkdir(parents=True, exist_ok=True)
        # of one name, as one process at a time is in a run's folder: a killed one's is written over
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
    places = {name: shard for shard, part in zip(_SHARDS, parts, strict=True) for name in part}
    index = {"metadata": {"total_size": size}, "weight_map": places}
    (folder / INDEX).write_text(json.dumps(index), encoding="utf-8")


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """The same bytes in another place, at no cost where the file system can."""
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
