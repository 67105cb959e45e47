"""Studies of derived arousal and valence: the schema of dimensions.json, its section, its lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from phonemo.evaluation.markdown import code, markdown_table, plain
from phonemo.evaluation.metrics_schema import Count, Share


class _DimensionModel(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class ContrastScore(_DimensionModel):
    """An AUC with its 95 % bootstrap interval over speakers."""

    auc: Share
    low: Share
    high: Share
    pairs: Count
    """Compared pairs of recordings."""


class TestedDimensions(_DimensionModel):
    """The values of one corpus in one condition."""

    name: str
    contrasts: dict[str, ContrastScore]
    mean: dict[str, float]
    deviation: dict[str, float]
    beyond: Share
    """Share of recordings with a value below 0 or above 1."""


class DerivedCell(_DimensionModel):
    """One method on one corpus, or on the speakers of one corpus, that it was not trained on."""

    method: str
    left_out: str
    picked: dict[str, Any]
    conditions: tuple[TestedDimensions, ...] = Field(min_length=1)


class LevelChange(_DimensionModel):
    """Absolute changes of arousal and valence by a gain."""

    gain: float
    largest: tuple[float, float]
    mean: tuple[float, float]


class LevelTest(_DimensionModel):
    """The same clips louder and quieter."""

    model: str
    clips: Count
    changes: tuple[LevelChange, ...]


class DimensionResults(_DimensionModel):
    """The content of dimensions.json."""

    name: str
    command: str
    config: str
    phonemo: str
    averaged: tuple[str, ...]
    selected_by: tuple[str, ...]
    cells: tuple[DerivedCell, ...] = Field(min_length=1)
    speakers_left_out: tuple[DerivedCell, ...] = ()
    levels: LevelTest


#: Contrast -> what it compares, and the bar of its AUC.
CONTRASTS = {
    "arousal": ("anger, fear, happiness, surprise against sadness, calm, neutral", 0.85),
    "valence": ("happiness against anger", 0.75),
    "intensity": ("arousal of strong against normal, same actor and emotion", 0.75),
}
_CONDITIONS = {"single": "single", "source": "adapted, all", "speaker": "by speaker"}

_PREFACE = """\
Arousal and valence of a model that was trained on categories. **norms** is the mean of published
norms of the emotions, weighted by their scores; **anchored** is a ridge regression from the head's
vectors to these norms; **anchored-intensity** raises and lowers the anchor of arousal by 0.1 for
the strong and the normal intensity of RAVDESS, where that is trained on. No corpus here has rated
dimensions: the AUC is the share of pairs of recordings that are in the expected order, with a 95 %
bootstrap interval over speakers. The options of each method are picked without the tested corpus;
which method ships was decided with a look at this table.
"""


def dimension_sections(studies: Sequence[DimensionResults]) -> Iterator[str]:
    """Yield the sections of RESULTS.md."""
    if studies:
        yield f"## Derived arousal and valence\n\n{_PREFACE}"
    for study in studies:
        yield "\n".join(_study(study))


def dimension_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the content of dimensions.json as terminal lines."""
    study = DimensionResults.model_validate(found)
    for row in [_HEADER, *_rows(study)]:
        yield "  ".join(f"{cell:<22}" for cell in row).replace("*", "").rstrip()
    for method, corpus, *cells in _within_rows(study):
        yield f"speakers of {corpus} left out, {method}: {', '.join(cells)}"
    yield from _level_texts(study.levels)


_HEADER = ("method", "left out", "tested", *CONTRASTS)


def _study(study: DimensionResults) -> Iterator[str]:
    yield f"### {plain(study.name)}\n"
    for name, (text, bar) in CONTRASTS.items():
        yield f"- {name}: {text}; bar {bar}"
    yield f"- mean over {plain(', '.join(study.averaged))}"
    judging = plain(", ".join(study.selected_by))
    yield f"- picked by the mean AUC on {judging}, each left out once more"
    yield f"- measured by phonemo {plain(study.phonemo)}, config {code(study.config)}, with"
    yield f"  {code(study.command)}\n"
    yield markdown_table(_HEADER, _rows(study))
    if study.speakers_left_out:
        yield "A quarter of the speakers left out, trained on the others and on all corpora:\n"
        yield markdown_table(("method", "corpus", *CONTRASTS), _within_rows(study))
    yield "Picked, and the spread of the values (mean ± standard deviation, single):\n"
    yield markdown_table(
        ("method", "left out", "picked", "arousal", "valence", "beyond 0 to 1 %"),
        map(_spread_row, study.cells),
    )
    yield "\n".join(f"- {text}" for text in _level_texts(study.levels)) + "\n"


def _rows(study: DimensionResults) -> Iterator[tuple[str, ...]]:
    for method in dict.fromkeys(cell.method for cell in study.cells):
        cells = [cell for cell in study.cells if cell.method == method]
        for condition, title in _CONDITIONS.items():
            means = (_mean(cells, study.averaged, condition, name) for name in CONTRASTS)
            yield (plain(method), "**mean**", title, *means)
        for cell in cells:
            for tested in cell.conditions:
                scores = (_text(tested.contrasts.get(name)) for name in CONTRASTS)
                yield (plain(method), plain(cell.left_out), _CONDITIONS[tested.name], *scores)


def _mean(
    cells: Sequence[DerivedCell], corpora: Sequence[str], condition: str, contrast: str
) -> str:
    aucs = [
        tested.contrasts[contrast].auc
        for cell in cells
        if cell.left_out in corpora
        for tested in cell.conditions
        if tested.name == condition and contrast in tested.contrasts
    ]
    return f"{sum(aucs) / len(aucs):.3f}" if aucs else "-"


def _text(score: ContrastScore | None) -> str:
    return "-" if score is None else f"{score.auc:.3f} ({score.low:.3f} to {score.high:.3f})"


def _within_rows(study: DimensionResults) -> Iterator[tuple[str, ...]]:
    for cell in study.speakers_left_out:
        scores = (_text(cell.conditions[0].contrasts.get(name)) for name in CONTRASTS)
        yield (plain(cell.method), plain(cell.left_out), *scores)


def _spread_row(cell: DerivedCell) -> tuple[str, ...]:
    single = cell.conditions[0]
    picked = ", ".join(f"{key}={value}" for key, value in cell.picked.items())
    spreads = (f"{single.mean[name]:.2f} ± {single.deviation[name]:.2f}" for name in single.mean)
    beyond = f"{100 * single.beyond:.1f}"
    return (plain(cell.method), plain(cell.left_out), code(picked), *spreads, beyond)


def _level_texts(levels: LevelTest) -> Iterator[str]:
    for change in levels.changes:
        largest, mean = change.largest[0], change.mean[0]
        yield (
            f"{levels.clips} clips at {change.gain:+g} dB, {plain(levels.model)}: arousal moves by "
            f"at most {largest:.4f}, {mean:.4f} on average"
        )
