"""Scores against raters as text: for the terminal, RESULTS.md and model cards."""

from __future__ import annotations

from collections.abc import Iterator

from phonemo.evaluation.ratings.rating_schema import DimensionResults, RatingScore, VoteScore


def dimension_texts(found: DimensionResults | None) -> list[str]:
    """A line for the mean CCC, if there are several dimensions, and one for each dimension."""
    return [] if found is None else list(_dimension_texts(found))


def vote_texts(found: VoteScore | None) -> list[str]:
    """A line about the raters' votes; none without them."""
    if found is None:
        return []
    return [
        f"votes of {found.utterances} utterances: Jensen-Shannon divergence "
        f"{rating_text(found.divergence)} bits (always the mean distribution: "
        f"{found.chance:.3f}), calibration against their shares {found.ece:.3f}"
    ]


def rating_text(score: RatingScore | None) -> str:
    """A mean with its interval, if it has one: "0.612 (0.551 to 0.668)"; a dash for none."""
    if score is None:
        return "-"
    if score.low is None or score.high is None:
        return f"{score.mean:.3f}"
    return f"{score.mean:.3f} ({score.low:.3f} to {score.high:.3f})"


def mean_ccc_text(found: DimensionResults | None) -> str:
    """The mean CCC as a table's cell; a dash for none."""
    return rating_text(None if found is None else found.mean_ccc)


def _dimension_texts(found: DimensionResults) -> Iterator[str]:
    if len(found.scores) > 1:
        yield f"mean CCC {rating_text(found.mean_ccc)} of {', '.join(found.scores)}"
    for name, score in found.scores.items():
        yield (
            f"{name}: CCC {rating_text(score.ccc)}, Pearson {rating_text(score.pearson)}, RMSE "
            f"{rating_text(score.rmse)} (scale 0 to 1), {score.utterances} utterances"
        )
