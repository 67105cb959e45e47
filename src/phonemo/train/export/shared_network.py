"""Bundles on one network: whether models have the same one, and a model folder from such a bundle.

Only the emotion heads of such models differ. The bundle that shares holds its head as a reference
(adaptation.npz); the weights of the network lie in the model folder of the other one.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from phonemo.errors import CheckpointError, ModelError
from phonemo.files import verify_checksums
from phonemo.labels import LabelSet
from phonemo.model.network import PhonemoConfig, PhonemoForAudioClassification
from phonemo.runtime.adaptation.profile import unpacked
from phonemo.runtime.adaptation.statistics import Reference
from phonemo.runtime.bundle import (
    Bundle,
    BundleCard,
    open_bundle,
    packaged,
    packaged_names,
    packaged_weights,
    weights_of,
)
from phonemo.train.linear_head import keep_head, reference_of
from phonemo.train.model_folder import LoadedModel, load_trained, save_trained
from phonemo.train.provenance import PROVENANCE, provenance_of

#: Where the model folder of a start lies in a run's folder.
STARTS = "start"
_HEAD = "head."
#: Of PhonemoConfig, what shapes the network below the emotion head beside its weights.
_SHAPE = (
    *("normalise", "acoustic", "semantic", "fusion", "pooling", "attention_heads", "hops"),
    *("statistics", "pooled", "frames", "moments"),
)


def network_digest(model: PhonemoForAudioClassification) -> str:
    """SHA-256 of a network without its emotion head: of its shape, and its weights in float16.

    In half precision, so that a folder that ``phonemo shrink`` wrote has that of its source.
    """
    shape = {name: getattr(model.config, name) for name in _SHAPE}
    found = hashlib.sha256(json.dumps(shape, sort_keys=True).encode())
    for name, tensor in sorted(model.state_dict().items()):
        if not name.startswith(_HEAD):
            plain = tensor.detach().cpu()
            plain = plain.half() if plain.is_floating_point() else plain
            found.update(f"{name} {tuple(plain.shape)}".encode())
            found.update(plain.contiguous().numpy().tobytes())
    return found.hexdigest()


def sibling_of(output: str | Path, name: str, trained: LoadedModel) -> tuple[Bundle, Reference]:
    """The bundle beside an export whose network a model shares, and the head it adds to that.

    Args:
        output: the folder that the export writes.
        name: of the other bundle's folder.
        trained: the model.

    Raises:
        CheckpointError: the other bundle is absent or broken, or shares a network itself.
        ModelError: the model has another network, or its head is no linear one with a reference.
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
    """Put what a model has learnt from into its bundle, where its folder says so."""
    if (model / PROVENANCE).is_file():
        shutil.copyfile(model / PROVENANCE, bundle / PROVENANCE)


def start_folder(start: str, run: str | Path) -> Path:
    """The model folder that fine-tuning starts from.

    Of models that ship on one network an installed package has such a folder of one alone; that of
    another is written into the run's folder, and kept for when the run goes on.

    Args:
        start: a folder, or the name of a model that ships.
        run: the run's folder.

    Raises:
        CheckpointError: this copy of phonemo lacks the weights, or they are of another network.
    """
    if Path(start).is_dir() or start not in packaged_names() or packaged_weights(start) is not None:
        return weights_of(start)
    others = [found for name in packaged_names() if (found := packaged_weights(name)) is not None]
    if not others:
        return weights_of(start)  # which says that there are none
    target = Path(run) / STARTS / start
    if target.is_dir():
        verify_checksums(target)
        return target
    return compose(open_bundle(packaged(start)), others[0], target)


def compose(bundle: Bundle, network: str | Path, target: Path) -> Path:
    """Write a model folder: a network's weights under the head of a bundle on that network.

    Args:
        bundle: names what it learnt from in provenance.json.
        network: the folder of any model on that network.
        target: the folder to write.

    Raises:
        CheckpointError: the folder holds another network, or the bundle does not say what it
            learnt from.
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
    model = _under(start.model, card, unpacked(content, len(card.labels)))
    labels = LabelSet(card.labels)
    save_trained(target, model, labels, lineage=provenance_of(bundle.folder))
    return target


def _check_same(sibling: Bundle, trained: LoadedModel) -> None:
    wanted, folder = sibling.card.network_digest, sibling.folder
    if wanted is None:
        raise ModelError(
            f"{folder}: expected a network_digest in its card, got none; export that model again "
            "with this phonemo"
        )
    inventory = None if trained.inventory is None else list(trained.inventory.symbols)
    theirs = None if sibling.card.inventory is None else list(sibling.card.inventory.symbols)
    if network_digest(trained.model) != wanted or inventory != theirs:
        raise ModelError(
            f"{trained.folder}: expected the network of {folder}, got another; both must come "
            "from one network that stays as it is, and differ in the emotion head alone"
        )


def _under(
    network: PhonemoForAudioClassification, card: BundleCard, reference: Reference
) -> PhonemoForAudioClassification:
    facts = network.config.to_dict() | {
        "head": "linear",
        "adaptation": None,
        "id2label": dict(enumerate(card.labels)),
        "label2id": {name: number for number, name in enumerate(card.labels)},
        "temperature": card.temperature,
        "abstain_below": card.abstain_below,
        "calibrated_on": card.calibrated_on,
    }
    model = PhonemoForAudioClassification(PhonemoConfig(**facts))
    own = {name: one for name, one in model.state_dict().items() if name.startswith(_HEAD)}
    below = {n: one for n, one in network.state_dict().items() if not n.startswith(_HEAD)}
    model.load_state_dict(below | own)
    keep_head(model, reference)
    return model.eval()  # type: ignore[no-any-return]
