"""What the command line shows: progress on standard error, lines for standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phonemo.files import dumps_json

if TYPE_CHECKING:
    from phonemo.corpora.prepare import Prepared
    from phonemo.evaluation.calibration import TemperatureScaling
    from phonemo.train.callbacks import RunProgress
    from phonemo.train.experiments.text_baseline import ScriptScore

ProgressFn = Callable[[int, int], None]
#: Of a long recording's phonemes a person sees so many.
_SYMBOLS = 60
#: A phoneme without which the score moves less carried nothing.
_LEAST_SHARE = 1e-3
_BAR = 20


@contextmanager
def progress_callback(what: str, quiet: bool) -> Iterator[ProgressFn]:
    """A progress bar for (done, total); none when quiet or when nobody looks."""
    with bars(quiet) as shown:
        task = shown.add_task(what, total=None, note="")

        def update(done: int, total: int) -> None:
            shown.update(task, completed=done, total=total)

        yield update


@contextmanager
def run_progress(quiet: bool) -> Iterator[RunProgress]:
    """The display of a run: features, folds and steps; a line for every finished fold."""
    from phonemo.train.callbacks import RunProgress

    class Shown(RunProgress):
        def features(self, done: int, total: int) -> None:
            shown.update(feature_task, completed=done, total=total, visible=True)

        def cell(self, number: int, total: int, name: str) -> None:
            shown.update(cell_task, completed=number - 1, total=total, visible=True)
            shown.update(step_task, description=name, completed=0, total=None, visible=True)

        def step(self, done: int, total: int, scores: Mapping[str, float]) -> None:
            shown.update(step_task, completed=done, total=total, note=_newest(scores))

        def scores(self, metrics: Mapping[str, Any]) -> None:
            shown.advance(cell_task)
            if not quiet:
                shown.console.print(
                    _cell_line(metrics), highlight=False, markup=False, soft_wrap=True
                )

    with bars(quiet) as shown:
        feature_task = shown.add_task("frozen layers", total=None, visible=False, note="")
        cell_task = shown.add_task("folds x seeds", total=None, visible=False, note="")
        step_task = shown.add_task("", total=None, visible=False, note="")
        yield Shown()


def prepared_lines(made: Prepared) -> list[str]:
    """What prepare prints: counts, what was skipped and why, warnings."""
    speakers = [name for name in made.speakers if name != "(none)"]
    emotions = [name for name in made.emotions if name != "(none)"]
    lines = [
        f"{made.output}: {made.utterances} utterances, {len(speakers)} speakers, "
        f"{len(emotions)} emotions, {made.hours:.2f} h"
        + (", PARTIAL" if made.header.partial else ""),
        *_counted("emotions", made.emotions),
        *_counted("speakers", made.speakers),
        *_counted("phonemes from", made.phoneme_sources),
        *_counted("skipped", made.skipped),
    ]
    return lines + [f"  warning: {one}" for one in made.warnings]


def pretrained_lines(metrics: Mapping[str, Any], output: Path) -> list[str]:
    """What pretrain prints: the error that is left, for each stage and layer, and the network."""
    lines = [
        f"{metrics['hours']:.2f} h of speech; errors on held-out recordings (1: learnt nothing)"
    ]
    for stage in ("front_end", "whole"):
        found = metrics.get(stage, {})
        parts = [f"{name.removeprefix('eval_')} {value:.3f}" for name, value in found.items()]
        lines += [f"  {stage.replace('_', ' ')}: {', '.join(parts)}"] if parts else []
    return [*lines, f"  network: {output / 'student'}"]


def result_lines(
    results: Mapping[str, Any], base: Callable[[Mapping[str, Any]], list[str]]
) -> list[str]:
    """Scores, confusion matrix, and the same per gender and per speaker."""
    lines = base(results)
    labels = results["confusion"]["labels"]
    width = max(len(name) for name in labels) + 1
    lines.append("  confusion (rows: true, columns: answered)")
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


def table_row(row: Mapping[str, Any]) -> str:
    """One answer for a person: file, emotion, a bar, the runners-up; or the error."""
    from phonemo.errors import safe_name

    file = safe_name(row["file"])
    if "error" in row:
        return f"{file}\n  error: {row['error']}"
    ranked: Sequence[tuple[str, float]] = sorted(row["scores"].items(), key=lambda one: -one[1])
    lines = [f"{file}  ({row['seconds']:.1f} s)"]
    if "no_speech" in row["warnings"]:
        lines.append("  no speech found; what follows means nothing")
    for name, score in ranked[:4]:
        lines.append(f"  {name:<12}{score:>6.1%}  {'█' * round(score * _BAR)}")
    lines += _segment_lines(row["segments"])
    if row["phonemes"]:
        more = " ..." if len(row["phonemes"]) > _SYMBOLS else ""
        lines.append(f"  phonemes: {' '.join(row['phonemes'][:_SYMBOLS])}{more}")
    lines += _share_lines(row.get("spans") or ())
    lines += _profile_lines(row)
    if row["warnings"]:
        lines.append(f"  warnings: {', '.join(row['warnings'])}")
    return "\n".join(lines)


def _segment_lines(segments: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A timeline, where there is more than the whole."""
    from phonemo.errors import safe_name

    if len(segments) < 2 and not any("speaker" in one for one in segments):
        return
    for one in segments:
        times = f"{_clock(one['start'])} to {_clock(one['end'])}"
        who = f"{safe_name(one['speaker'])}: " if "speaker" in one else ""
        yield f"  {times}  {who}{one['label']} {one['scores'][one['label']]:.0%}"


