"""Measured runs as Markdown: the results page, the short table, run details."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from phonemo.evaluation.metrics_schema import (
    BoundaryScore,
    CalibrationScore,
    Confusion,
    GroupScore,
    Metrics,
    Results,
    Score,
)
from phonemo.evaluation.ratings.rating_text import dimension_texts, mean_ccc_text, vote_texts

_CCC = "mean CCC (95 % interval)"
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
    """RESULTS.md: a table for each corpus, the studies of several runs, all run details."""
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
    rated = _have_dimensions(runs)
    header = (
        "system",
        "classes",
        "protocol",
        "seeds",
        "WA % (95 % interval)",
        "UA % (95 % interval)",
        "UA % by fold",
        "PER %",
        *([_CCC] if rated else []),
        "config",
        "command",
    )
    return markdown_table(header, (_corpus_row(run, rated) for run in runs))


def _corpus_row(run: Metrics, rated: bool) -> tuple[str, ...]:
    results = run.results
    return (
        plain(run.title),
        str(len(results.labels)),
        _marked_protocol(run),
        ", ".join(str(seed) for seed in run.seeds),
        with_interval(results.wa),
        with_interval(results.ua),
        _by_fold(results.ua),
        per_cent(results.phonemes.per if results.phonemes else None),
        *([mean_ccc_text(results.dimensions)] if rated else []),
        code(run.config),
        code(run.command),
    )


def summary_table(runs: Sequence[Metrics]) -> str:
    """One row per run, for a README or a model card."""
    if not runs:
        return NOTHING
    rated = _have_dimensions(runs)
    header = (
        *("corpus", "system", "classes", "protocol", "WA %", "UA % (95 % interval)", "PER %"),
        *([_CCC] if rated else []),
    )
    return markdown_table(header, (_readme_row(run, rated) for run in runs))


def _have_dimensions(runs: Sequence[Metrics]) -> bool:
    """Whether a table needs the column of the mean CCC."""
    return any(run.results.dimensions for run in runs)


def _readme_row(run: Metrics, rated: bool) -> tuple[str, ...]:
    results = run.results
    return (
        plain(run.corpus),
        plain(run.title),
        str(len(results.labels)),
        _marked_protocol(run),
        per_cent(results.wa.mean if results.wa else None),
        with_interval(results.ua),
        per_cent(results.phonemes.per if results.phonemes else None),
        *([mean_ccc_text(results.dimensions)] if rated else []),
    )


def details(run: Metrics) -> str:
    """One run with its facts, folds, classes, genders and confusions."""
    results = run.results
    head = [f"### {plain(run.name)}\n", _facts(run)]
    if results.confusion is None:
        return "\n".join(head)
    parts = [
        *head,
        _fold_table(results),
        _recall_table(results),
        *([_group_table("corpus", results.per_corpus)] if results.per_corpus else []),
        *([_group_table("style", results.per_style)] if results.per_style else []),
        _group_table("gender", results.per_gender),
        "Confusion, rows are the truth, summed over seeds:\n",
        _confusion_table(results.confusion),
    ]
    return "\n".join(parts)


def _facts(run: Metrics) -> str:
    results = run.results
    model = ", ".join(f"{key} {_value(value)}" for key, value in sorted(run.model.items()))
    facts = [
        f"{plain(run.title)}, on {plain(run.corpus)}: {results.utterances} utterances, "
        f"{results.speakers_count} speakers, {len(results.labels)} classes",
        f"protocol: {_marked_protocol(run)}" + _after_colon(run.protocol_note),
        f"model: {plain(model)}",
        f"measured by phonemo {plain(run.phonemo)} with {code(run.command)}",
        *_emotion_facts(results),
        *calibration_texts(results),
        *dimension_texts(results.dimensions),
        *vote_texts(results.votes),
        f"intervals: {results.interval.samples} resamples of {results.interval.clusters} clusters "
        f"({plain(results.interval.unit)})",
        *_phoneme_facts(results),
        *(
            []
            if results.boundaries is None
            else [f"boundaries: {boundaries_text(results.boundaries)}"]
        ),
        *extra_texts(run),
    ]
    if not results.seeds_agree:
        facts.append(f"**{UNEVEN}**")
    return "".join(f"- {fact}\n" for fact in facts)


def _emotion_facts(results: Results) -> list[str]:
    chance = results.chance
    if chance is None:
        return []
    return [
        f"WA by fold {_by_fold(results.wa)} %; macro F1 {with_interval(results.macro_f1)} %, "
        f"weighted F1 {with_interval(results.weighted_f1)} %",
        f"chance: WA {per_cent(chance.majority_wa)} %, UA {per_cent(chance.ua)} %",
    ]


def calibration_texts(found: Results) -> list[str]:
    """Calibration of the scores, and the gain from selective answers."""
    if found.calibration is None:
        return []
    texts = [f"calibration: {_calibration_text(found.calibration)}"]
    if found.uncalibrated is not None:
        texts[0] += f"; before temperature scaling {_calibration_text(found.uncalibrated)}"
    selective = found.selective
    if selective is not None and selective.coverage is not None:
        risk = "-" if selective.risk is None else f"{per_cent(selective.risk)} % of them wrong"
        texts.append(
            f"at the models' own thresholds {per_cent(selective.coverage)} % answered, {risk}"
        )
    return texts


def _calibration_text(score: CalibrationScore) -> str:
    return f"ECE {per_cent(score.ece)} %, Brier {score.brier:.3f}, NLL {score.nll:.3f} nats"


def _phoneme_facts(results: Results) -> list[str]:
    score = results.phonemes
    if score is None:
        return []
    return [
        f"phonemes: PER {per_cent(score.per)} % of {score.tokens} tokens ({score.substitutions} "
        f"substitutions, {score.deletions} deletions, {score.insertions} insertions)"
    ]


def extra_texts(run: Metrics) -> list[str]:
    """A line for each extra corpus with speakers held out."""
    return [
        f"{plain(corpus)}: PER {per_cent(score.per)} % on {score.utterances} utterances of "
        f"{score.speakers} speakers held out, mean of {score.trainings} trainings"
        for corpus, score in sorted(run.extra.items())
    ]


def boundaries_text(one: BoundaryScore) -> str:
    """Distance of aligned phoneme boundaries from hand-made ones, in a line."""
    return (
        f"median {one.median_ms:.0f} ms ({per_cent(one.within_20_ms)} % within 20 ms, "
        f"{per_cent(one.within_40_ms)} % within 40 ms) of {one.boundaries} in "
        f"{one.utterances} utterances with hand-made times"
    )


def _fold_table(results: Results) -> str:
    rows = (
        (
            plain(fold.fold),
            str(fold.seed),
            str(fold.utterances),
            *(per_cent(value) for value in (fold.wa, fold.ua, fold.macro_f1)),
        )
        for fold in results.folds
    )
    return markdown_table(("fold", "seed", "utterances", "WA %", "UA %", "macro F1 %"), rows)


def _recall_table(results: Results) -> str:
    names = [plain(name) for name in results.recalls]
    shares = [per_cent(value) for value in results.recalls.values()]
    return markdown_table(("class", *names), [("recall %", *shares)])


def _group_table(kind: str, groups: Mapping[str, GroupScore]) -> str:
    rows = (
        (plain(name), str(group.utterances), per_cent(group.wa), per_cent(group.ua))
        for name, group in sorted(groups.items())
    )
    return markdown_table((kind, "utterances", "WA %", "UA %"), rows)


def _confusion_table(confusion: Confusion) -> str:
    names = [plain(name) for name in confusion.labels]
    rows = zip(names, confusion.counts, strict=True)
    return markdown_table(("truth", *names), ((name, *map(str, row)) for name, row in rows))


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Format a header and rows of cells as a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def protocol_text(run: Metrics) -> str:
    """The protocol with its number of folds."""
    folds = len({fold.fold for fold in run.results.folds})
    if not folds:  # without emotions; the scores of dimensions have no table by fold
        return run.protocol.name
    return f"{run.protocol.name}, {folds} fold{'s' if folds != 1 else ''}"


def _marked_protocol(run: Metrics) -> str:
    return ("**leaky** " if run.leaky else "") + plain(protocol_text(run))


def with_interval(score: Score | None) -> str:
    """A mean with its interval, if it has one; a dash for none."""
    if score is None:
        return "-"
    if score.low is None or score.high is None:
        return per_cent(score.mean)
    return f"{per_cent(score.mean)} ({per_cent(score.low)} to {per_cent(score.high)})"


def _by_fold(score: Score | None) -> str:
    if score is None:
        return "-"
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
    """Escape text so that it cannot break a table, open a tag or imitate a marker."""
    words = " ".join(text.split())
    return words.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")


def code(text: str) -> str:
    """Format text as Markdown code that cannot break a table."""
    words = " ".join(text.split()).replace("|", "\\|")
    fence = "``" if "`" in words else "`"
    gap = " " if "`" in words else ""
    return f"{fence}{gap}{words}{gap}{fence}"
