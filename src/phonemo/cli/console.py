"""Terminal output: progress on standard error, result lines for standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phonemo.files import dumps_json

if TYPE_CHECKING:
    from rich.progress import TaskID

    from phonemo.corpora.prepare import Prepared
    from phonemo.evaluation.calibration import TemperatureScaling
    from phonemo.train.callbacks import RunProgress
    from phonemo.train.experiments.baselines.text_baseline import ScriptScore

ProgressFn = Callable[[int, int], None]
#: Most phonemes shown for one recording.
_MAX_SYMBOLS = 60
#: Most speakers of a corpus that are listed; of more, the numbers of utterances are summarized.
_MAX_SPEAKERS = 30
_BAR = 20
#: Emotions of a mixture that are named.
_MIXED = 2


@contextmanager
def progress_callback(what: str, quiet: bool) -> Iterator[ProgressFn]:
    """A progress bar fed with (done, total); hidden when quiet or without a terminal."""
    if quiet:
        yield lambda done, total: None  # without importing rich, an eighth of a cold start
        return
    with bars(quiet) as display:
        task = display.add_task(what, total=None, note="")

        def update(done: int, total: int) -> None:
            display.update(task, completed=done, total=total)

        yield update


@contextmanager
def run_progress(quiet: bool) -> Iterator[RunProgress]:
    """Progress bars for a run's features, folds and steps, and a line per finished fold."""
    from phonemo.train.callbacks import RunProgress

    class ConsoleProgress(RunProgress):
        def recordings(self, done: int, total: int) -> None:
            display.update(copy_task, completed=done, total=total, visible=done < total)

        def features(self, done: int, total: int) -> None:
            display.update(feature_task, completed=done, total=total, visible=True)

        def cell(self, number: int, total: int, name: str) -> None:
            display.update(cell_task, completed=number - 1, total=total, visible=True)
            display.update(step_task, description=name, completed=0, total=None, visible=True)

        def step(self, done: int, total: int, scores: Mapping[str, float]) -> None:
            display.update(step_task, completed=done, total=total, note=_score_note(scores))

        def scores(self, metrics: Mapping[str, Any]) -> None:
            display.advance(cell_task)
            if not quiet:
                display.console.print(
                    _cell_line(metrics), highlight=False, markup=False, soft_wrap=True
                )

    with bars(quiet) as display:
        copy_task = display.add_task("comparing recordings", total=None, visible=False, note="")
        feature_task = display.add_task("frozen layers", total=None, visible=False, note="")
        cell_task = display.add_task("folds x seeds", total=None, visible=False, note="")
        step_task = display.add_task("", total=None, visible=False, note="")
        yield ConsoleProgress()


