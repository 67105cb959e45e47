"""Within one corpus: every speaker left out in turn, without and with the speaker's profile.

A speaker is a source here. Without a profile a head reads vectors as they are; with one, the
training speakers are standardised by speaker and the tested one by all of the speaker's own
unlabelled recordings. Other corpora may teach besides, by speaker too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from phonemo.errors import ConfigError, ProtocolError
from phonemo.labels import LabelSet
from phonemo.runtime.adaptation.statistics import Reference, logits_of
from phonemo.train.transfer.corpora import Corpus, Indices, Rows, read_corpus
from phonemo.train.transfer.linear_heads import Standardise
from phonemo.train.transfer.selection import Choice, choices_of
from phonemo.train.transfer.study import Study, described
from phonemo.train.transfer.study_config import SystemConfig, WithinConfig
from phonemo.train.transfer.testing import by_speaker, counted, unweighted
from phonemo.train.transfer.vectors import FrozenNetwork, forbid_leaks

Floats = npt.NDArray[np.float64]

#: Whether profiles are used -> by what training vectors are standardised.
PROFILES: dict[str, Standardise] = {"single": "none", "profile": "source"}
#: Speakers that teach are left out in at most so many groups, to pick.
_GROUPS = 4


def run_within(study: Study, name: str, within: WithinConfig) -> dict[str, Any]:
    """The content of a file: one system on one corpus, all of its speakers.

    Args:
        study: its corpora may teach besides.
        name: of the system, whose network is used as it is.
        within: the corpus and its labels.

    Raises:
        PhonemoError: of any kind.
    """
    system = study.config.systems[name]
    labels = LabelSet(within.labels.names, within.labels.merge)
    corpus = read_corpus(within.manifest, labels)
    network = study.bench.network(system, choices_of(system)[0], (), study.config.seeds[0])
    forbid_leaks(network, corpus, "take it out of within")
    folds = _Folds(study, system, network, labels, corpus, _teachers(study, within, corpus))
    speakers = _speakers(corpus, labels)
    found: dict[str, Any] = {profile: _empty() for profile in PROFILES}
    rows = folds.rows(corpus, choices_of(system)[0])
    answers = {profile: np.zeros(len(rows), np.int64) for profile in PROFILES}
    for number, speaker in enumerate(speakers, start=1):
        for profile in PROFILES:
            choice = folds.picked(speaker, profile)
            found[profile]["picked"].append(choice.to_json())
            answers[profile][rows.speaker == speaker] = folds.answers(choice, [speaker], [speaker])
        study.bench.progress.step(number, len(speakers), {})
    for profile, given in answers.items():
        tables = counted(rows.truth, given, rows.speaker, len(labels))
        found[profile]["tables"] = tables.reshape(-1).tolist()
    return {
        "system": name,
        "corpus": corpus.name,
        "labels": list(labels.names),
        "teachers": [one.name for one in folds.teachers],
        "network": network.digest,
        "utterances": len(rows),
        "speakers": speakers,
        **found,
    }


def _empty() -> dict[str, Any]:
    return {"picked": []}


def _teachers(study: Study, within: WithinConfig, corpus: Corpus) -> list[Corpus]:
    strays = [name for name in within.teachers if name not in study.corpora]
    if strays:
        raise ConfigError(
            f"within.teachers names {strays[0]!r}, expected one of {', '.join(study.corpora)}"
        )
    if corpus.name in within.teachers:
        raise ConfigError(
            f"within.teachers names {corpus.name}, the corpus itself; expected another"
        )
    return [study.corpora[name] for name in within.teachers]


def _speakers(corpus: Corpus, labels: LabelSet) -> list[str]:
    chosen = [corpus.utterances[place] for place in corpus.chosen(labels)]
    unknown = sum(one.speaker is None for one in chosen)
    speakers = sorted({str(one) for one in corpus.speakers(labels)})
    if unknown or len(speakers) < 3:
        raise ProtocolError(
            f"{corpus.manifest.path}: expected three known speakers or more, got "
            f"{len(speakers) - unknown} and {unknown} utterances without one; take it out of within"
        )
    return speakers


class _Folds:
    """Heads for some speakers of a corpus, each for what is left out."""

    def __init__(
        self,
        study: Study,
        system: SystemConfig,
        network: FrozenNetwork,
        labels: LabelSet,
        corpus: Corpus,
        teachers: Sequence[Corpus],
    ) -> None:
        self.study, self.system, self.network = study, system, network
        self.labels, self.corpus, self.teachers = labels, corpus, tuple(teachers)

    def rows(self, corpus: Corpus, choice: Choice) -> Rows:
        """Of a corpus, each speaker a source."""
        self.network.check(choice.statistics, choice.pooled)
        found = self.study.bench.rows(self.network, choice.columns, corpus, self.labels)
        return replace(found, source=found.speaker)

    def picked(self, speaker: str, profile: str) -> Choice:
        """The best choice for the other speakers, left out in groups."""
        choices = _for_profile(choices_of(self.system), profile)
        if len(choices) == 1:
            return choices[0]
        scores = [self._score(one, speaker) for one in choices]
        return choices[int(np.argmax(scores))]

    def answers(self, choice: Choice, away: Sequence[str], asked: Sequence[str]) -> Indices:
        """Class indices for some speakers' utterances from a head without those that are away."""
        own = self.rows(self.corpus, choice)
        head = self._head(choice, own, away)
        rows = own.where(np.isin(own.speaker, asked))
        found: Indices = _logits(head, rows, choice.head.standardise == "source").argmax(axis=1)
        return found

    def _score(self, choice: Choice, speaker: str) -> float:
        own = self.rows(self.corpus, choice)
        others = sorted(set(own.speaker.tolist()) - {speaker})
        given, truth = [], []
        for group in _grouped(others):
            given.append(self.answers(choice, [speaker, *group], group))
            truth.append(own.truth[np.isin(own.speaker, group)])
        return unweighted(np.concatenate(truth), np.concatenate(given), len(self.labels))

    def _head(self, choice: Choice, own: Rows, away: Sequence[str]) -> Reference:
        parts: dict[str, Rows] = {self.corpus.name: own.where(~np.isin(own.speaker, away))}
        parts |= {one.name: self.rows(one, choice) for one in self.teachers}
        of = described(self.network, choice, [self.corpus, *self.teachers])
        return self.study.bench.head(parts, of, len(self.labels), choice.head)


def _logits(head: Reference, rows: Rows, profiled: bool) -> Floats:
    return by_speaker(head, rows, None) if profiled else logits_of(head, rows.vectors, None)


def _grouped(speakers: Sequence[str]) -> list[list[str]]:
    count = min(_GROUPS, len(speakers))
    return [list(speakers[number::count]) for number in range(count)]


def _for_profile(choices: Sequence[Choice], profile: str) -> list[Choice]:
    """Those that differ, without a profile's constants where there is none."""
    found = []
    for choice in choices:
        head = replace(choice.head, standardise=PROFILES[profile], mask=False)
        if profile == "single":
            head = replace(head, k_mean=0.0, k_spread=0.0, em_iterations=0)
        found.append(replace(choice, head=head))
    return list(dict.fromkeys(found))
