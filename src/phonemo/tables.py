"""Measured runs as Markdown: the page of all results, the short table, one run in detail."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from phonemo.results import BoundaryScore, GroupScore, Metrics, Results, Score

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


def results_page(runs: Sequence[Metrics]) -> str:
    """RESULTS.md: a table for each corpus, then every run in detail."""
    if not runs:
        return f"{PREFACE}\n{NOTHING}"
    corpora = sorted({run.corpus for run in runs})
    parts = [PREFACE]
    for corpus in corpora:
        chosen = [run for run in runs if run.corpus == corpus]
        parts.append(f"## {_plain(corpus)}\n\n{_corpus_table(chosen)}")
    parts.append("## Runs in detail\n")
    parts.extend(details(run) for run in runs)
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
        per_cent(found.phonemes.per if found.phonemes else None),
        _code(run.config),
        _code(run.command),
    )


def summary_table(runs: Sequence[Metrics]) -> str:
    """One row a run, for a README or a model card."""
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
        per_cent(found.wa.mean),
        _with_interval(found.ua),
        per_cent(found.phonemes.per if found.phonemes else None),
    )


def details(run: Metrics) -> str:
    """One run with its facts, folds, classes, genders and confusions."""
    found = run.results
    parts = [
        f"### {_plain(run.name)}\n",
        _facts(run),
        _fold_table(found),
        _recall_table(found),
        *([_group_table("corpus", found.per_corpus)] if found.per_corpus else []),
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
        f"chance: WA {per_cent(found.chance.majority_wa)} %, UA {per_cent(found.chance.ua)} %",
        f"calibration: ECE {per_cent(found.calibration.ece)} %, "
        f"Brier {found.calibration.brier:.3f}, NLL {found.calibration.nll:.3f} nats",
        f"intervals: {found.interval.samples} resamples of {found.interval.clusters} clusters "
        f"({_plain(found.interval.unit)})",
        *_phoneme_facts(found),
        *([] if found.boundaries is None else [f"boundaries: {boundaries_text(found.boundaries)}"]),
        *extra_texts(run),
    ]
    if not found.seeds_agree:
        facts.append(f"**{UNEVEN}**")
    return "".join(f"- {fact}\n" for fact in facts)


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
        f"{_plain(corpus)}: PER {per_cent(one.per)} % on {one.utterances} utterances of "
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
            _plain(one.fold),
            str(one.seed),
            str(one.utterances),
            *(per_cent(value) for value in (one.wa, one.ua, one.macro_f1)),
        )
        for one in found.folds
    )
    return _table(("fold", "seed", "utterances", "WA %", "UA %", "macro F1 %"), rows)


def _recall_table(found: Results) -> str:
    names = [_plain(name) for name in found.recalls]
    shares = [per_cent(value) for value in found.recalls.values()]
    return _table(("class", *names), [("recall %", *shares)])


def _group_table(kind: str, groups: Mapping[str, GroupScore]) -> str:
    rows = (
        (_plain(name), str(one.utterances), per_cent(one.wa), per_cent(one.ua))
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


def protocol_text(run: Metrics) -> str:
    """The protocol with the number of its folds."""
    folds = len({one.fold for one in run.results.folds})
    return f"{run.protocol.name}, {folds} fold{'s' if folds != 1 else ''}"


def _marked_protocol(run: Metrics) -> str:
    return ("**leaky** " if run.leaky else "") + _plain(protocol_text(run))


def _with_interval(score: Score) -> str:
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
