"""The only writer of RESULTS.md and of the README's table, from results/<name>/metrics.json.

One number has one owner: nothing is typed into a table by hand. The output depends on the files
alone and is sorted, so that writing it twice changes nothing. Shares are shown in per cent with
one decimal, standard deviations in points.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from phonemo.errors import ResultError
from phonemo.plots import plot_confusion, plot_learning_curves, plot_reliability
from phonemo.results import BoundaryScore, GroupScore, Results, Score
from phonemo.scoring import natural_order
from phonemo.whole import write_whole

__all__ = [
    "Metrics",
    "Protocol",
    "plot_confusion",
    "plot_learning_curves",
    "plot_reliability",
    "results_lines",
    "stale",
    "summary_lines",
    "write_results",
]

START = "<!-- results:start -->"
END = "<!-- results:end -->"


class Protocol(BaseModel):
    """How the data was divided: the protocol section of the config, of which the name is shown."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str = Field(min_length=1)


class Metrics(BaseModel):
    """The content of metrics.json; keys beyond these are left alone."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    name: str = Field(min_length=1)
    """Unique among the results; the run's name."""
    title: str
    """What the system is, in a few words."""
    command: str
    """What to type to measure it again."""
    config: str
    """Digest of the resolved config."""
    protocol: Protocol
    protocol_note: str
    """What a reader must know about the protocol; may be empty."""
    leaky: bool
    """Whether train and test share speakers."""
    seeds: tuple[int, ...] = Field(min_length=1)
    corpus: str = Field(min_length=1)
    model: dict[str, Any]
    """Short facts: name -> value."""
    phonemo: str
    """Version that measured it."""
    results: Results


def write_results(results_folder: Path, output: Path, readme: Path | None = None) -> None:
    """Write RESULTS.md from every ``results_folder/*/metrics.json``, and the README's table.

    A missing or empty results folder gives a RESULTS.md that says so. The README's table stands
    between the lines ``<!-- results:start -->`` and ``<!-- results:end -->``. Nothing is written
    unless everything can be.

    Raises:
        ResultError: a malformed metrics.json (naming file and key), two results of one name, or
            a README without the markers.
    """
    for path, text in _pages(results_folder, output, readme).items():
        if _differs(path, text):
            write_whole(path, text)


def stale(results_folder: Path, output: Path, readme: Path | None = None) -> list[Path]:
    """The pages that ``write_results`` would change; it writes nothing and raises the same."""
    pages = _pages(results_folder, output, readme)
    return [path for path, text in pages.items() if _differs(path, text)]


def summary_lines(metrics: Mapping[str, Any]) -> list[str]:
    """The content of a metrics.json as plain text lines for the terminal.

    Raises:
        ResultError: a key is missing or malformed.
    """
    run = _validated(metrics, "metrics")
    seeds = " ".join(str(seed) for seed in run.seeds)
    head = f"{run.name}: {run.title} ({run.corpus}, {_protocol(run)}, seeds {seeds})"
    note = [f"  note: {run.protocol_note}"] if run.protocol_note else []
    leak = ["  LEAKY: train and test share speakers; not a speaker-independent score"]
    return [head, *(leak if run.leaky else []), *note, *results_lines(metrics["results"])]


def results_lines(results: Mapping[str, Any]) -> list[str]:
    """What ``scoring.summarise`` gave as plain text lines, scores first and then the folds.

    Raises:
        ResultError: a key is missing or malformed.
    """
    try:
        found = Results.model_validate(results)
    except ValidationError as error:
        raise ResultError(f"results: {_first_fault(error)}") from error
    scores = {"WA": found.wa, "UA": found.ua, "macro F1": found.macro_f1}
    lines = [f"  {name:<9}{_score_line(score)}" for name, score in scores.items()]
    lines.append(
        f"  chance   WA {_per_cent(found.chance.majority_wa)}, UA "
        f"{_per_cent(found.chance.ua)} (always the commonest class), %"
    )
    if found.phonemes is not None:
        lines.append(f"  PER      {_per_cent(found.phonemes.per)} %")
    if found.boundaries is not None:
        lines.append(f"  boundaries: {_boundaries(found.boundaries)}")
    lines.append(
        f"  {found.utterances} utterances, {found.speakers_count} speakers; "
        f"recalls: {_recalls(found)} %"
    )
    if not found.seeds_agree:
        lines.append(f"  NOTE: {UNEVEN}")
    header = f"  {'fold':<12}{'seed':>6}{'utterances':>12}{'WA %':>8}{'UA %':>8}{'F1 %':>8}"
    return [*lines, header, *(_fold_line(found, n) for n in range(len(found.folds)))]


def _score_line(score: Score) -> str:
    text = f"{_per_cent(score.mean)} %"
    if score.low is not None and score.high is not None:
        text += f", 95 % interval {_per_cent(score.low)} to {_per_cent(score.high)}"
    text += f", fold mean {_per_cent(score.fold_mean)}"
    if score.fold_sd is not None:
        text += f", sd {_per_cent(score.fold_sd)} points"
    return text


