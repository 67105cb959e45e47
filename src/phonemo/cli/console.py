"""Lines for standard output: of prepared corpora, of trainings and of their scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phonemo.corpora.prepare import Prepared
    from phonemo.evaluation.calibration import TemperatureScaling
    from phonemo.train.experiments.baselines.text_baseline import ScriptScore

#: Most speakers of a corpus that are listed; of more, the numbers of utterances are summarized.
_MAX_SPEAKERS = 30


def prepared_lines(made: Prepared) -> list[str]:
    """The output of prepare: counts, skipped utterances with reasons, warnings."""
    speakers = [name for name in made.speakers if name != "(none)"]
    emotions = [name for name in made.emotions if name != "(none)"]
    lines = [
        f"{made.output}: {made.utterances} utterances, {len(speakers)} speakers, "
        f"{len(emotions)} emotions, {made.hours:.2f} h"
        + (", PARTIAL" if made.header.partial else ""),
        *(f"  {note}" for note in made.notes),
        *_count_line("emotions", made.emotions),
        *_speaker_line(made.speakers),
        *_count_line("phonemes from", made.phoneme_sources),
        *_count_line("skipped", made.skipped),
    ]
    return lines + [f"  warning: {warning}" for warning in made.warnings]


def pretrained_lines(metrics: Mapping[str, Any], output: Path) -> list[str]:
    """The output of pretrain: remaining error per stage and layer, and the network's folder."""
    lines = [
        f"{metrics['hours']:.2f} h of speech; errors on held-out recordings (1: nothing learned)"
    ]
    for stage in ("front_end", "whole"):
        errors = metrics.get(stage, {})
        parts = [f"{name.removeprefix('eval_')} {value:.3f}" for name, value in errors.items()]
        lines += [f"  {stage.replace('_', ' ')}: {', '.join(parts)}"] if parts else []
    return [*lines, f"  network: {output / 'student'}"]


def result_lines(
    results: Mapping[str, Any], base: Callable[[Mapping[str, Any]], list[str]]
) -> list[str]:
    """Scores, the confusion matrix, and scores per corpus, style, gender and speaker."""
    lines = base(results)
    if results["confusion"] is None:
        return lines
    labels = results["confusion"]["labels"]
    width = max(len(name) for name in labels) + 1
    lines.append("  confusion (rows: true, columns: predicted)")
    lines.append("  " + " " * width + "".join(f"{name[:8]:>9}" for name in labels))
    for name, row in zip(labels, results["confusion"]["counts"], strict=True):
        lines.append(f"  {name:<{width}}" + "".join(f"{count:>9}" for count in row))
    for title in ("per_corpus", "per_style", "per_gender", "per_speaker"):
        if title not in results:
            continue
        lines.append(f"  {title.replace('_', ' ')}")
        for name, score in results[title].items():
            lines.append(
                f"    {name:<14}{score['utterances']:>6} utterances  "
                f"WA {score['wa']:.1%}  UA {score['ua']:.1%}"
            )
    return lines


def _count_line(title: str, counts: Mapping[str, int]) -> list[str]:
    if not counts:
        return []
    parts = ", ".join(f"{name} {count}" for name, count in counts.items())
    return [f"  {title}: {parts}"]


def _speaker_line(counts: Mapping[str, int]) -> list[str]:
    known = sorted(count for name, count in counts.items() if name != "(none)")
    if len(known) <= _MAX_SPEAKERS:
        return _count_line("speakers", counts)
    from statistics import median  # here, for the sake of other commands' start

    unknown = f", (none) {counts['(none)']}" if "(none)" in counts else ""
    spread = f"{known[0]} to {known[-1]} utterances each (median {median(known):g}){unknown}"
    return [f"  speakers: {len(known)}, {spread}"]


def script_lines(score: ScriptScore) -> Iterator[str]:
    """The text-only scores, compared with chance."""
    yield f"text only (n-grams, no audio): UA {score.ua:.1%}, WA {score.wa:.1%}"
    yield f"chance: UA {score.chance_ua:.1%}, WA {score.chance_wa:.1%}"
    yield f"{score.utterances} utterances tested, {score.texts} different texts"
    for style, (ua, wa) in score.styles.items():
        yield f"  {style} speech: UA {ua:.1%}, WA {wa:.1%}"
    if score.wordless:
        yield f"{score.wordless} utterances have no transcript and were skipped"


def calibration_lines(
    rows: Sequence[Mapping[str, Any]], scaling: TemperatureScaling
) -> Iterator[str]:
    """The effect of a calibration on the predictions it was fitted on."""
    from phonemo.evaluation.calibration import undo_temperature
    from phonemo.evaluation.metrics import calibration
    from phonemo.evaluation.prediction_rows import labeled_rows
    from phonemo.evaluation.summary import full_scores

    rows = labeled_rows(rows)
    given, wrong = 0, 0
    scores_of = [full_scores(row) for row in rows]
    names = sorted({name for scores in scores_of for name in scores})
    raw = [[scores.get(name, 0.0) for name in names] for scores in scores_of]
    truth = [names.index(row["truth"]) for row in rows]
    temperatures = [float(row.get("temperature", 1.0)) for row in rows]
    before = undo_temperature(raw, temperatures)
    after = undo_temperature(before, [1 / scaling.temperature] * len(rows))
    errors = [calibration(scores, truth).ece for scores in (before, after)]
    for scores, index in zip(after, truth, strict=True):
        if scores.max() >= scaling.abstain_below:
            given, wrong = given + 1, wrong + (int(scores.argmax()) != index)
    yield f"  ECE {errors[0]:.1%} before, {errors[1]:.1%} after, on the same predictions"
    yield (
        f"  below {scaling.abstain_below:.3f} a prediction is unsure; the other "
        f"{given / len(rows):.1%} have {wrong / max(1, given):.1%} errors"
    )
