"""An experiment's data: the split manifest, checked for leaks, and auxiliary corpora.

Auxiliary corpora are added to the training part of every fold.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from phonemo.config import ExtraConfig, ProtocolConfig, RunConfig
from phonemo.corpora.copies.digests import Progress
from phonemo.corpora.copies.groups import NO_COPIES, Copies, find_copies, list_some, read_digests
from phonemo.corpora.folds import Fold, Split
from phonemo.corpora.leakage import LeakageReport, assert_no_leakage, measure_leakage
from phonemo.corpora.leakage_text import copy_warnings
from phonemo.corpora.manifest import Manifest, Utterance, read_manifest
from phonemo.corpora.merge import named_apart
from phonemo.corpora.phoneme_inventory import PhonemeInventory, make_inventory
from phonemo.corpora.splits import make_split
from phonemo.errors import LeakageError, ProtocolError
from phonemo.labels import LabelSet, label_set
from phonemo.train.dataset import TargetEncoder
from phonemo.train.provenance import Provenance, pretrained_on, provenance_from


@dataclass(frozen=True)
class AuxiliaryCorpora:
    """Utterances of other corpora; ids and speakers are prefixed with the corpus, paths absolute.

    Attributes:
        train: training utterances of every fold, each listed once.
        repeats: repetitions per epoch by utterance id, if more than one.
        held_out: by corpus, utterances of speakers excluded from training.
        notes: notes reported with every result.
        lineage: the provenance of these training data.
    """

    train: tuple[Utterance, ...] = ()
    held_out: dict[str, tuple[Utterance, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    lineage: Provenance = field(default_factory=Provenance)
    repeats: dict[str, int] = field(default_factory=dict)

    @property
    def epoch(self) -> tuple[Utterance, ...]:
        """Training utterances of one epoch, with repetitions."""
        return tuple(row for row in self.train for _ in range(self.repeats.get(row.id, 1)))

    @property
    def utterances(self) -> tuple[Utterance, ...]:
        """All utterances, training and held out."""
        return (*self.train, *(row for part in self.held_out.values() for row in part))


def read_auxiliary(
    configs: Sequence[ExtraConfig],
    main: Manifest,
    labels: LabelSet,
    phonemes: bool,
    copies: Copies = NO_COPIES,
) -> AuxiliaryCorpora:
    """Read a config's extra corpora.

    Args:
        configs: the corpora, and how many speakers each holds out.
        main: the tested corpus, which the extra corpora must not overlap.
        labels: the emotions; utterances of other emotions only contribute phonemes.
        phonemes: whether the network is trained on phonemes.
        copies: the copies among the tested utterances, with their digests.

    Raises:
        LeakageError: an extra corpus is the main one, or shares its recordings.
        ProtocolError: no training data is left, or too many speakers are held out.
    """
    train: list[Utterance] = []
    held_out: dict[str, tuple[Utterance, ...]] = {}
    notes: list[str] = []
    lineage = Provenance()
    repeats: dict[str, int] = {}
    tested = {main.audio_path(row).resolve() for row in main.utterances} if configs else set()
    for config in configs:
        manifest = read_manifest(config.manifest)
        digests = read_digests(manifest, manifest.utterances) if copies.digests else {}
        _check_overlap(config.manifest, manifest, main, tested)
        _check_copies(config.manifest, digests, main, copies)
        usable = [
            row
            for row in manifest.utterances
            if row.emotion in labels or (phonemes and row.phonemes)
        ]
        renamed = [named_apart(manifest, row) for row in usable]
        kept = _select_held_out(renamed, config)
        tuned = decoder_speakers(renamed, config, kept)
        excluded = kept | tuned
        used = [row for row in renamed if row.speaker not in excluded]
        if not used:
            raise ProtocolError(
                f"{config.manifest}: no utterance has a usable target; remove it from extra"
            )
        train += used
        corpus = manifest.header.corpus
        training = (
            row for row, new in zip(usable, renamed, strict=True) if new.speaker not in excluded
        )
        lineage = lineage | provenance_from(corpus, training, digests)
        if kept:
            held_out[corpus] = tuple(row for row in renamed if row.speaker in kept)
        held_out_note = f", {len(kept)} speakers held out for phonemes" if kept else ""
        held_out_note += f", {len(tuned)} left to tune their decoder" if tuned else ""
        repeat_note = f", {config.repeat} times an epoch" if config.repeat > 1 else ""
        if repeat_note:
            repeats |= {row.id: config.repeat for row in used}
        notes.append(
            f"trained also on {len(used)} utterances of {corpus}{repeat_note}{held_out_note}"
        )
    return AuxiliaryCorpora(tuple(train), held_out, tuple(notes), lineage, repeats)


def _check_overlap(path: str, manifest: Manifest, main: Manifest, tested: set[Path]) -> None:
    shared = sum(manifest.audio_path(row).resolve() in tested for row in manifest.utterances)
    names = [set(source.header.corpus.split("+")) for source in (manifest, main)]
    shared_corpora = (names[0] & names[1]) - {"csv"}
    if shared or shared_corpora:
        overlap = f"shares {shared} recordings with" if shared else "is of the same corpus as"
        raise LeakageError(
            f"extra manifest {path} {overlap} {main.path}, which is tested; "
            "use another corpus, or remove it from extra"
        )


def _check_copies(path: str, digests: Mapping[str, str], main: Manifest, copies: Copies) -> None:
    tested = {digest: name for name, digest in copies.digests.items()}
    shared = [f"{name} = {tested[digest]}" for name, digest in digests.items() if digest in tested]
    if shared:
        raise LeakageError(
            f"extra manifest {path} has {len(shared)} copies of recordings of {main.path}, which "
            f"is tested: {list_some(shared)}; remove them, or remove it from extra"
        )


def _select_held_out(utterances: Sequence[Utterance], config: ExtraConfig) -> set[str]:
    """Select the speakers to hold out, by a hash of their names."""
    part = config.held_out_split
    inside = _speakers(row for row in utterances if part is None or row.split == part)
    if config.held_out_speakers >= max(1, len(_speakers(utterances))) or (
        config.held_out_speakers > len(inside)
    ):
        place = "" if part is None else f" of split {part}"
        raise ProtocolError(
            f"{config.manifest}: expected held_out_speakers below its {len(inside)} speakers"
            f"{place}, got {config.held_out_speakers}"
        )
    return set(inside[: config.held_out_speakers])


def decoder_speakers(
    utterances: Sequence[Utterance], config: ExtraConfig, held_out: Collection[str]
) -> set[str]:
    """The speakers on which the phoneme decoder is tuned: neither trained on nor tested."""
    part = config.held_out_split
    inside = set(_speakers(row for row in utterances if part and row.split == part))
    others = [name for name in _speakers(utterances) if name not in inside | set(held_out)]
    if config.decoder_speakers >= max(1, len(others)):
        raise ProtocolError(
            f"{config.manifest}: expected decoder_speakers below its {len(others)} speakers that "
            f"are not held out, got {config.decoder_speakers}"
        )
    return set(others[: config.decoder_speakers])


def _speakers(utterances: Iterable[Utterance]) -> list[str]:
    return sorted({row.speaker for row in utterances if row.speaker}, key=_speaker_hash)


def _speaker_hash(speaker: str) -> bytes:
    return hashlib.sha256(speaker.encode()).digest()


log = logging.getLogger(__name__)


_NOTHING_SELECTED = "no epoch was selected: the last is taken, and validation is learned from too"


@dataclass(frozen=True)
class Experiment:
    """A config with its data and split."""

    config: RunConfig
    manifest: Manifest
    utterances: dict[str, Utterance]
    targets: TargetEncoder
    split: Split
    extras: AuxiliaryCorpora
    digests: Mapping[str, str] = field(default_factory=dict)
    """Utterance id -> digest of its samples."""

    def part(self, ids: Sequence[str]) -> list[Utterance]:
        """Look up utterances by id."""
        return [self.utterances[name] for name in ids]


def prepare_experiment(config: RunConfig, progress: Progress | None = None) -> Experiment:
    """Read the manifest, select labeled utterances, split them, and check for leaks.

    The audio is decoded to find copies of recordings, unless that is cached.

    Args:
        config: the experiment.
        progress: called with (done, total) recordings.
    """
    manifest = read_manifest(config.manifest)
    labels = label_set(config.labels.names, config.labels.merge)
    rated = _rated_targets(config, labels)
    chosen = [_merge_label(row, labels) for row in manifest.utterances if rated.usable(row)]
    if not chosen:
        present = sorted({row.emotion or "none" for row in manifest.utterances})
        raise ProtocolError(
            f"{config.manifest}: expected utterances with the labels {labels}, got "
            f"{', '.join(present)}"
        )
    chosen, unstyled = _select_style(chosen, config)
    missing = sorted(set(labels.names) - {row.emotion for row in chosen if row.emotion})
    # a corpus with rated dimensions only leaves the emotions of the start as they are
    kept = config.model.start is not None and len(missing) == len(labels)
    _check_rated(config, chosen)
    if missing and not kept:
        raise ProtocolError(
            f"{config.manifest}: no utterance has the label {missing[0]!r}; "
            "remove it from labels.names, or merge another into it with labels.merge"
        )
    left_out = len(manifest.utterances) - len(chosen) - unstyled
    copies = find_copies(manifest, chosen, progress)
    split = _split(manifest, chosen, config.protocol, copies)
    if left_out:
        what = "labels" if config.model.dimensions is None else "labels or dimensions"
        note = f"{left_out} of {len(manifest.utterances)} utterances have none of the {what}"
        split = replace(split, notes=(*split.notes, f"{note} and are left out"))
    if unstyled:
        note = f"only {config.protocol.style} speech: {unstyled} other utterances are left out"
        split = replace(split, notes=(*split.notes, note))
    report = measure_leakage(chosen, split, copies)
    assert_no_leakage(report, config.protocol)
    split = replace(split, notes=(*split.notes, *_leaking_copies(report)))
    for note in (*split.notes, *copy_warnings(report)):
        log.warning(note)
    spoken = config.model.auxiliary is not None
    extras = read_auxiliary(config.extra, manifest, labels, spoken, copies)
    by_id = {row.id: row for row in chosen}
    corpus = manifest.header.corpus
    pretraining = pretrained_on(config.model, corpus, split, by_id, copies.digests)
    selection = () if config.train.selects else (_NOTHING_SELECTED,)
    split = replace(split, notes=(*split.notes, *extras.notes, *pretraining, *selection))
    inventory = _inventory(config, labels, [*chosen, *extras.train])
    targets = replace(rated, inventory=inventory)
    return Experiment(config, manifest, by_id, targets, split, extras, copies.digests)


def _leaking_copies(report: LeakageReport) -> list[str]:
    """Notes for the result: copies in published folds, and near-copies in train and test."""
    shared = max(len(fold.recordings.train_test or ()) for fold in report.folds)
    near = report.copies.leaking_near
    return [
        *([f"LEAKY: train and test share up to {shared} recordings in a fold"] if shared else []),
        *([f"{near} pairs of near-copies are in test and another part of a fold"] if near else []),
    ]


def _select_style(chosen: Sequence[Utterance], config: RunConfig) -> tuple[list[Utterance], int]:
    """Select utterances in the protocol's style, and count the others."""
    style = config.protocol.style
    kept = [row for row in chosen if style is None or row.style == style]
    if not kept:
        raise ProtocolError(
            f"{config.manifest}: no utterance has the style {style}; remove protocol.style"
        )
    return kept, len(chosen) - len(kept)


