"""Bundles that share a network: comparing networks, and rebuilding a model folder from a bundle.

Models that share a network differ only in their emotion heads. A sharing bundle stores its head as
a reference (adaptation.npz); the network's weights are in the other model's folder.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from phonemo.errors import CheckpointError, ModelError
from phonemo.files import verify_checksums
from phonemo.labels import LabelSet
from phonemo.model.network import PhonemoConfig, PhonemoForAudioClassification
from phonemo.runtime.adaptation.profile import unpacked
from phonemo.runtime.adaptation.statistics import Reference
from phonemo.runtime.bundle import (
    Bundle,
    open_bundle,
    packaged,
    packaged_names,
    packaged_weights,
    weights_of,
)
from phonemo.train.heads.linear_head import keep_head, reference_of
from phonemo.train.model_folder import LoadedModel, load_trained, save_trained
from phonemo.train.provenance import PROVENANCE, provenance_of

#: Subfolder of a run for the model folder it starts from.
STARTS = "start"
_HEAD = "head."
#: PhonemoConfig fields that define the network below the emotion head, besides its weights.
_SHAPE = (
    *("normalise", "acoustic", "semantic", "fusion", "pooling", "attention_heads", "hops"),
    *("statistics", "pooled", "frames", "moments"),
)


def network_digest(model: PhonemoForAudioClassification) -> str:
    """Return the SHA-256 of a network's shape and float16 weights, without its emotion head.

    Half precision gives a folder of ``phonemo shrink`` the same digest as its source.
    """
    shape = {name: getattr(model.config, name) for name in _SHAPE}
    digest = hashlib.sha256(json.dumps(shape, sort_keys=True).encode())
    for name, tensor in sorted(model.state_dict().items()):
        if not name.startswith(_HEAD):
            stored = tensor.detach().cpu()
            stored = stored.half() if stored.is_floating_point() else stored
            digest.update(f"{name} {tuple(stored.shape)}".encode())
            digest.update(stored.contiguous().numpy().tobytes())
    return digest.hexdigest()


def sibling_of(output: str | Path, name: str, trained: LoadedModel) -> tuple[Bundle, Reference]:
    """Open the bundle whose network a model shares, and the model's head as a reference.

    Args:
        output: the folder that the export writes.
        name: the folder name of the other bundle, beside ``output``.
        trained: the model.

    Raises:
        CheckpointError: the other bundle is absent or broken, or shares a network itself.
        ModelError: the model has another network, or no linear head with a reference.
    """
    folder = Path(output).absolute().parent / name
    sibling = open_bundle(folder)
    if sibling.card.network is not None:
        raise CheckpointError(
            f"{folder}: expected a bundle with a network of its own, got one that shares that of "
            f"{sibling.card.network}; share that one"
        )
    reference = reference_of(trained.model)
    if reference is None:
        raise ModelError(
            f"{trained.folder}: expected a linear head with statistics of its training sources to "
            "share a network, got none; train it with head: linear and strategy: logistic"
        )
    _check_same(sibling, trained)
    return sibling, reference


def copy_lineage(model: Path, bundle: Path) -> None:
    """Copy a model's provenance.json into its bundle, if it has one."""
    if (model / PROVENANCE).is_file():
        shutil.copyfile(model / PROVENANCE, bundle / PROVENANCE)


def start_folder(start: str, run: str | Path) -> Path:
    """Return the model folder that fine-tuning starts from.

    Of the shipped models that share a network, only one is installed with a model folder; that of
    another is written into the run's folder and reused when the run is resumed.

    Args:
        start: a folder, or the name of a shipped model.
        run: the run's folder.

    Raises:
        CheckpointError: this copy of phonemo lacks the weights, or they are of another network.
    """
    if Path(start).is_dir() or start not in packaged_names() or packaged_weights(start) is not None:
        return weights_of(start)
    folders = [
        folder for name in packaged_names() if (folder := packaged_weights(name)) is not None
    ]
    if not folders:
        return weights_of(start)  # raises that there are none
    target = Path(run) / STARTS / start
    if target.is_dir():
        verify_checksums(target)
        return target
    return compose(open_bundle(packaged(start)), folders[0], target)


def compose(bundle: Bundle, network: str | Path, target: Path) -> Path:
    """Write a model folder with a network's weights and the head of a bundle on that network.

    Args:
        bundle: has a provenance.json.
        network: the folder of any model on that network.
        target: the folder to write.

    Raises:
        CheckpointError: the folder holds another network, or the bundle has no provenance.json.
    """
    card, content = bundle.card, bundle.adaptation
    if content is None or not (bundle.folder / PROVENANCE).is_file():
        raise CheckpointError(
            f"{bundle.folder}: expected a head and {PROVENANCE}, got one without; export it again "
            "with --lineage"
        )
    start = load_trained(network)
    if network_digest(start.model) != card.network_digest:
        raise CheckpointError(
            f"{network}: expected the network that {card.name} was exported with, got another; "
            "export it again"
        )
    model = with_linear_head(
        start.model,
        card.labels,
        temperature=card.temperature,
        abstain_below=card.abstain_below,
        calibrated_on=card.calibrated_on,
    )
    keep_head(model, unpacked(content, len(card.labels)))
    labels = LabelSet(card.labels)
    save_trained(target, model, labels, lineage=provenance_of(bundle.folder))
    return target


def _check_same(sibling: Bundle, trained: LoadedModel) -> None:
    expected, folder = sibling.card.network_digest, sibling.folder
    if expected is None:
        raise ModelError(
            f"{folder}: expected a network_digest in its card, got none; export that model again "
            "with this phonemo"
        )
    inventory = None if trained.inventory is None else list(trained.inventory.symbols)
    sibling_inventory = (
        None if sibling.card.inventory is None else list(sibling.card.inventory.symbols)
    )
    if network_digest(trained.model) != expected or inventory != sibling_inventory:
        raise ModelError(
            f"{trained.folder}: expected the network of {folder}, got another; both must come "
            "from one network that stays as it is, and differ in the emotion head alone"
        )


def with_linear_head(
    network: PhonemoForAudioClassification, labels: Sequence[str], **settings: Any
) -> PhonemoForAudioClassification:
    """Copy a network with a fresh linear emotion head, in evaluation mode.

    Args:
        network: the other weights are copied from it.
        labels: the head's emotions.
        **settings: other fields of its PhonemoConfig.
    """
    config = network.config.to_dict() | {
        "head": "linear",
        "adaptation": None,
        "id2label": dict(enumerate(labels)),
        "label2id": {name: index for index, name in enumerate(labels)},
        **settings,
    }
    model = PhonemoForAudioClassification(PhonemoConfig(**config))
    weights = network.state_dict()
    model.load_state_dict(
        {
            name: tensor if name.startswith(_HEAD) else weights[name]
            for name, tensor in model.state_dict().items()
        }
    )
    return model.eval()  # type: ignore[no-any-return]