def _fold_line(found: Results, number: int) -> str:
    one = found.folds[number]
    shares = "".join(f"{_per_cent(value):>8}" for value in (one.wa, one.ua, one.macro_f1))
    return f"  {one.fold:<12}{one.seed:>6}{one.utterances:>12}{shares}"


def _recalls(found: Results) -> str:
    return ", ".join(f"{name} {_per_cent(value)}" for name, value in found.recalls.items())


def _read_runs(folder: Path) -> list[Metrics]:
    """All results in the order of the tables: by corpus, clean before leaky, then by name."""
    paths: dict[str, Path] = {}
    runs = []
    for path in sorted(folder.glob("*/metrics.json")):
        run = _validated(_read_json(path), str(path))
        if run.name in paths:
            raise ResultError(f"{path}: key 'name': {run.name!r} is also in {paths[run.name]}")
        paths[run.name] = path
        runs.append(run)
    return sorted(runs, key=lambda run: (run.corpus, run.leaky, natural_order(run.name)))


def _read_json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ResultError(f"{path}: not JSON ({reason}); measure it again") from error


def _validated(data: object, where: str) -> Metrics:
    try:
        return Metrics.model_validate(data)
    except ValidationError as error:
        raise ResultError(f"{where}: {_first_fault(error)}") from error


def _first_fault(error: ValidationError) -> str:
    fault = error.errors()[0]
    key = ".".join(str(part) for part in fault["loc"])
    if not key:
        return "an object with keys such as 'name' and 'results' is wanted"
    return f"key {key!r}: {fault['msg']}"


def _pages(results_folder: Path, output: Path, readme: Path | None) -> dict[Path, str]:
    runs = _read_runs(results_folder)
    pages = {output: _results_page(runs)}
    if readme is not None:
        pages[readme] = _with_table(readme, runs)
    return pages


def _differs(path: Path, text: str) -> bool:
    return not path.is_file() or path.read_bytes() != text.encode()


def _with_table(readme: Path, runs: Sequence[Metrics]) -> str:
    if not readme.is_file():
        raise ResultError(f"{readme}: no such file; it is to have lines {START} and {END}")
    try:
        text = readme.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise ResultError(f"{readme}: not a UTF-8 text file; save it as one") from error
    if text.count(START) != 1 or text.count(END) != 1 or text.index(START) > text.index(END):
        raise ResultError(f"{readme}: one line {START} and below it one line {END} are wanted")
    before, after = text.split(START)[0], text.split(END)[1]
    return "".join((before, START, "\n", _readme_table(runs), END, after))


UNEVEN = "the seeds did not test the same utterances: the run is unfinished"
NOTHING = "Nothing was measured yet.\n"
PREFACE = """\
# Results

Written by `make report` from `results/*/metrics.json`; do not edit.

- **WA** (weighted accuracy) is the share of correct utterances, **UA** (unweighted accuracy) the
  mean recall over the classes that the test parts have. Both are pooled over the folds of a seed
  and then averaged over seeds.
- The interval is a 95 % bootstrap over the rows of all seeds that resamples whole speakers
  (utterances where no speaker is known: see the run's details).
- By fold: mean and standard deviation (n - 1, in points) over folds, each averaged over seeds.
- **PER** is the phoneme error rate of the auxiliary head against the manifest's phonemes.
- **leaky** protocols share speakers between train and test: compare them with the literature
  that does the same, and with nothing else.
"""


def _results_page(runs: Sequence[Metrics]) -> str:
    if not runs:
        return f"{PREFACE}\n{NOTHING}"
    corpora = sorted({run.corpus for run in runs})
    parts = [PREFACE]
    for corpus in corpora:
        chosen = [run for run in runs if run.corpus == corpus]
        parts.append(f"## {_plain(corpus)}\n\n{_corpus_table(chosen)}")
    parts.append("## Runs in detail\n")
    parts.extend(_details(run) for run in runs)
    return "\n".join(parts)


def _corpus_table(runs: Sequence[Metrics]) -> str:
    header = (
        "system",
        "classes",
        "protocol",
        "seeds",
        "WA % (95 % interval)",
        "UA % (95 % interval)",
        "UA % by fold",
        "PER %",
        "config",
        "command",
    )
    return _table(header, (_corpus_row(run) for run in runs))


def _corpus_row(run: Metrics) -> tuple[str, ...]:
    found = run.results
    return (
        _plain(run.title),
        str(len(found.labels)),
        _marked_protocol(run),
        ", ".join(str(seed) for seed in run.seeds),
        _with_interval(found.wa),
        _with_interval(found.ua),
        _by_fold(found.ua),
        _per_cent(found.phonemes.per if found.phonemes else None),
        _code(run.config),
        _code(run.command),
    )


def _readme_table(runs: Sequence[Metrics]) -> str:
    if not runs:
        return NOTHING
    header = ("corpus", "system", "classes", "protocol", "WA %", "UA % (95 % interval)", "PER %")
    return _table(header, (_readme_row(run) for run in runs))


