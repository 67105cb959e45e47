"""A config with its data: read, divided, and refused if it leaks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from phonemo.config import ProtocolConfig, RunConfig
from phonemo.corpora.folds import Fold, Split
from phonemo.corpora.leakage import forbid, measure
from phonemo.corpora.manifest import Manifest, Utterance, read_manifest
from phonemo.corpora.phonemes import PhonemeInventory, make_inventory
from phonemo.corpora.splits import make_split
from phonemo.errors import ProtocolError
from phonemo.labels import LabelSet
from phonemo.train.batches import Targets
from phonemo.train.extras import Extras, read_extras
from phonemo.train.lineage import inherited

log = logging.getLogger(__name__)


_NOTHING_SELECTED = "no epoch was selected: the last is taken, and validation is learnt from too"


@dataclass(frozen=True)
class Experiment:
    """A config with its data, read and divided."""

    config: RunConfig
    manifest: Manifest
    utterances: dict[str, Utterance]
    targets: Targets
    split: Split
    extras: Extras

    def part(self, ids: Sequence[str]) -> list[Utterance]:
        """The utterances of these ids."""
        return [self.utterances[one] for one in ids]


def prepare_experiment(config: RunConfig) -> Experiment:
    """Read the manifest, leave out what has no label, divide the rest, and refuse leaks."""
    manifest = read_manifest(config.manifest)
    labels = LabelSet(config.labels.names, config.labels.merge)
    chosen = [_merged(one, labels) for one in manifest.utterances if one.emotion in labels]
    if not chosen:
        found = sorted({one.emotion or "none" for one in manifest.utterances})
        raise ProtocolError(
            f"{config.manifest}: no utterance has one of the labels {labels}; "
            f"found: {', '.join(found)}"
        )
    chosen, unstyled = _of_style(chosen, config)
    unheard = sorted(set(labels.names) - {one.emotion for one in chosen if one.emotion})
    if unheard:
        raise ProtocolError(
            f"{config.manifest}: no utterance has the label {unheard[0]!r}; "
            "leave it out of labels.names, or merge another into it with labels.merge"
        )
    left_out = len(manifest.utterances) - len(chosen) - unstyled
    split = _divided(manifest, chosen, config.protocol)
    if left_out:
        note = f"{left_out} of {len(manifest.utterances)} utterances have none of the labels"
        split = replace(split, notes=(*split.notes, f"{note} and are left out"))
    if unstyled:
        note = f"only {config.protocol.style} speech: {unstyled} other utterances are left out"
        split = replace(split, notes=(*split.notes, note))
    forbid(measure(chosen, split), config.protocol)
    for note in split.notes:
        log.warning(note)
    extras = read_extras(config.extra, manifest, labels, config.model.auxiliary is not None)
    by_id = {one.id: one for one in chosen}
    past = inherited(config.model, manifest.header.corpus, split, by_id)
    learnt = () if config.train.selects else (_NOTHING_SELECTED,)
    split = replace(split, notes=(*split.notes, *extras.notes, *past, *learnt))
    targets = Targets(labels, _inventory(config, labels, [*chosen, *extras.train]))
    return Experiment(config, manifest, by_id, targets, split, extras)


def _of_style(chosen: Sequence[Utterance], config: RunConfig) -> tuple[list[Utterance], int]:
    """Those of the protocol's style, and how many are not."""
    style = config.protocol.style
    kept = [one for one in chosen if style is None or one.style == style]
    if not kept:
        raise ProtocolError(
            f"{config.manifest}: no utterance is said to be {style}; leave protocol.style out"
        )
    return kept, len(chosen) - len(kept)


def _merged(one: Utterance, labels: LabelSet) -> Utterance:
    """The utterance under the name its emotion is counted by, for balance and stratification."""
    name = labels.merged(one.emotion or "")
    return one if one.emotion == name else one.model_copy(update={"emotion": name})


def _divided(manifest: Manifest, chosen: Sequence[Utterance], protocol: ProtocolConfig) -> Split:
    """Folds over the chosen utterances; published folds name others too, which are left out."""
    if not protocol.name.startswith("published"):
        return make_split(chosen, protocol)
    split = make_split(manifest.utterances, protocol)
    ids = {one.id for one in chosen}
    folds = tuple(
        Fold(fold.name, *(tuple(one for one in part if one in ids) for part in fold.parts.values()))
        for fold in split.folds
    )
    empty = [fold.name for fold in folds if not all(fold.parts.values())]
    if empty:
        raise ProtocolError(f"{empty[0]}: a part has no utterance with one of the labels")
    return replace(split, folds=folds)


def _inventory(
    config: RunConfig, labels: LabelSet, utterances: Sequence[Utterance]
) -> PhonemeInventory | None:
    auxiliary = config.model.auxiliary
    if auxiliary is None:
        return None
    transcripts = [one.transcript for one in utterances if one.transcript]
    inventory = make_inventory(auxiliary.inventory, auxiliary.alphabet, labels.names, transcripts)
    with_target = sum(one.phonemes is not None for one in utterances)
    if auxiliary.inventory != "characters" and with_target == 0:
        raise ProtocolError(
            f"{config.manifest}: no utterance has phonemes, which the auxiliary task needs; "
            "prepare the corpus with phonemes, or set model.auxiliary=null"
        )
    return inventory
