"""Schemas of the responses, for OpenAPI."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class _Schema(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class Fault(_Schema):
    """Details of an error."""

    message: str
    """One line: what was expected, what was found, what to do next."""
    type: str
    param: str | None = None
    """The field that caused the error."""
    code: str
    """Stable identifier for programs."""
    request_id: str | None = None
    """The same as in the header X-Request-Id."""


class ErrorAnswer(_Schema):
    """Body of every error response."""

    error: Fault


class ProfileName(_Schema):
    """The applied profile; absent without one."""

    hash: str
    """Beginning of the SHA-256 of its content."""
    count: int
    """Number of vectors it was made from: recordings, and windows of long ones."""


class DimensionsData(_Schema):
    """Emotion as values from 0 to 1."""

    arousal: float | None = None
    """From calm to excited."""
    valence: float | None = None
    """From negative to positive."""
    dominance: float | None = None
    """From submissive to dominant; of a model trained on ratings of it."""
    derived: bool
    """Whether they come from the emotions' scores; else from a head that is trained on ratings."""


class SegmentData(_Schema):
    """A segment of the recording with its emotion; times in seconds."""

    start: float
    end: float
    label: str
    unsure: bool
    """Whether its score is below the model's threshold."""
    scores: dict[str, float]
    dimensions: DimensionsData | None = None
    channel: int | None = None
    """From 1 on; absent for the mix of all channels."""


class SpanData(_Schema):
    """A recognized phoneme."""

    symbol: str
    """IPA symbol from the model's inventory."""
    start: float
    end: float
    confidence: float
    share: float | None = None
    """Contribution to the score of the recognized emotion, -1 to 1; with `phonemes`."""


class ChannelData(_Schema):
    """The emotion of a recording, or of one of its channels."""

    model_config = ConfigDict(extra="allow")

    label: str | None
    """The emotion with the highest score; null if no speech was found."""
    unsure: bool
    """Whether the label is in doubt: a score below the model's threshold, or no label. One
    without doubt can still be wrong, on voices and languages that the model did not learn often."""
    scores: dict[str, float]
    """Probability of each emotion; meaningless without speech."""
    seconds: float
    """Length of the recording."""
    phonemes: list[str] | None
    warnings: list[str]
    """truncated, silent, clipped, dc_offset, windowed, no_speech, unsure,
    timeline_differs (no segment has the label of the whole, which is one pass over all of it, while
    segments are from windows of it); of channels:
    channels_differ, opposite_phase, silent_channel; with an amount: unused_bytes=1234 (of the file,
    not decoded) and unused_tracks=1 (audio tracks beside the first)."""
    speech_ratio: float | None
    """Fraction of the recording that is speech."""
    dimensions: DimensionsData | None = None
    """Arousal and valence; absent for a model without them."""
    profile: ProfileName | None = None
    segments: list[SegmentData]
    """A single segment has the scores of the whole."""
    mixture: dict[str, float] | None = None
    """Share of the segments' time by emotion, largest first, where none has half of it; absent for
    others, and for recordings with less than 20 s of segments."""
    spans: list[SpanData] | None = None
    """Phonemes with times; with `phonemes`, or in verbose_json."""
    channel: int | None = None
    """The channel, from 1 on (of a stereo file, 1 is left); absent for the mix of all."""


class MomentData(_Schema):
    """A segment with a high score."""

    start: float
    end: float
    label: str
    score: float


class TrendData(_Schema):
    """One of up to six equal parts of the recording."""

    start: float
    end: float
    label: str
    scores: dict[str, float]


class PartyData(_Schema):
    """What a party's speech is like over the whole recording; a party is a channel, or the mix."""

    model_config = ConfigDict(extra="allow")

    channel: int | None = None
    seconds: float
    speech_share: float | None
    silence_share: float | None
    emotions: dict[str, float]
    """Share of the party's time by emotion."""
    mean_confidence: float | None
    strongest: list[MomentData]
    trend: list[TrendData]
    change: dict[str, float] | None
    """Mean score of the last third minus that of the first; null if there is too little speech."""


class SummaryData(_Schema):
    """Summary of a recording by party."""

    parties: list[PartyData]


class EmotionAnswer(ChannelData):
    """The emotion of a recording."""

    model: str
    channels: list[ChannelData] | None = None
    """With `channels=split`: the prediction of each channel with sound."""
    summary: SummaryData | None = None
    """With `summary`."""
    file: str | None = None
    """In verbose_json."""
    timings: dict[str, float] | None = None
    """Processing time in seconds by stage; in verbose_json."""


class Status(_Schema):
    """Health of the server."""

    status: Literal["ok"]


class Version(_Schema):
    """Versions of the server and of its inference runtime."""

    phonemo: str
    onnxruntime: str


class ModelCard(_Schema):
    """A served model."""

    id: str
    object: Literal["model"]
    labels: list[str]
    phonemes: bool | None = None
    """Whether it recognizes phonemes; null if unknown."""
    decodings: list[str]
    """How it can decode phonemes; empty without phonemes."""
    precision: str | None = None
    licence: str | None = None
    """License of the weights."""
    device: str
    """Where it runs: "cpu", or a card, "cuda" or "cuda:1"."""
    whole_seconds: float
    """Longest recording that is processed in one pass."""
    window_seconds: float
    """Window length for longer recordings."""


class ModelList(_Schema):
    """The models, default first."""

    object: Literal["list"]
    data: list[ModelCard]


class ProfileData(_Schema):
    """Content of a profile file. A profile of a person is a coarse voice print: personal data."""

    format: Literal[1]
    model: str
    """Digest of the model that it belongs to."""
    count: int
    """Number of vectors it was made from."""
    seconds: float
    """Seconds of speech it was made from."""
    mean: list[float]
    deviation: list[float]


class LeftOut(_Schema):
    """A recording that is not part of a profile."""

    file: str
    code: str
    """no_speech, or the code of the error."""
    message: str


class ProfileAnswer(_Schema):
    """A new profile, and the recordings that it was made from."""

    model: str
    hash: str
    """Identifies the profile in predictions."""
    recordings: int
    """Recordings that it was made from."""
    silent: int
    """Recordings left out because they contain no speech."""
    failed: int
    """Recordings left out because they cannot be used."""
    left_out: list[LeftOut]
    profile: ProfileData


class ProfileCard(_Schema):
    """A profile on the server."""

    name: str
    hash: str
    count: int
    models: list[str]
    """The models that it can be applied to."""


class ProfileLimits(_Schema):
    """Limits of profiles, and of creating them."""

    profile_bytes: int
    profile_files: int
    profile_seconds: float


class ProfileList(_Schema):
    """The profiles on the server, and the models that support profiles."""

    object: Literal["list"]
    data: list[ProfileCard]
    models: list[str]
    limits: ProfileLimits


class Limits(_Schema):
    """Limits of a request."""

    body_bytes: int
    audio_seconds: float
    stream_seconds: float
    stream_message_bytes: int
    key_required: bool
    formats: list[str]
    """Formats of recordings that are accepted."""
    media: bool
    """Whether the formats of phones and browsers (m4a, mp4, webm) are among them."""
