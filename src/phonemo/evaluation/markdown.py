"""Measured runs as Markdown: the page of all results, the short table, one run in detail."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from phonemo.evaluation.schema import (
    BoundaryScore,
    CalibrationScore,
    GroupScore,
    Metrics,
    Results,
    Score,
)

UNEVEN = "the seeds did not test the same utterances: the run is unfinished"
NOTHING = "Nothing was measured yet.\n"
PREFACE = """\
# Results

Written by `make report` from the files in `results/`; do not edit.

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


def results_page(runs: Sequence[Metrics], studies: str = "") -> str:
    """RESULTS.md: a table for each corpus, the studies of several runs, every run in detail."""
    if not runs and not studies:
        return f"{PREFACE}\n{NOTHING}"
    corpora = sorted({run.corpus for run in runs})
    parts = [PREFACE]
    for corpus in corpora:
        chosen = [run for run in runs if run.corpus == corpus]
        parts.append(f"## {plain(corpus)}\n\n{_corpus_table(chosen)}")
    parts += [studies] if studies else []
    parts += ["## Runs in detail\n", *(details(run) for run in runs)] if runs else []
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
    return markdown_table(header, (_corpus_row(run) for run in runs))


def _corpus_row(run: Metrics) -> tuple[str, ...]:
    found = run.results
    return (
        plain(run.title),
        str(len(found.labels)),
        _marked_protocol(run),
        ", ".join(str(seed) for seed in run.seeds),
        with_interval(found.wa),
        with_interval(found.ua),
        _by_fold(found.ua),
        per_cent(found.phonemes.per if found.phonemes else None),
        code(run.config),
        code(run.command),
    )


def summary_table(runs: Sequence[Metrics]) -> str:
    """One row a run, for a README or a model card."""
    if not runs:
        return NOTHING
    header = ("corpus", "system", "classes", "protocol", "WA %", "UA % (95 % interval)", "PER %")
    return markdown_table(header, (_readme_row(run) for run in runs))


def _readme_row(run: Metrics) -> tuple[str, ...]:
    found = run.results
    return (
        plain(run.corpus),
        plain(run.title),
        str(len(found.labels)),
        _marked_protocol(run),
        per_cent(found.wa.mean),
        with_interval(found.ua),
        per_cent(found.phonemes.per if found.phonemes else None),
    )


def details(run: Metrics) -> str:
    """One run with its facts, folds, classes, genders and confusions."""
    found = run.results
    parts = [
        f"### {plain(run.name)}\n",
        _facts(run),
        _fold_table(found),
        _recall_table(found),
        *([_group_table("corpus", found.per_corpus)] if found.per_corpus else []),
        *([_group_table("style", found.per_style)] if found.per_style else []),
        _group_table("gender", found.per_gender),
        "Confusion, rows are the truth, summed over seeds:\n",
        _confusion_table(found),
    ]
    return "\n".join(parts)


def _facts(run: Metrics) -> str:
    found = run.results
    model = ", ".join(f"{key} {_value(value)}" for key, value in sorted(run.model.items()))
    facts = [
        f"{plain(run.title)}, on {plain(run.corpus)}: {found.utterances} utterances, "
        f"{found.speakers_count} speakers, {len(found.labels)} classes",
        f"protocol: {_marked_protocol(run)}" + _after_colon(run.protocol_note),
        f"model: {plain(model)}",
        f"measured by phonemo {plain(run.phonemo)} with {code(run.command)}",
        f"WA by fold {_by_fold(found.wa)} %; macro F1 {with_interval(found.macro_f1)} %, "
        f"weighted F1 {with_interval(found.weighted_f1)} %",
        f"chance: WA {per_cent(found.chance.majority_wa)} %, UA {per_cent(found.chance.ua)} %",
        *calibration_texts(found),
        f"intervals: {found.interval.samples} resamples of {found.interval.clusters} clusters "
        f"({plain(found.interval.unit)})",
        *_phoneme_facts(found),
        *([] if found.boundaries is None else [f"boundaries: {boundaries_text(found.boundaries)}"]),
        *extra_texts(run),
    ]
    if not found.seeds_agree:
        facts.append(f"**{UNEVEN}**")
    return "".join(f"- {fact}\n" for fact in facts)