@contextmanager
def task_progress(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar for each named task of a study, which is shown until it is done."""
    with bars(quiet) as display:
        tasks: dict[str, TaskID] = {}

        def show(task: str, done: int, total: int) -> None:
            if task not in tasks:
                tasks[task] = display.add_task(task, total=None, note="")
            display.update(tasks[task], completed=done, total=total, visible=done < total)

        yield show


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


def table_row(row: Mapping[str, Any]) -> str:
    """Format one prediction for a terminal: file, scores as bars, segments; or its error."""
    from phonemo.errors import safe_name

    file = safe_name(row["file"])
    if "error" in row:
        return f"{file}\n  error: {row['error']}"
    ranked: Sequence[tuple[str, float]] = sorted(row["scores"].items(), key=lambda item: -item[1])
    channel = f"  channel {row['channel']}" if "channel" in row else ""
    lines = [f"{file}{channel}  ({row['seconds']:.1f} s)"]
    lines.append(f"  {_verdict(row)}")
    for name, score in ranked[:4]:
        lines.append(f"  {name:<12}{score:>6.1%}  {'█' * round(score * _BAR)}")
    lines += _dimension_lines(row)
    lines += _segment_lines(row["segments"])
    if row["phonemes"]:
        more = " ..." if len(row["phonemes"]) > _MAX_SYMBOLS else ""
        lines.append(f"  phonemes: {' '.join(row['phonemes'][:_MAX_SYMBOLS])}{more}")
    lines += _share_lines(row)
    lines += _profile_lines(row)
    parties = row.get("summary", {}).get("parties", ())
    for party in parties:
        lines += _party_lines(party, "the recording" if len(parties) == 1 else "unknown speakers")
    if row["warnings"]:
        lines.append(f"  warnings: {', '.join(row['warnings'])}")
    return "\n".join(lines)


def _verdict(row: Mapping[str, Any]) -> str:
    """The prediction in words: what it is, or that it is unsure, a mixture or no speech."""
    label, mixture = row["label"], row.get("mixture")
    if label is None:
        return "no speech detected; the scores below are meaningless"
    if mixture:
        parts = [f"{name} {share:.0%}" for name, share in list(mixture.items())[:_MIXED]]
        return f"mixed: {parts[0]} of the time, {', '.join(parts[1:])}"
    score = f"{label}, score {row['scores'][label]:.0%}"
    return f"unsure; closest: {score}" if row["unsure"] else score


def _dimension_lines(row: Mapping[str, Any]) -> Iterator[str]:
    """Format arousal and valence, if the row has them."""
    values = dict(row.get("dimensions", {}))
    note = " (derived)" if values.pop("derived", False) else ""
    if values:
        yield f"  {', '.join(f'{name} {value:.2f}' for name, value in values.items())}{note}"


def _segment_lines(segments: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Format a timeline; nothing for a single segment without speaker and text."""
    from phonemo.errors import safe_name

    if len(segments) < 2 and not any(segment.keys() & {"speaker", "text"} for segment in segments):
        return
    for segment in segments:
        times = f"{_clock(segment['start'])} to {_clock(segment['end'])}"
        speaker = f"{safe_name(segment['speaker'])}: " if "speaker" in segment else ""
        yield f"  {times}  {speaker}{_scored(segment)}"
        yield from _text_lines(segment)


def _scored(segment: Mapping[str, Any]) -> str:
    """Format emotion and score; with a question mark if it is in doubt."""
    label = segment["label"]
    if label is None:
        return "no speech"
    return f"{label} {segment['scores'][label]:.0%}{'?' * segment['unsure']}"


def _word_label(word: Mapping[str, Any]) -> str:
    return f"{word['label']}{'?' * word['unsure']}" if "label" in word else ""


def _text_lines(segment: Mapping[str, Any]) -> Iterator[str]:
    """Format a transcript; where its words' emotions differ, or doubt, each stands before them."""
    from phonemo.errors import safe_text

    runs = groupby(segment.get("words", ()), key=_word_label)
    parts = [(label, " ".join(word["word"] for word in words)) for label, words in runs]
    if len(parts) > 1:
        yield "    " + safe_text(" ".join(f"[{label}] {text}" for label, text in parts))
    elif "text" in segment:
        yield "    " + safe_text(segment["text"])


def skipped_line(name: str, count: int, skipped: Mapping[str, int]) -> str:
    """Format the number of skipped turns and the reasons as one line."""
    from phonemo.annotations.turn_rows import SKIP_REASONS
    from phonemo.errors import safe_name

    reasons = ", ".join(f"{number} {SKIP_REASONS[key]}" for key, number in skipped.items())
    total = sum(skipped.values())
    return f"phonemo: {safe_name(name)}: {total} of {count} turns skipped: {reasons}"


def _share_lines(row: Mapping[str, Any]) -> Iterator[str]:
    """Format the phonemes that stand out and the sum of all, if attribution was computed."""
    from phonemo.annotations.prediction import NOTABLE_SHARE

    spans = [span for span in row.get("spans") or () if span.get("share") is not None]
    if not spans or "no_speech" in row["warnings"]:
        return
    strongest = [span for span in spans if span["share"] >= NOTABLE_SHARE]
    strongest.sort(key=lambda span: -span["share"])
    symbols = (
        f"{span['symbol']} at {span['start']:.2f} s {100 * span['share']:+.2g} points"
        for span in strongest[:5]
    )
    none = f"no single phoneme (none adds {100 * NOTABLE_SHARE:g} points)"
    yield f"  carried by: {', '.join(symbols) or none}"
    if "windowed" not in row["warnings"]:  # in windows, shares belong to different emotions
        total = 100 * sum(span["share"] for span in spans)
        yield f"  all {len(spans)} phonemes: {total:+.2g} points"


def _profile_lines(row: Mapping[str, Any]) -> Iterator[str]:
    """Format the profiles that were applied: the source's and the speakers'."""
    from phonemo.errors import safe_name

    if "profile" in row:
        yield f"  profile: {row['profile']['hash']} ({row['profile']['count']} vectors)"
    speakers = {
        segment["speaker"]: segment["profile"]
        for segment in row["segments"]
        if "profile" in segment
    }
    for speaker, profile in speakers.items():
        yield f"  profile of {safe_name(speaker)}: {profile['hash']} ({profile['count']} vectors)"


def _party_lines(party: Mapping[str, Any], unnamed: str) -> Iterator[str]:
    """Format a party of a summary: shares of speech and emotions, moments, trend.

    Args:
        party: plain data of a party.
        unnamed: the name of one without channel and speaker.
    """
    speech, confidence = party["speech_share"], party["mean_confidence"]
    shares = f"speech {speech:.0%}, silence {1 - speech:.0%}"
    shares += "" if confidence is None else f", mean confidence {confidence:.0%}"
    yield f"  summary of {_party_name(party) or unnamed}: {shares}"
    for name, share in sorted(party["emotions"].items(), key=lambda item: -item[1]):
        if share > 0:
            yield f"    {name:<12}{share:>6.1%}  {'█' * round(share * _BAR)}"
    moments = (
        f"{_clock(one['start'])} {one['label']} {one['score']:.0%}" for one in party["strongest"]
    )
    yield from _joined_line("strongest", moments)
    if len(party["trend"]) > 1:
        parts = (f"{_clock(one['start'])} {one['label']}" for one in party["trend"])
        yield from _joined_line("trend", parts)
    changes = sorted((party["change"] or {}).items(), key=lambda item: -abs(item[1]))
    points = (f"{name} {100 * value:+.0f}" for name, value in changes[:3])
    yield from _joined_line("last third minus first, points", points)


def _party_name(party: Mapping[str, Any]) -> str:
    from phonemo.errors import safe_name

    channel = [f"channel {party['channel']}"] if "channel" in party else []
    speaker = [safe_name(party["speaker"])] if "speaker" in party else []
    return ", ".join([*channel, *speaker])


def _joined_line(title: str, parts: Iterable[str]) -> Iterator[str]:
    line = ", ".join(parts)
    if line:
        yield f"    {title}: {line}"


def _clock(seconds: float) -> str:
    """Format seconds as h:mm:ss.s, without zero hours."""
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    short = f"{minutes:02d}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"
    return f"{hours}:{short}" if hours else short


def json_row(row: Mapping[str, Any]) -> str:
    """Format one prediction as a line of JSON in standard output's encoding."""
    return dumps_json(row, encoding=sys.stdout.encoding or "utf-8")


def _score_note(scores: Mapping[str, float]) -> str:
    if "ua" in scores:
        return f"validation UA {scores['ua']:.1%}"
    if "ccc" in scores:
        return f"validation CCC {scores['ccc']:.3f}"
    return f"held-out error {scores['loss']:.3f}" if "loss" in scores else ""


@contextmanager
def bars(quiet: bool, left: bool = True) -> Iterator[Any]:
    """Progress bars on standard error; hidden when quiet or without a terminal.

    Args:
        quiet: show nothing.
        left: show the time left; without it, the caller puts it into ``note``.
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

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        *((TimeRemainingColumn(),) if left else ()),
        TextColumn("{task.fields[note]}", markup=False),
    )
    hidden = quiet or not console.is_terminal
    with Progress(*columns, console=console, disable=hidden, transient=True) as progress:
        yield progress


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


def _cell_line(metrics: Mapping[str, Any]) -> str:
    results = metrics["results"]
    scores = [
        f"{name.upper()} {results[name]['mean']:.1%}" for name in ("ua", "wa") if results[name]
    ]
    rated = results.get("dimensions")
    if rated is not None and rated["mean_ccc"] is not None:
        scores.append(f"mean CCC {rated['mean_ccc']['mean']:.3f}")
    return (
        f"{metrics['fold']} seed {metrics['seed']}: {', '.join(scores) or 'no score'} on "
        f"{metrics['sizes']['test']} utterances "
        f"(epochs: {metrics['epochs']:.0f}{_best_note(metrics['best_validation'])})"
    )


def _best_note(score: float | None) -> str:
    return "" if score is None else f", best validation {score:.3f}"


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