def _rated_targets(config: RunConfig, labels: LabelSet) -> TargetEncoder:
    """Encode the targets of a config, without an inventory yet."""
    dimensions = config.model.dimensions
    names = () if dimensions is None else dimensions.names
    return TargetEncoder(labels, None, names, config.train.targets == "votes")


def _check_rated(config: RunConfig, chosen: Sequence[Utterance]) -> None:
    """Refuse a dimension that no utterance has, and votes where there are none."""
    dimensions = config.model.dimensions
    for name in () if dimensions is None else dimensions.names:
        if not any(name in row.dimensions for row in chosen):
            raise ProtocolError(
                f"{config.manifest}: no utterance has a rating of {name}; remove it from "
                "model.dimensions.names, or prepare the corpus with its ratings"
            )
    if config.train.targets == "votes" and not any(row.votes for row in chosen):
        raise ProtocolError(
            f"{config.manifest}: no utterance has votes; set train.targets=labels, or prepare the "
            "corpus with its votes"
        )


def _merge_label(utterance: Utterance, labels: LabelSet) -> Utterance:
    """Rename the emotion to its merged label, or to none, for balancing and stratification."""
    emotion = utterance.emotion
    name = labels.merged(emotion) if emotion in labels and emotion else None
    return (
        utterance if utterance.emotion == name else utterance.model_copy(update={"emotion": name})
    )


