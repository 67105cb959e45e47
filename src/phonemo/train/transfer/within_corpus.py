"""Leave-one-speaker-out within one corpus, without and with the speaker's profile.

A speaker is a source here. Without a profile a head reads unstandardized vectors; with one, vectors
are standardized by speaker, for the tested one by all of the speaker's unlabeled recordings. Other
corpora may be trained on too, also by speaker.
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

#: Whether profiles are used -> the statistics that standardize training vectors.
PROFILES: dict[str, Standardise] = {"single": "none", "profile": "source"}
#: Largest number of speaker groups that are left out for picking.
_GROUPS = 4


def run_within(study: Study, name: str, within: WithinConfig) -> dict[str, Any]:
    """Compute the content of a file: one system on all speakers of one corpus.

    Args:
        study: the study; its corpora may be trained on too.
        name: the system's name; its network is used unchanged.
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
    results: dict[str, Any] = {profile: _empty() for profile in PROFILES}
    rows = folds.rows(corpus, choices_of(system)[0])
    answers = {profile: np.zeros(len(rows), np.int64) for profile in PROFILES}
    for number, speaker in enumerate(speakers, start=1):
        for profile in PROFILES:
            choice = folds.pick(speaker, profile)
            results[profile]["picked"].append(choice.to_json())
            answers[profile][rows.speaker == speaker] = folds.answers(choice, [speaker], [speaker])
        study.bench.progress.step(number, len(speakers), {})
    for profile, predicted in answers.items():
        tables = counted(rows.truth, predicted, rows.speaker, len(labels))
        results[profile]["tables"] = tables.reshape(-1).tolist()
    return {
        "system": name,
        "corpus": corpus.name,
        "labels": list(labels.names),
        "teachers": [teacher.name for teacher in folds.teachers],
        "network": network.digest,
        "utterances": len(rows),
        "speakers": speakers,
        **results,
    }


def _empty() -> dict[str, Any]:
    return {"picked": []}


def _teachers(study: Study, within: WithinConfig, corpus: Corpus) -> list[Corpus]:
    unknown = [name for name in within.teachers if name not in study.corpora]
    if unknown:
        raise ConfigError(
            f"within.teachers: expected names among {', '.join(study.corpora)}, got {unknown[0]!r}"
        )
    if corpus.name in within.teachers:
        raise ConfigError(
            f"within.teachers: expected other corpora, got {corpus.name} itself; remove it"
        )
    return [study.corpora[name] for name in within.teachers]


def _speakers(corpus: Corpus, labels: LabelSet) -> list[str]:
    utterances = [corpus.utterances[index] for index in corpus.chosen(labels)]
    unknown = sum(utterance.speaker is None for utterance in utterances)
    speakers = sorted({str(speaker) for speaker in corpus.speakers(labels)})
    if unknown or len(speakers) < 3:
        raise ProtocolError(
            f"{corpus.manifest.path}: expected three known speakers or more, got "
            f"{len(speakers) - unknown} and {unknown} utterances without one; take it out of within"
        )
    return speakers


class _Folds:
    """Heads of a corpus, by the speakers that are left out."""

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
        """Return a corpus' rows, with each speaker as a source."""
        self.network.check(choice.statistics, choice.pooled)
        rows = self.study.bench.rows(self.network, choice.columns, corpus, self.labels)
        return replace(rows, source=rows.speaker)

    def pick(self, speaker: str, profile: str) -> Choice:
        """Pick the choice that is best for the other speakers, left out in groups."""
        choices = _for_profile(choices_of(self.system), profile)
        if len(choices) == 1:
            return choices[0]
        scores = [self._score(choice, speaker) for choice in choices]
        return choices[int(np.argmax(scores))]

    def answers(self, choice: Choice, left_out: Sequence[str], speakers: Sequence[str]) -> Indices:
        """Predict class indices for speakers with a head fitted without the left-out ones."""
        own = self.rows(self.corpus, choice)
        head = self._head(choice, own, left_out)
        rows = own.where(np.isin(own.speaker, speakers))
        answers: Indices = _logits(head, rows, choice.head.standardise == "source").argmax(axis=1)
        return answers

    def _score(self, choice: Choice, speaker: str) -> float:
        own = self.rows(self.corpus, choice)
        others = sorted(set(own.speaker.tolist()) - {speaker})
        answers, truth = [], []
        for group in _groups(others):
            answers.append(self.answers(choice, [speaker, *group], group))
            truth.append(own.truth[np.isin(own.speaker, group)])
        return unweighted(np.concatenate(truth), np.concatenate(answers), len(self.labels))

    def _head(self, choice: Choice, own: Rows, left_out: Sequence[str]) -> Reference:
        parts: dict[str, Rows] = {self.corpus.name: own.where(~np.isin(own.speaker, left_out))}
        parts |= {corpus.name: self.rows(corpus, choice) for corpus in self.teachers}
        of = described(self.network, choice, [self.corpus, *self.teachers])
        return self.study.bench.head(parts, of, len(self.labels), choice.head)


def _logits(head: Reference, rows: Rows, profiled: bool) -> Floats:
    return by_speaker(head, rows, None) if profiled else logits_of(head, rows.vectors, None)


def _groups(speakers: Sequence[str]) -> list[list[str]]:
    count = min(_GROUPS, len(speakers))
    return [list(speakers[index::count]) for index in range(count)]


def _for_profile(choices: Sequence[Choice], profile: str) -> list[Choice]:
    """Remove duplicate choices, ignoring adaptation constants if there is no profile."""
    adjusted = []
    for choice in choices:
        head = replace(choice.head, standardise=PROFILES[profile], mask=False)
        if profile == "single":
            head = replace(head, k_mean=0.0, k_spread=0.0, em_iterations=0)
        adjusted.append(replace(choice, head=head))
    return list(dict.fromkeys(adjusted))
