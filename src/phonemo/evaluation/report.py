"""Writes RESULTS.md and the tables of the README and model cards from results/<name>/metrics.json.

Studies of several runs are read from ablation.json, cross.json, transfer.json, dimensions.json and
phonemes.json; those of transfer and of phonemes have their pictures below docs/images.

No number is typed by hand. The output depends on the files only and is sorted, so that writing it
twice changes nothing. Shares are shown in per cent with one decimal, standard deviations in points.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from phonemo.errors import ResultError
from phonemo.evaluation.dimension_report import DimensionResults, dimension_sections
from phonemo.evaluation.markdown import (
    UNEVEN,
    boundaries_text,
    calibration_texts,
    details,
    extra_texts,
    per_cent,
    protocol_text,
    results_page,
    summary_table,
)
from phonemo.evaluation.metrics_schema import Metrics, Protocol, Results, Score
from phonemo.evaluation.phonemes.phoneme_chart import is_current_chart, plot_phonemes
from phonemo.evaluation.phonemes.phoneme_schema import PhonemeStudy
from phonemo.evaluation.phonemes.phoneme_section import phoneme_sections
from phonemo.evaluation.plots import (
    plot_confusion,
    plot_learning_curves,
    plot_reliability,
    plot_risk_coverage,
)
from phonemo.evaluation.prediction_rows import natural_order
from phonemo.evaluation.ratings.rating_text import dimension_texts, vote_texts
from phonemo.evaluation.studies.study_schema import Ablation, Crossing
from phonemo.evaluation.studies.study_tables import study_sections
from phonemo.evaluation.transfer.transfer_plots import is_current, plot_transfer
from phonemo.evaluation.transfer.transfer_report import transfer_sections
from phonemo.evaluation.transfer.transfer_schema import Transfer
from phonemo.files import atomic_write_text, loads_json

__all__ = [
    "Metrics",
    "Protocol",
    "plot_confusion",
    "plot_learning_curves",
    "plot_reliability",
    "plot_risk_coverage",
    "results_lines",
    "stale",
    "summary_lines",
    "write_results",
]

Study = TypeVar("Study", Ablation, Crossing, Transfer, DimensionResults, PhonemeStudy)
#: Folder of pictures, relative to that of RESULTS.md.
_IMAGES = Path("docs") / "images"
START = "<!-- results:start -->"
END = "<!-- results:end -->"
_MARKER = re.compile(r"<!-- (?:results|details):(?:start(?: [\w.-]+)*|end) -->")
_BLOCK = re.compile(
    r"(?P<start><!-- (?P<kind>results|details):start(?P<names>(?: [\w.-]+)*) -->).*?"
    r"(?P<end><!-- (?P=kind):end -->)",
    re.DOTALL,
)


def write_results(
    results_folder: Path, output: Path, readme: Path | None = None, cards: Sequence[Path] = ()
) -> None:
    """Write RESULTS.md from every ``results_folder/*/metrics.json``, and the tables of other pages.

    The sections on studies come from ``*/ablation.json``, ``*/cross.json``, ``*/transfer.json``
    ``*/dimensions.json`` and ``*/phonemes.json``; pictures of transfer studies and of phonemes are
    drawn into docs/images beside
    RESULTS.md.

    For a missing or empty results folder RESULTS.md states that nothing was measured. The README's
    table is written between the lines ``<!-- results:start -->`` and ``<!-- results:end -->``. A
    model card may have several such tables, of the runs named after ``start``, and run details
    between ``details:start NAME`` and ``details:end``. Either all files are written or none.

    Raises:
        ResultError: a malformed metrics.json (naming file and key), two results of one name, or
            a README without the markers.
        MissingExtraError: a picture must be drawn, and matplotlib is not installed.
    """
    pages = _render_pages(results_folder, output, readme, cards)
    for path, study in _picture_paths(results_folder, output).items():
        if not is_current(study, path):
            plot_transfer(study, path)
    for path, phonemes in _chart_paths(results_folder, output).items():
        if not is_current_chart(phonemes, path):
            plot_phonemes(phonemes, path)
    for path, text in pages.items():
        if _has_changed(path, text):
            atomic_write_text(path, text)


def stale(
    results_folder: Path, output: Path, readme: Path | None = None, cards: Sequence[Path] = ()
) -> list[Path]:
    """The pages that ``write_results`` would change; it writes nothing and raises the same."""
    pages = _render_pages(results_folder, output, readme, cards)
    pictures = _picture_paths(results_folder, output)
    charts = _chart_paths(results_folder, output)
    return [
        *(path for path, text in pages.items() if _has_changed(path, text)),
        *(path for path, study in pictures.items() if not is_current(study, path)),
        *(path for path, study in charts.items() if not is_current_chart(study, path)),
    ]


def summary_lines(metrics: Mapping[str, Any]) -> list[str]:
    """Format the content of a metrics.json as lines for the terminal.

    Raises:
        ResultError: a key is missing or malformed.
    """
    run = _validate_metrics(metrics, "metrics")
    seeds = " ".join(str(seed) for seed in run.seeds)
    head = f"{run.name}: {run.title} ({run.corpus}, {protocol_text(run)}, seeds {seeds})"
    note = [f"  note: {run.protocol_note}"] if run.protocol_note else []
    leak = ["  LEAKY: train and test share speakers; not a speaker-independent score"]
    extra = [f"  {text}" for text in extra_texts(run)]
    return [head, *(leak if run.leaky else []), *note, *results_lines(metrics["results"]), *extra]


def results_lines(results: Mapping[str, Any]) -> list[str]:
    """Format the output of ``summary.summarize``: scores first, then the folds.

    Raises:
        ResultError: a key is missing or malformed.
    """
    try:
        checked = Results.model_validate(results)
    except ValidationError as error:
        raise ResultError(f"results: {_first_fault(error)}") from error
    lines = _emotion_lines(checked)
    lines += [f"  {text}" for text in dimension_texts(checked.dimensions)]
    lines += [f"  {text}" for text in vote_texts(checked.votes)]
    if checked.phonemes is not None:
        lines.append(f"  PER      {per_cent(checked.phonemes.per)} %")
    if checked.boundaries is not None:
        lines.append(f"  boundaries: {boundaries_text(checked.boundaries)}")
    lines += [f"  {text}" for text in calibration_texts(checked)]
    lines.append(
        f"  {checked.utterances} utterances, {checked.speakers_count} speakers; "
        f"recalls: {_recalls(checked)} %"
        if checked.recalls
        else f"  {checked.utterances} utterances, {checked.speakers_count} speakers"
    )
    if not checked.seeds_agree:
        lines.append(f"  NOTE: {UNEVEN}")
    if not checked.folds:
        return lines
    header = f"  {'fold':<12}{'seed':>6}{'utterances':>12}{'WA %':>8}{'UA %':>8}{'F1 %':>8}"
    return [*lines, header, *(_fold_line(checked, n) for n in range(len(checked.folds)))]


def _emotion_lines(checked: Results) -> list[str]:
    """The scores of the emotions; none where no utterance has one."""
    chance = checked.chance
    if chance is None:
        return []
    scores = {"WA": checked.wa, "UA": checked.ua, "macro F1": checked.macro_f1}
    lines = [f"  {name:<9}{_score_line(score)}" for name, score in scores.items() if score]
    lines.append(
        f"  chance   WA {per_cent(chance.majority_wa)}, UA "
        f"{per_cent(chance.ua)} (always the commonest class), %"
    )
    return lines


def _score_line(score: Score) -> str:
    text = f"{per_cent(score.mean)} %"
    if score.low is not None and score.high is not None:
        text += f", 95 % interval {per_cent(score.low)} to {per_cent(score.high)}"
    text += f", fold mean {per_cent(score.fold_mean)}"
    if score.fold_sd is not None:
        text += f", sd {per_cent(score.fold_sd)} points"
    return text


def _fold_line(results: Results, number: int) -> str:
    fold = results.folds[number]
    shares = "".join(f"{per_cent(value):>8}" for value in (fold.wa, fold.ua, fold.macro_f1))
    return f"  {fold.fold:<12}{fold.seed:>6}{fold.utterances:>12}{shares}"


def _recalls(results: Results) -> str:
    return ", ".join(f"{name} {per_cent(value)}" for name, value in results.recalls.items())


def _read_runs(folder: Path) -> list[Metrics]:
    """Read all results, ordered by corpus, clean before leaky, then name."""
    paths: dict[str, Path] = {}
    runs = []
    for path in sorted(folder.glob("*/metrics.json")):
        run = _validate_metrics(_read_json(path), str(path))
        if run.name in paths:
            raise ResultError(f"{path}: key 'name': {run.name!r} is also in {paths[run.name]}")
        paths[run.name] = path
        runs.append(run)
    return sorted(runs, key=lambda run: (run.corpus, run.leaky, natural_order(run.name)))


def _read_studies(folder: Path, name: str, kind: type[Study]) -> dict[str, Study]:
    """All studies of a kind by folder name, in that order."""
    studies = {}
    for path in sorted(folder.glob(f"*/{name}"), key=lambda file: natural_order(file.parent.name)):
        try:
            studies[path.parent.name] = kind.model_validate(_read_json(path))
        except ValidationError as error:
            raise ResultError(f"{path}: {_first_fault(error)}") from error
    return studies


def _picture_paths(results_folder: Path, output: Path) -> dict[Path, Transfer]:
    """Picture path of each transfer study with results."""
    studies = _read_studies(results_folder, "transfer.json", Transfer)
    return {
        output.parent / _IMAGES / f"{name}.png": study
        for name, study in studies.items()
        if study.systems
    }


def _chart_paths(results_folder: Path, output: Path) -> dict[Path, PhonemeStudy]:
    """Picture path of each study of phonemes."""
    studies = _read_studies(results_folder, "phonemes.json", PhonemeStudy)
    return {output.parent / _IMAGES / f"{name}.png": study for name, study in studies.items()}


def _read_json(path: Path) -> object:
    try:
        return loads_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise ResultError(f"{path}: expected JSON ({reason}); measure it again") from error


def _validate_metrics(data: object, where: str) -> Metrics:
    try:
        return Metrics.model_validate(data)
    except ValidationError as error:
        raise ResultError(f"{where}: {_first_fault(error)}") from error


def _first_fault(error: ValidationError) -> str:
    fault = error.errors()[0]
    key = ".".join(str(part) for part in fault["loc"])
    if not key:
        return "expected an object with keys such as 'name' and 'results'"
    return f"key {key!r}: {fault['msg']}"


def _render_pages(
    results_folder: Path, output: Path, readme: Path | None, cards: Sequence[Path]
) -> dict[Path, str]:
    runs = _read_runs(results_folder)
    ablations = _read_studies(results_folder, "ablation.json", Ablation)
    crossings = _read_studies(results_folder, "cross.json", Crossing)
    transfers = [
        ((_IMAGES / f"{name}.png").as_posix(), study)
        for name, study in _read_studies(results_folder, "transfer.json", Transfer).items()
        if study.systems
    ]
    phonemes = [
        ((_IMAGES / f"{name}.png").as_posix(), study)
        for name, study in _read_studies(results_folder, "phonemes.json", PhonemeStudy).items()
    ]
    derived = _read_studies(results_folder, "dimensions.json", DimensionResults).values()
    sections = [
        *transfer_sections(transfers),
        *dimension_sections([*derived]),
        *phoneme_sections(phonemes),
        *study_sections(ablations.values(), crossings.values()),
    ]
    studies = "\n".join(sections)
    pages = {output: results_page(runs, studies)}
    if readme is not None:
        _check_single_table(readme)
        pages[readme] = _fill_tables(readme, runs)
    return pages | {card: _fill_tables(card, runs) for card in cards}


def _has_changed(path: Path, text: str) -> bool:
    return not path.is_file() or path.read_bytes() != text.encode()


def _check_single_table(readme: Path) -> None:
    text = _read_text(readme)
    if text.count(START) != 1 or text.count(END) != 1 or text.index(START) > text.index(END):
        raise ResultError(f"{readme}: expected one line {START} and, below it, one line {END}")


def _fill_tables(page: Path, runs: Sequence[Metrics]) -> str:
    """The page with the content between its markers replaced."""
    text = _read_text(page)
    if len(_BLOCK.findall(text)) != len(_MARKER.findall(text)) / 2:
        raise ResultError(f"{page}: a line <!-- ...:start --> or <!-- ...:end --> has no partner")
    return _BLOCK.sub(lambda block: _block(page, block, runs), text)


def _block(page: Path, block: re.Match[str], runs: Sequence[Metrics]) -> str:
    by_name = {run.name: run for run in runs}
    names = block["names"].split()
    for name in names:
        if name not in by_name:
            raise ResultError(f"{page}: expected a result of {', '.join(by_name)}, got {name!r}")
    chosen = [by_name[name] for name in names] if names else list(runs)
    if block["kind"] == "results":
        content = summary_table(chosen)
    else:
        content = "\n".join(details(run) for run in chosen)
    return f"{block['start']}\n{content}{block['end']}"


def _read_text(page: Path) -> str:
    if not page.is_file():
        raise ResultError(f"{page}: no such file; create it with lines {START} and {END}")
    try:
        return page.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise ResultError(f"{page}: expected a UTF-8 text file; save it as UTF-8") from error
