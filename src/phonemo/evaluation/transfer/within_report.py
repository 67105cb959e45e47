"""Tests of speakers left out within one corpus: their tables in RESULTS.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from phonemo.evaluation.markdown import code, markdown_table, per_cent, plain
from phonemo.evaluation.transfer.transfer_schema import Frequent, Spread, Within, WithinScore

_HEADER = (
    "system",
    "corpus",
    "emotions",
    "speakers",
    "trained also on",
    "without",
    "with a profile",
)
_CHOICE_HEADER = ("system", "corpus", "emotions", "tested", "speakers", "choice")
_CHOICES = """\
Selected hyperparameters that differ, and the number of left-out speakers they were selected for:
"""


def within_tables(results: Sequence[Within]) -> Iterator[str]:
    """Yield the scores, and the hyperparameters that were selected, if there are several."""
    if not results:
        return
    yield "Speakers left out within one corpus, without and with their profiles:\n"
    yield markdown_table(_HEADER, map(_row, results))
    tested = {
        "without": [(result, result.single) for result in results],
        "with a profile": [(result, result.profile) for result in results],
    }
    rows = [row for name, scores in tested.items() for row in _choice_rows(name, scores)]
    if rows:
        yield _CHOICES
        yield markdown_table(_CHOICE_HEADER, rows)


def spread_text(ua: Spread) -> str:
    """Format a score with its interval, in percent."""
    if ua.low is None or ua.high is None:
        return per_cent(ua.mean)
    return f"{per_cent(ua.mean)} ({per_cent(ua.low)} to {per_cent(ua.high)})"


def _choice_rows(
    tested: str, scores: Sequence[tuple[Within, WithinScore]]
) -> Iterator[tuple[str, ...]]:
    picked = [(result, frequent) for result, score in scores for frequent in score.picked]
    for result, frequent in picked:
        choice = _differing(frequent, [other for _, other in picked])
        if choice:
            name, speakers = plain(result.system), f"{frequent.speakers} of {result.speakers}"
            emotions = str(len(result.labels))
            yield (name, plain(result.corpus), emotions, tested, speakers, code(choice))


def _differing(one: Frequent, choices: Sequence[Frequent]) -> str:
    """Format the hyperparameters in which a choice differs from any other one."""
    return ", ".join(
        f"{key}={value}"
        for key, value in one.choice.items()
        if any(other.choice.get(key) != value for other in choices)
    )


def _row(result: Within) -> tuple[str, ...]:
    scores = (spread_text(result.single.ua), spread_text(result.profile.ua))
    teachers = plain(", ".join(result.teachers)) or "-"
    emotions = str(len(result.labels))
    return (
        plain(result.system),
        plain(result.corpus),
        emotions,
        str(result.speakers),
        teachers,
        *scores,
    )
