"""Other corpora that join the training part of every fold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from phonemo.config import ExtraConfig
from phonemo.corpora.manifest import Manifest, Utterance, read_manifest
from phonemo.corpora.merge import named_apart
from phonemo.errors import LeakageError, ProtocolError
from phonemo.labels import LabelSet
from phonemo.train.lineage import Lineage, taught_by


@dataclass(frozen=True)
class Extras:
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
    lineage: Lineage = field(default_factory=Lineage)
    repeats: dict[str, int] = field(default_factory=dict)

    @property
    def epoch(self) -> tuple[Utterance, ...]:
        """What is learnt from in one epoch, as often as it is."""
        return tuple(one for one in self.train for _ in range(self.repeats.get(one.id, 1)))

    @property
    def utterances(self) -> tuple[Utterance, ...]:
        """All of them."""
        return (*self.train, *(one for part in self.held_out.values() for one in part))


def read_extras(
    configs: Sequence[ExtraConfig], main: Manifest, labels: LabelSet, phonemes: bool
) -> Extras:
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
    lineage = Lineage()
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
        lineage = lineage | taught_by(corpus, kept_in)
        if away:
            held_out[corpus] = tuple(one for one in useful if one.speaker in away)
        kept = f", {len(away)} speakers held out for phonemes" if away else ""
        often = f", {config.repeat} times an epoch" if config.repeat > 1 else ""
        if often:
            repeats |= {one.id: config.repeat for one in learnt}
        notes.append(f"trained also on {len(learnt)} utterances of {corpus}{often}{kept}")
    return Extras(tuple(train), held_out, tuple(notes), lineage, repeats)


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