def _split(
    manifest: Manifest, chosen: Sequence[Utterance], protocol: ProtocolConfig, copies: Copies
) -> Split:
    """Split the chosen utterances; others in published folds are dropped."""
    if not protocol.name.startswith("published"):
        return make_split(chosen, protocol, copies)
    split = make_split(manifest.utterances, protocol)
    ids = {row.id for row in chosen}
    folds = tuple(
        Fold(
            fold.name,
            *(tuple(name for name in part if name in ids) for part in fold.parts.values()),
        )
        for fold in split.folds
    )
    empty = [fold.name for fold in folds if not all(fold.parts.values())]
    if empty:
        raise ProtocolError(
            f"fold {empty[0]}: a part has no utterance with one of the labels; change labels.names"
        )
    return replace(split, folds=folds)


def _inventory(
    config: RunConfig, labels: LabelSet, utterances: Sequence[Utterance]
) -> PhonemeInventory | None:
    auxiliary = config.model.auxiliary
    if auxiliary is None:
        return None
    transcripts = [row.transcript for row in utterances if row.transcript]
    inventory = make_inventory(auxiliary.inventory, auxiliary.alphabet, labels.names, transcripts)
    with_target = sum(row.phonemes is not None for row in utterances)
    if auxiliary.inventory != "characters" and with_target == 0:
        raise ProtocolError(
            f"{config.manifest}: no utterance has phonemes, which the auxiliary task needs; "
            "prepare the corpus with phonemes, or set model.auxiliary=null"
        )
    return inventory
