"""The prediction of a recording whose channels are processed each on its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from phonemo.annotations.dimensions import mean_dimensions
from phonemo.annotations.doubt import with_doubt
from phonemo.annotations.prediction import TIMELINE_DIFFERS, UNSURE, Prediction
from phonemo.audio import WARNINGS

#: Warnings that apply to a recording only if they apply to every channel.
_IF_EVERY_CHANNEL = {"silent", "no_speech"}


def on_channel(prediction: Prediction, channel: int | None) -> Prediction:
    """Return a copy that names the channel, from 1 on, itself and in its segments."""
    if channel is None:
        return prediction
    segments = tuple(replace(segment, channel=channel) for segment in prediction.segments)
    return replace(prediction, channel=channel, segments=segments)


def combine_channels(predictions: Sequence[Prediction], abstain_below: float = 0.0) -> Prediction:
    """Combine the predictions of a recording's channels with sound.

    The scores are the mean, weighted by seconds of speech; the segments are those of all channels,
    sorted by start; the share of speech of the whole recording is not known.

    Args:
        predictions: one per channel, each with its ``channel``; a single one without a channel, of
            a recording without sound, is returned as it is.
        abstain_below: the model's threshold; if the highest score is below it, the combined
            prediction has the warning "unsure".
    """
    first = predictions[0]
    if len(predictions) == 1 and first.channel is None:
        return first
    weights = _weights(predictions)
    scores = mean_scores([one.scores for one in predictions], weights)
    dimensions = [one.dimensions for one in predictions]
    segments = (segment for one in predictions for segment in one.segments)
    combined = Prediction(
        label=max(scores, key=scores.__getitem__),
        scores=scores,
        seconds=max(one.seconds for one in predictions),
        warnings=_merge_warnings(predictions),
        segments=tuple(sorted(segments, key=lambda segment: segment.start)),
        timings=_total_timings(predictions),
        profile=first.profile,
        channels=tuple(predictions),
        dimensions=mean_dimensions(zip(dimensions, weights, strict=True)),
    )
    return with_doubt(combined, abstain_below)


def mean_scores(parts: Sequence[dict[str, float]], weights: Sequence[float]) -> dict[str, float]:
    """The weighted mean of parts' scores; of a single part exactly its own."""
    if len(parts) == 1:
        return parts[0]
    mean = np.average([list(scores.values()) for scores in parts], axis=0, weights=weights)
    return {name: float(score) for name, score in zip(parts[0], mean, strict=True)}


def with_sound(predictions: Sequence[Prediction]) -> list[Prediction]:
    """Those of channels that are not silent, with the warning "silent_channel" if any is."""
    kept = [one for one in predictions if "silent" not in one.warnings]
    if len(kept) == len(predictions):
        return kept
    return [replace(one, warnings=_with_silent_channel(one.warnings)) for one in kept]


def _with_silent_channel(warnings: Sequence[str]) -> tuple[str, ...]:
    """The warnings with "silent_channel" as the last of those about the audio."""
    audio = [name for name in warnings if name.partition("=")[0] in WARNINGS]
    others = [name for name in warnings if name not in audio]
    return (*audio, "silent_channel", *others)


def _weights(predictions: Sequence[Prediction]) -> list[float]:
    """Seconds of speech of each channel; equal if there are none."""
    speech = [one.seconds * (one.speech_ratio or 0.0) for one in predictions]
    return speech if sum(speech) > 0 else [1.0] * len(predictions)


def _merge_warnings(predictions: Sequence[Prediction]) -> tuple[str, ...]:
    """The channels' warnings, each once; those about silence only if every channel has them."""
    names = dict.fromkeys(name for one in predictions for name in one.warnings)
    common = set.intersection(*(set(one.warnings) for one in predictions))
    excluded = {UNSURE, TIMELINE_DIFFERS, *(_IF_EVERY_CHANNEL - common)}
    return tuple(name for name in names if name not in excluded)


def _total_timings(predictions: Sequence[Prediction]) -> dict[str, float]:
    stages = dict.fromkeys(stage for one in predictions for stage in one.timings)
    return {stage: sum(one.timings.get(stage, 0.0) for one in predictions) for stage in stages}
