"""Methods that derive arousal and valence from a frozen network, trained on given corpora."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from phonemo.annotations.dimensions import norms_of
from phonemo.errors import ProtocolError
from phonemo.evaluation.calibration import softmax
from phonemo.labels import LabelSet
from phonemo.runtime.adaptation.statistics import Reference, Statistics, adapt_logits, logits_of
from phonemo.train.dimensions.anchored_regression import AnchoredMap, AnchorMoments
from phonemo.train.dimensions.contrasts import Recordings
from phonemo.train.transfer.corpora import Corpus, Rows, concatenate_rows
from phonemo.train.transfer.linear_heads import fit_head
from phonemo.train.transfer.selection import Choice
from phonemo.train.transfer.study import Study
from phonemo.train.transfer.vectors import FrozenNetwork

Floats = npt.NDArray[np.float64]

#: Methods, with the share by which the arousal of a strong recording exceeds its emotion's anchor;
#: that of a normal one is lower by the same.
METHODS: dict[str, float] = {"norms": 0.0, "anchored": 0.0, "anchored-intensity": 0.1}
#: The only corpus whose file names tell the intensity.
_INTENSITY_CORPUS = "ravdess"


@dataclass(frozen=True)
class Candidate:
    """A method with its options."""

    method: str
    norm: str
    choice: Choice

    def to_json(self) -> dict[str, Any]:
        """The options that differ between candidates."""
        head = self.choice.head
        return {"norms": self.norm, "ridge": head.ridge, "k_mean": head.k_mean}


@dataclass(frozen=True, eq=False)
class Derivation:
    """A candidate that is trained.

    Attributes:
        head: standardizes vectors, adapts them and, for the method norms, gives the scores.
        norms: (emotion, dimension).
        anchored: the regression; None for the method norms.
    """

    head: Reference
    norms: Floats
    anchored: AnchoredMap | None

    def values(self, vectors: npt.ArrayLike, source: Statistics | None) -> Floats:
        """Arousal and valence, (utterance, 2), of vectors (utterance, feature)."""
        if self.anchored is not None:
            return self.anchored.values(self.head, vectors, source)
        return softmax(logits_of(self.head, vectors, source)) @ self.norms

    def tested(self, rows: Rows) -> dict[str, Floats]:
        """Values by condition: one by one, with a profile of the corpus, and of each speaker."""
        profile = adapt_logits(self.head, rows.vectors)
        by_speaker = np.empty((len(rows), self.norms.shape[1]))
        for speaker in np.unique(rows.speaker):
            own = rows.speaker == speaker
            pool = adapt_logits(self.head, rows.vectors[own], profile)
            by_speaker[own] = self.values(rows.vectors[own], pool)
        return {
            "single": self.values(rows.vectors, None),
            "source": self.values(rows.vectors, profile),
            "speaker": by_speaker,
        }


@dataclass(eq=False)
class DerivationBench:
    """Trains candidates on corpora; the moments of training data are computed once.

    Attributes:
        study: the corpora and their vectors.
        network: computes the vectors.
    """

    study: Study
    network: FrozenNetwork
    _moments: dict[tuple[Any, ...], AnchorMoments] = field(default_factory=dict)
    _heads: dict[tuple[Any, ...], Reference] = field(default_factory=dict)

    def rows(self, candidate: Candidate, corpus: str) -> Rows:
        """A corpus' vectors, with its emotions."""
        return self.study.rows(self.network, candidate.choice, corpus)

    def known(self, corpus: str) -> Recordings:
        """Emotions, intensities and speakers of a corpus' recordings, in the order of its rows."""
        return recordings_of(self.study.corpora[corpus], self.study.labels)

    def trained(self, candidate: Candidate, teaching: Sequence[Corpus]) -> Derivation:
        """Train a candidate on whole corpora."""
        head = self.study.head(self.network, candidate.choice, teaching)
        parts = {corpus.name: self.rows(candidate, corpus.name) for corpus in teaching}
        strong = [self.known(name).strong for name in parts]
        rows = concatenate_rows(list(parts.values()))
        return self.fitted(candidate, head, rows, np.concatenate(strong), tuple(parts))

    def head(self, candidate: Candidate, rows: Rows, key: tuple[Any, ...]) -> Reference:
        """Fit a head on parts of corpora, which ``key`` identifies."""
        key = (*key, candidate.choice)
        if key not in self._heads:
            self._heads[key] = fit_head(rows, len(self.study.labels), candidate.choice.head)
        return self._heads[key]

    def fitted(
        self,
        candidate: Candidate,
        head: Reference,
        rows: Rows,
        strong: npt.NDArray[np.int64],
        key: tuple[Any, ...],
    ) -> Derivation:
        """Add the regression of a candidate to a head.

        Args:
            candidate: the method.
            head: fitted on the same rows.
            rows: the training data.
            strong: as in ``Recordings``.
            key: identifies the rows.
        """
        norms = _norms(self.study.labels, candidate.norm)
        if candidate.method == "norms":
            return Derivation(head, norms, None)
        key = (*key, candidate.choice.columns)
        if key not in self._moments:
            self._moments[key] = AnchorMoments.of(rows, len(norms), strong)
        anchors = np.vstack((norms, [METHODS[candidate.method], 0.0]))
        anchored = self._moments[key].fit(anchors, candidate.choice.head.ridge)
        return Derivation(head, norms, anchored)


def recordings_of(corpus: Corpus, labels: LabelSet) -> Recordings:
    """What is known of a corpus' recordings that have one of the labels."""
    chosen = [corpus.utterances[index] for index in corpus.chosen(labels)]
    emotion = np.array([utterance.emotion for utterance in chosen])
    strong = np.full(len(chosen), -1)
    if corpus.name == _INTENSITY_CORPUS:
        # modality-channel-emotion-intensity-...: 01 normal, 02 strong; neutral has 01 only
        told = [utterance.id.split("-")[3] == "02" for utterance in chosen]
        strong = np.where(emotion == "neutral", -1, np.array(told, dtype=np.int64))
    return Recordings(emotion, strong, corpus.speakers(labels))


def _norms(labels: LabelSet, name: str) -> Floats:
    norms = norms_of(labels.names, name)
    if norms is None:
        raise ProtocolError(
            f"expected emotions with norms in {name}, got {', '.join(labels.names)}; leave out or "
            "merge the others"
        )
    return np.array(norms)
