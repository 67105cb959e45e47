"""The schema of phonemes.json: bits of every phoneme, and how far corpora agree on them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from phonemo.evaluation.metrics_schema import Count, Share

Kind = Literal["vowel", "voiced consonant", "voiceless consonant"]
Sonority = Literal["vowel", "sonorant consonant", "voiced obstruent", "voiceless consonant"]


class _PhonemeModel(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class Estimate(_PhonemeModel):
    """A mean with its 95 % interval, by resampling speakers."""

    mean: float
    low: float
    high: float


class PhonemeRow(_PhonemeModel):
    """One phoneme of a reading."""

    symbol: str
    phonetic_class: str
    kind: Kind
    utterances: Count
    segments: Count
    seconds: float
    """Median duration."""
    bits: Estimate
    """What one segment says about the emotion: a lower bound on the mutual information."""
    null: float
    """The same with emotions exchanged within speakers."""
    cost: Estimate
    """UA points that leaving out all its frames costs, in utterances that have it."""
    segment_cost: Estimate
    """UA points that leaving out one of its segments costs."""


class GroupRow(_PhonemeModel):
    """A stratum: a phonetic class, a position and so on."""

    factor: str
    level: str
    phonemes: Count
    bits: Estimate


class Coefficient(_PhonemeModel):
    """A term of the linear regression of a segment's bits."""

    term: str
    bits: Estimate


STATE_NAMES = {"convolutions": "convolutions", "highest": "highest state"}
"""State of a reading -> its name in tables."""


class Reading(_PhonemeModel):
    """One way of measuring a corpus."""

    alignment: Literal["forced", "by hand"]
    state: Literal["convolutions", "highest"]
    """The convolutions' output, or the highest hidden state."""
    phonemes: tuple[PhonemeRow, ...] = Field(min_length=1)
    groups: tuple[GroupRow, ...]
    regression: tuple[Coefficient, ...]
    explained: dict[str, float]
    """Share of the variance between phonemes that the regression's terms explain, adjusted."""
    reliability: float
    """Rank correlation of the lists of two halves of the speakers, by Spearman and Brown."""
    ua: Share
    """Of the discriminant on the whole utterances."""

    @property
    def ranked(self) -> list[PhonemeRow]:
        """Phonemes, the most informative first."""
        return sorted(self.phonemes, key=lambda row: (-row.bits.mean, row.symbol))


class CorpusReadings(_PhonemeModel):
    """A corpus and its readings."""

    name: str
    language: str
    emotions: tuple[str, ...]
    utterances: Count
    aligner: str | None = None
    """The bundle that aligned the phonemes; null is a layer fitted on the corpus."""
    unaligned: Count
    """Utterances with more phonemes than frames, which are left out."""
    sentences: Count
    speakers: Count
    entropy: float
    """Of the emotion, in bits."""
    folds: dict[str, tuple[str, ...]]
    """Fold -> the phonemes that its training speakers choose, the most informative first."""
    readings: tuple[Reading, ...]

    def reading(self, state: str, alignment: str = "forced") -> Reading | None:
        """The reading of a state and an alignment, if there is one."""
        every = [one for one in self.readings if (one.state, one.alignment) == (state, alignment)]
        return every[0] if every else None


class Agreement(_PhonemeModel):
    """Spearman's rank correlation of two lists on the phonemes that both have."""

    first: str
    second: str
    over: Literal["all", "vowels", "consonants", "classes", "within sonority"]
    """The phonemes; within sonority, ranks are taken relative to the mean of their group."""
    shared: Count
    rho: float
    low: float
    """Lower end of the 95 % interval, by resampling the speakers of both."""
    high: float
    p: Share
    """Of 10,000 permutations of one list."""
    adjusted: Share
    """By Holm, over all rows of the table."""


class PhonemeStudy(_PhonemeModel):
    """The content of phonemes.json."""

    name: str
    command: str
    phonemo: str
    network: str
    segments: Count
    """Utterances that every phoneme is measured on, one segment of each."""
    draws: Count
    seed: int
    keep: Count
    """Phonemes chosen in a fold."""
    corpora: tuple[CorpusReadings, ...] = Field(min_length=1)
    agreements: dict[str, tuple[Agreement, ...]]
    """By what is ranked: bits of the convolutions, of the highest state, costs, or alignments."""