def calibration_texts(found: Results) -> list[str]:
    """How far scores can be believed, and what answering selectively would gain."""
    texts = [f"calibration: {_calibration_text(found.calibration)}"]
    if found.uncalibrated is not None:
        texts[0] += f"; before temperature scaling {_calibration_text(found.uncalibrated)}"
    one = found.selective
    if one is not None and one.coverage is not None:
        risk = "-" if one.risk is None else f"{per_cent(one.risk)} % of them wrong"
        texts.append(f"at the models' own thresholds {per_cent(one.coverage)} % answered, {risk}")
    return texts


def _calibration_text(one: CalibrationScore) -> str:
    return f"ECE {per_cent(one.ece)} %, Brier {one.brier:.3f}, NLL {one.nll:.3f} nats"


def _phoneme_facts(found: Results) -> list[str]:
    one = found.phonemes
    if one is None:
        return []
    return [
        f"phonemes: PER {per_cent(one.per)} % of {one.tokens} tokens ({one.substitutions} "
        f"substitutions, {one.deletions} deletions, {one.insertions} insertions)"
    ]


def extra_texts(run: Metrics) -> list[str]:
    """A line for each extra corpus with speakers held out."""
    return [
        f"{plain(corpus)}: PER {per_cent(one.per)} % on {one.utterances} utterances of "
        f"{one.speakers} speakers held out, mean of {one.trainings} trainings"
        for corpus, one in sorted(run.extra.items())
    ]


def boundaries_text(one: BoundaryScore) -> str:
    """How far aligned phonemes end from hand-made ones, in a line."""
    return (
        f"median {one.median_ms:.0f} ms ({per_cent(one.within_20_ms)} % within 20 ms, "
        f"{per_cent(one.within_40_ms)} % within 40 ms) of {one.boundaries} in "
        f"{one.utterances} utterances with hand-made times"
    )


def _fold_table(found: Results) -> str:
    rows = (
        (
            plain(one.fold),
            str(one.seed),
            str(one.utterances),
            *(per_cent(value) for value in (one.wa, one.ua, one.macro_f1)),
        )
        for one in found.folds
    )
    return markdown_table(("fold", "seed", "utterances", "WA %", "UA %", "macro F1 %"), rows)


def _recall_table(found: Results) -> str:
    names = [plain(name) for name in found.recalls]
    shares = [per_cent(value) for value in found.recalls.values()]
    return markdown_table(("class", *names), [("recall %", *shares)])


def _group_table(kind: str, groups: Mapping[str, GroupScore]) -> str:
    rows = (
        (plain(name), str(one.utterances), per_cent(one.wa), per_cent(one.ua))
        for name, one in sorted(groups.items())
    )
    return markdown_table((kind, "utterances", "WA %", "UA %"), rows)


def _confusion_table(found: Results) -> str:
    names = [plain(name) for name in found.confusion.labels]
    rows = zip(names, found.confusion.counts, strict=True)
    return markdown_table(("truth", *names), ((name, *map(str, row)) for name, row in rows))


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A header and rows of cells as Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def protocol_text(run: Metrics) -> str:
    """The protocol with the number of its folds."""
    folds = len({one.fold for one in run.results.folds})
    return f"{run.protocol.name}, {folds} fold{'s' if folds != 1 else ''}"


def _marked_protocol(run: Metrics) -> str:
    return ("**leaky** " if run.leaky else "") + plain(protocol_text(run))


def with_interval(score: Score) -> str:
    """A mean with its interval, if it has one."""
    if score.low is None or score.high is None:
        return per_cent(score.mean)
    return f"{per_cent(score.mean)} ({per_cent(score.low)} to {per_cent(score.high)})"


def _by_fold(score: Score) -> str:
    spread = "" if score.fold_sd is None else f" ± {per_cent(score.fold_sd)}"
    return per_cent(score.fold_mean) + spread


def per_cent(share: float | None) -> str:
    """A share in per cent with one decimal; a dash for none."""
    return "-" if share is None else f"{100 * share:.1f}"


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _after_colon(note: str) -> str:
    return f": {plain(note)}" if note else ""


def plain(text: str) -> str:
    """Text that cannot break a table, open a tag or pass for a marker."""
    words = " ".join(text.split())
    return words.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")


def code(text: str) -> str:
    """Text as Markdown code that cannot break a table."""
    words = " ".join(text.split()).replace("|", "\\|")
    fence = "``" if "`" in words else "`"
    gap = " " if "`" in words else ""
    return f"{fence}{gap}{words}{gap}{fence}"
