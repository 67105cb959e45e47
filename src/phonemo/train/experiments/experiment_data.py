"""A config with its data: read, divided, and refused if it leaks.

Other corpora that join the training part of every fold.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from phonemo.config import ExtraConfig, ProtocolConfig, RunConfig
from phonemo.corpora.folds import Fold, Split
from phonemo.corpora.inventory import PhonemeInventory, make_inventory
from phonemo.corpora.leakage import assert_no_leakage, measure_leakage
from phonemo.corpora.manifest import Manifest, Utterance, read_manifest
from phonemo.corpora.merge import named_apart
from phonemo.corpora.splits import make_split
from phonemo.errors import LeakageError, ProtocolError
from phonemo.labels import LabelSet
from phonemo.train.dataset import TargetEncoder
from phonemo.train.provenance import Provenance, pretrained_on, provenance_from


@dataclass(frozen=True)
class AuxiliaryCorpora:
    """Utterances of other corpora; ids and speakers begin with the corpus, files are absolute.

    Attributes:
        train: learnt from in every fold, each once.
        repeats: by utterance id, how many times in an epoch, where that is not once.
        held_out: by corpus, utterances of speakers that are never learnt from.
        notes: what belongs beside every result.
        lineage: what a network that learns from them has heard.
    """

    train: tuple[Utterance, ...] = ()
    held_out: dict[str, tuple[Utterance, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    lineage: Provenance = field(default_factory=Provenance)
    repeats: dict[str, int] = field(default_factory=dict)

    @property
    def epoch(self) -> tuple[Utterance, ...]:
        """What is learnt from in one epoch, as often as it is."""
        return tuple(one for one in self.train for _ in range(self.repeats.get(one.id, 1)))

    @property
    def utterances(self) -> tuple[Utterance, ...]:
        """All of them."""
        return (*self.train, *(one for part in self.held_out.values() for one in part))


def read_auxiliary(
    configs: Sequence[ExtraConfig], main: Manifest, labels: LabelSet, phonemes: bool
) -> AuxiliaryCorpora:
    """Read the extra corpora of a config.

    Args:
        configs: which, and how many speakers stay out.
        main: the corpus that is tested; nothing of it may come in by this door.
        labels: an utterance with none of these emotions has only its phonemes to teach.
        phonemes: whether the network learns phonemes.

    Raises:
        LeakageError: an extra corpus is the main one, or shares its recordings.
        ProtocolError: nothing is left to learn from, or too many speakers are held out.
    """
    train: list[Utterance] = []
    held_out: dict[str, tuple[Utterance, ...]] = {}
    notes: list[str] = []
    lineage = Provenance()
    repeats: dict[str, int] = {}
    tested = {main.audio_path(one).resolve() for one in main.utterances} if configs else set()
    for config in configs:
        manifest = read_manifest(config.manifest)
        _forbid_main(config.manifest, manifest, main, tested)
        own = [
            one
            for one in manifest.utterances
            if one.emotion in labels or (phonemes and one.phonemes)
        ]
        useful = [named_apart(manifest, one) for one in own]
        away = _speakers_out(useful, config)
        learnt = [one for one in useful if one.speaker not in away]
        if not learnt:
            raise ProtocolError(f"{config.manifest}: no utterance has anything to learn from")
        train += learnt
        corpus = manifest.header.corpus
        kept_in = (one for one, named in zip(own, useful, strict=True) if named.speaker not in away)
        lineage = lineage | provenance_from(corpus, kept_in)
        if away:
            held_out[corpus] = tuple(one for one in useful if one.speaker in away)
        kept = f", {len(away)} speakers held out for phonemes" if away else ""
        often = f", {config.repeat} times an epoch" if config.repeat > 1 else ""
        if often:
            repeats |= {one.id: config.repeat for one in learnt}
        notes.append(f"trained also on {len(learnt)} utterances of {corpus}{often}{kept}")
    return AuxiliaryCorpora(tuple(train), held_out, tuple(notes), lineage, repeats)


def _forbid_main(path: str, manifest: Manifest, main: Manifest, tested: set[Path]) -> None:
    shared = sum(manifest.audio_path(one).resolve() in tested for one in manifest.utterances)
    corpora = [set(one.header.corpus.split("+")) for one in (manifest, main)]
    same = (corpora[0] & corpora[1]) - {"csv"}
    if shared or same:
        what = f"shares {shared} recordings with" if shared else "is of the same corpus as"
        raise LeakageError(
            f"extra manifest {path} {what} {main.path}, which is tested; "
            "take another corpus, or leave it out of extra"
        )


def _speakers_out(utterances: Iterable[Utterance], config: ExtraConfig) -> set[str]:
    """Speakers to leave out, chosen by their names alone."""
    speakers = sorted({one.speaker for one in utterances if one.speaker}, key=_order)
    if config.held_out_speakers >= max(1, len(speakers)):
        raise ProtocolError(
            f"{config.manifest}: held_out_speakers is {config.held_out_speakers}, "
            f"but it has {len(speakers)} speakers"
        )
    return set(speakers[: config.held_out_speakers])


def _order(speaker: str) -> bytes:
    return hashlib.sha256(speaker.encode()).digest()


log = logging.getLogger(__name__)


_NOTHING_SELECTED = "no epoch was selected: the last is taken, and validation is learnt from too"


@dataclass(frozen=True)
class Experiment:
    """A config with its data, read and divided."""

    config: RunConfig
    manifest: Manifest
    utterances: dict[str, Utterance]
    targets: TargetEncoder
    split: Split
    extras: AuxiliaryCorpora

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
    assert_no_leakage(measure_leakage(chosen, split), config.protocol)
    for note in split.notes:
        log.warning(note)
    extras = read_auxiliary(config.extra, manifest, labels, config.model.auxiliary is not None)
    by_id = {one.id: one for one in chosen}
    past = pretrained_on(config.model, manifest.header.corpus, split, by_id)
    learnt = () if config.train.selects else (_NOTHING_SELECTED,)
    split = replace(split, notes=(*split.notes, *extras.notes, *past, *learnt))
    targets = TargetEncoder(labels, _inventory(config, labels, [*chosen, *extras.train]))
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