def _share_lines(spans: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The phonemes that carried the emotion most, where somebody asked."""
    told = [one for one in spans if one.get("share", 0) >= _LEAST_SHARE]
    told.sort(key=lambda one: -one["share"])
    if not told and any("share" in one for one in spans):
        yield "  carried by: no single phoneme"
    if told:
        best = (
            f"{one['symbol']} at {one['start']:.2f} s {100 * one['share']:+.2g} %"
            for one in told[:5]
        )
        yield f"  carried by: {', '.join(best)}"


def _profile_lines(row: Mapping[str, Any]) -> Iterator[str]:
    """The profiles that decided: the source's, and those of speakers."""
    from phonemo.errors import safe_name

    if "profile" in row:
        yield f"  profile: {row['profile']['hash']} ({row['profile']['count']} vectors)"
    speakers = {one["speaker"]: one["profile"] for one in row["segments"] if "profile" in one}
    for speaker, mark in speakers.items():
        yield f"  profile of {safe_name(speaker)}: {mark['hash']} ({mark['count']} vectors)"


def _clock(seconds: float) -> str:
    """Seconds as h:mm:ss.s, without hours where there are none."""
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    short = f"{minutes:02d}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"
    return f"{hours}:{short}" if hours else short


def json_row(row: Mapping[str, Any]) -> str:
    """One answer as a line of JSON that standard output can take."""
    return dumps_json(row, encoding=sys.stdout.encoding or "utf-8")


def _newest(scores: Mapping[str, float]) -> str:
    if "ua" in scores:
        return f"validation UA {scores['ua']:.1%}"
    return f"held-out error {scores['loss']:.3f}" if "loss" in scores else ""


@contextmanager
def bars(quiet: bool, left: bool = True) -> Iterator[Any]:
    """Progress bars on standard error; none when quiet or when nobody looks.

    Args:
        quiet: show nothing.
        left: whether they say how long it will take yet; else the ``note`` does.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    shown = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        *((TimeRemainingColumn(),) if left else ()),
        TextColumn("{task.fields[note]}", markup=False),
    )
    hidden = quiet or not shown.is_terminal
    with Progress(*columns, console=shown, disable=hidden, transient=True) as shown_bars:
        yield shown_bars


def _counted(title: str, counts: Mapping[str, int]) -> list[str]:
    if not counts:
        return []
    found = ", ".join(f"{name} {count}" for name, count in counts.items())
    return [f"  {title}: {found}"]


def _cell_line(metrics: Mapping[str, Any]) -> str:
    results = metrics["results"]
    return (
        f"{metrics['fold']} seed {metrics['seed']}: UA {results['ua']['mean']:.1%}, "
        f"WA {results['wa']['mean']:.1%} on {metrics['sizes']['test']} utterances "
        f"(epochs: {metrics['epochs']:.0f}{_best(metrics['best_validation'])})"
    )


def _best(score: float | None) -> str:
    return "" if score is None else f", best validation {score:.3f}"


def script_lines(found: ScriptScore) -> Iterator[str]:
    """What the words alone score, beside chance."""
    yield f"words alone (n-grams, no sound): UA {found.ua:.1%}, WA {found.wa:.1%}"
    yield f"chance: UA {found.chance_ua:.1%}, WA {found.chance_wa:.1%}"
    yield f"{found.utterances} utterances tested, {found.texts} different texts"
    for style, (ua, wa) in found.styles.items():
        yield f"  {style} speech: UA {ua:.1%}, WA {wa:.1%}"
    if found.wordless:
        yield f"{found.wordless} utterances have no transcript and are left out"


def calibration_lines(
    rows: Sequence[Mapping[str, Any]], found: TemperatureScaling
) -> Iterator[str]:
    """What a calibration makes of the answers that it was fitted on."""
    from phonemo.evaluation.calibration import undo_temperature
    from phonemo.evaluation.metrics import calibration
    from phonemo.evaluation.summary import full_scores

    given, wrong = 0, 0
    scores_of = [full_scores(row) for row in rows]
    names = sorted({name for scores in scores_of for name in scores})
    raw = [[scores.get(name, 0.0) for name in names] for scores in scores_of]
    truth = [names.index(row["truth"]) for row in rows]
    heats = [float(row.get("temperature", 1.0)) for row in rows]
    before = undo_temperature(raw, heats)
    after = undo_temperature(before, [1 / found.temperature] * len(rows))
    gaps = [calibration(scores, truth).ece for scores in (before, after)]
    for scores, index in zip(after, truth, strict=True):
        if scores.max() >= found.abstain_below:
            given, wrong = given + 1, wrong + (int(scores.argmax()) != index)
    yield f"  ECE {gaps[0]:.1%} before, {gaps[1]:.1%} after, on the same answers"
    yield (
        f"  below {found.abstain_below:.3f} an answer is unsure: {given / len(rows):.1%} are "
        f"given, {wrong / max(1, given):.1%} of them wrong"
    )