def _readme_row(run: Metrics) -> tuple[str, ...]:
    found = run.results
    return (
        _plain(run.corpus),
        _plain(run.title),
        str(len(found.labels)),
        _marked_protocol(run),
        _per_cent(found.wa.mean),
        _with_interval(found.ua),
        _per_cent(found.phonemes.per if found.phonemes else None),
    )


def _details(run: Metrics) -> str:
    found = run.results
    parts = [
        f"### {_plain(run.name)}\n",
        _facts(run),
        _fold_table(found),
        _recall_table(found),
        _group_table("gender", found.per_gender),
        "Confusion, rows are the truth, summed over seeds:\n",
        _confusion_table(found),
    ]
    return "\n".join(parts)


def _facts(run: Metrics) -> str:
    found = run.results
    model = ", ".join(f"{key} {_value(value)}" for key, value in sorted(run.model.items()))
    facts = [
        f"{_plain(run.title)}, on {_plain(run.corpus)}: {found.utterances} utterances, "
        f"{found.speakers_count} speakers, {len(found.labels)} classes",
        f"protocol: {_marked_protocol(run)}" + _after_colon(run.protocol_note),
        f"model: {_plain(model)}",
        f"measured by phonemo {_plain(run.phonemo)} with {_code(run.command)}",
        f"WA by fold {_by_fold(found.wa)} %; macro F1 {_with_interval(found.macro_f1)} %, "
        f"weighted F1 {_with_interval(found.weighted_f1)} %",
        f"chance: WA {_per_cent(found.chance.majority_wa)} %, UA {_per_cent(found.chance.ua)} %",
        f"calibration: ECE {_per_cent(found.calibration.ece)} %, "
        f"Brier {found.calibration.brier:.3f}, NLL {found.calibration.nll:.3f} nats",
        f"intervals: {found.interval.samples} resamples of {found.interval.clusters} clusters "
        f"({_plain(found.interval.unit)})",
        *_phoneme_facts(found),
        *([] if found.boundaries is None else [f"boundaries: {_boundaries(found.boundaries)}"]),
    ]
    if not found.seeds_agree:
        facts.append(f"**{UNEVEN}**")
    return "".join(f"- {fact}\n" for fact in facts)


def _phoneme_facts(found: Results) -> list[str]:
    one = found.phonemes
    if one is None:
        return []
    return [
        f"phonemes: PER {_per_cent(one.per)} % of {one.tokens} tokens ({one.substitutions} "
        f"substitutions, {one.deletions} deletions, {one.insertions} insertions)"
    ]


def _boundaries(one: BoundaryScore) -> str:
    return (
        f"median {one.median_ms:.0f} ms ({_per_cent(one.within_20_ms)} % within 20 ms, "
        f"{_per_cent(one.within_40_ms)} % within 40 ms) of {one.boundaries} in "
        f"{one.utterances} utterances with hand-made times"
    )


def _fold_table(found: Results) -> str:
    rows = (
        (
            _plain(one.fold),
            str(one.seed),
            str(one.utterances),
            *(_per_cent(value) for value in (one.wa, one.ua, one.macro_f1)),
        )
        for one in found.folds
    )
    return _table(("fold", "seed", "utterances", "WA %", "UA %", "macro F1 %"), rows)


def _recall_table(found: Results) -> str:
    names = [_plain(name) for name in found.recalls]
    shares = [_per_cent(value) for value in found.recalls.values()]
    return _table(("class", *names), [("recall %", *shares)])


def _group_table(kind: str, groups: Mapping[str, GroupScore]) -> str:
    rows = (
        (_plain(name), str(one.utterances), _per_cent(one.wa), _per_cent(one.ua))
        for name, one in sorted(groups.items())
    )
    return _table((kind, "utterances", "WA %", "UA %"), rows)


def _confusion_table(found: Results) -> str:
    names = [_plain(name) for name in found.confusion.labels]
    rows = zip(names, found.confusion.counts, strict=True)
    return _table(("truth", *names), ((name, *map(str, row)) for name, row in rows))


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _protocol(run: Metrics) -> str:
    folds = len({one.fold for one in run.results.folds})
    return f"{run.protocol.name}, {folds} fold{'s' if folds != 1 else ''}"


def _marked_protocol(run: Metrics) -> str:
    return ("**leaky** " if run.leaky else "") + _plain(_protocol(run))


def _with_interval(score: Score) -> str:
    if score.low is None or score.high is None:
        return _per_cent(score.mean)
    return f"{_per_cent(score.mean)} ({_per_cent(score.low)} to {_per_cent(score.high)})"


def _by_fold(score: Score) -> str:
    spread = "" if score.fold_sd is None else f" ± {_per_cent(score.fold_sd)}"
    return _per_cent(score.fold_mean) + spread


def _per_cent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _after_colon(note: str) -> str:
    return f": {_plain(note)}" if note else ""


def _plain(text: str) -> str:
    """Text that cannot break a table, open a tag or pass for a marker."""
    words = " ".join(text.split())
    return words.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")


def _code(text: str) -> str:
    words = " ".join(text.split()).replace("|", "\\|")
    fence = "``" if "`" in words else "`"
    gap = " " if "`" in words else ""
    return f"{fence}{gap}{words}{gap}{fence}"
