"""Transfer studies: their section of RESULTS.md, and their terminal lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from phonemo.evaluation.markdown import code, markdown_table, per_cent, plain
from phonemo.evaluation.studies.study_tables import versus_cells
from phonemo.evaluation.transfer.transfer_schema import (
    ConditionScores,
    SystemDifference,
    SystemScore,
    Transfer,
)
from phonemo.evaluation.transfer.within_report import spread_text, within_tables

_PREFACE = """\
Each corpus is left out in turn; training and selection use the other corpora, each of which is left
out once more for the selection. The left-out corpus is then tested: one recording at a time
(**single**), adapted by the statistics of a number of its unlabeled recordings, and by those of
each speaker. UA in %: the mean over seeds and pools, with a 95 % bootstrap interval over speakers;
± is the standard deviation over seeds and pools. In the **mean** all corpora have the same weight.
"""


def transfer_sections(studies: Sequence[tuple[str, Transfer]]) -> Iterator[str]:
    """Yield the sections of RESULTS.md.

    Args:
        studies: each with the address of its picture, relative to the page.
    """
    if studies:
        yield f"## Corpora left out\n\n{_PREFACE}"
    for picture, study in studies:
        yield "\n".join(_study(picture, study))


def transfer_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the content of transfer.json as terminal lines."""
    study = Transfer.model_validate(found)
    names = _names(study, one_sided=None)
    yield f"{study.name}: UA % on corpora left out; seeds {', '.join(map(str, study.seeds))}"
    yield f"  {'':<34}" + "".join(f"{name:>16}" for name in names)
    for system in study.systems:
        for title, conditions in _conditions_by_corpus(study, system):
            by_name = {condition.name: condition for condition in conditions}
            cells = [f"{_mean_text(by_name.get(name)):>16}" for name in names]
            yield f"  {f'{system.name}, {title}'.replace('*', ''):<34}" + "".join(cells)
    yield from map(_difference_line, study.differences)
    for result in study.within:
        single, profile = spread_text(result.single.ua), spread_text(result.profile.ua)
        scores = f"single {single}, with a profile {profile}"
        yield f"  {result.system}, speakers of {result.corpus}: {scores}"
    if study.unfinished:
        yield f"not finished: {study.unfinished} cells; run the same command again"


def curve(conditions: Sequence[ConditionScores], one_sided: int | None) -> list[ConditionScores]:
    """The conditions of a line in the picture: pools by size, or one size by share."""
    if one_sided is None:
        return [
            condition
            for condition in conditions
            if condition.share is None and condition.name != "speaker"
        ]
    return [
        condition
        for condition in conditions
        if condition.share is not None and condition.pool == one_sided
    ]


def pool_sizes(study: Transfer) -> list[int]:
    """Sizes of the one-sided pools, ascending."""
    conditions = [
        condition
        for system in study.systems
        for left in system.corpora
        for condition in left.conditions
    ]
    return sorted(
        {
            condition.pool
            for condition in conditions
            if condition.share is not None and condition.pool is not None
        }
    )


def _study(picture: str, study: Transfer) -> Iterator[str]:
    yield f"### {plain(study.name)}\n"
    yield from _facts(study)
    yield f"\n![UA against the number of unlabeled recordings]({picture})\n"
    yield _table(study, None)
    for size in pool_sizes(study):
        yield (
            f"Adapted with {size} recordings: equally many of each emotion, and with a share of "
            f"{plain(study.emotion or '')}:\n"
        )
        yield _table(study, size)
    if study.differences:
        yield _DIFFERENCES
        yield markdown_table(_DIFFERENCE_HEADER, map(_difference_row, study.differences))
    yield f"Answers at the threshold that allows {per_cent(study.risk)} % wrong ones:\n"
    yield markdown_table(
        _SELECTIVE_HEADER,
        (row for system in study.systems for row in _selective_rows(study, system)),
    )
    yield "Recalls in %, single and adapted with all unlabeled recordings:\n"
    yield markdown_table(
        ("system", "left out", "tested", *map(plain, study.labels)),
        (row for system in study.systems for row in _recall_rows(study, system)),
    )
    yield "Selected hyperparameters, with the first seed:\n"
    yield markdown_table(
        _CHOICE_HEADER, (row for system in study.systems for row in _choice_rows(system))
    )
    yield from within_tables(study.within)


def _facts(study: Transfer) -> Iterator[str]:
    merged = ", ".join(f"{old} as {new}" for old, new in sorted(study.merge.items()))
    chance = f"chance {per_cent(1 / len(study.labels))} %"
    yield f"- emotions: {plain(', '.join(study.labels))} ({chance}); merged: {plain(merged) or '-'}"
    for corpus in study.corpora:
        counts = ", ".join(f"{name} {count}" for name, count in corpus.emotions.items())
        note = "" if corpus.left_out else "; used for training only"
        size = f"{corpus.utterances} utterances, {corpus.speakers} speakers"
        yield f"- {plain(corpus.name)}: {size} ({plain(counts)}){note}"
    averaged, select_by = plain(", ".join(study.averaged)), ", ".join(study.select_by)
    yield f"- mean over {averaged}; selected by {select_by}"
    seeds = ", ".join(map(str, study.seeds))
    yield f"- seeds {seeds}, {study.draws} pools of each size per seed"
    yield f"- measured by phonemo {plain(study.phonemo)}, config {code(study.config)}, with"
    yield f"  {code(study.command)}"
    if study.unfinished:
        yield f"- **{study.unfinished} cells are not finished**"


def _names(study: Transfer, one_sided: int | None) -> list[str]:
    """Names of a table's conditions, in the order of the study."""
    names: dict[str, None] = {}
    for system in study.systems:
        for left in system.corpora:
            for condition in left.conditions:
                if (
                    (condition.share is None)
                    if one_sided is None
                    else condition in curve([condition], one_sided)
                ):
                    names[condition.name] = None
    return list(names)


def _table(study: Transfer, one_sided: int | None) -> str:
    names = _names(study, one_sided)
    rows = []
    for system in study.systems:
        for title, conditions in _conditions_by_corpus(study, system):
            by_name = {condition.name: condition for condition in conditions}
            cells = [_cell(by_name.get(name)) for name in names]
            rows.append((plain(system.name), title, *cells))
    return markdown_table(("system", "left out", *map(_column_title, names)), rows)


def _conditions_by_corpus(
    study: Transfer, system: SystemScore
) -> Iterator[tuple[str, Sequence[ConditionScores]]]:
    """The mean first, then the corpora."""
    if system.mean:
        yield ("**mean**", system.mean)
    for corpus in system.corpora:
        not_averaged = "" if corpus.left_out in study.averaged else " (not in the mean)"
        pretrained = " (pretrained on it, unlabeled)" if corpus.unlabelled else ""
        yield (f"{plain(corpus.left_out)}{not_averaged}{pretrained}", corpus.conditions)


def _column_title(name: str) -> str:
    """A condition as a column title."""
    first, _, rest = name.partition("-")
    if first == "pool":
        return f"adapted, {rest}"
    if first == "even":
        return "even"
    return f"{first} %" if rest else {"speaker": "by speaker"}.get(first, first)


def _cell(condition: ConditionScores | None) -> str:
    if condition is None:
        return "-"
    spread = f" ± {per_cent(condition.ua.sd)}" if condition.ua.sd else ""
    return spread_text(condition.ua) + spread


def _mean_text(condition: ConditionScores | None) -> str:
    return "-" if condition is None else per_cent(condition.ua.mean)


_DIFFERENCES = """\
Systems compared, in points of UA: paired by recording, seed and pool; p from permutations of whole
speakers, adjusted (Holm) for all means, and for all single corpora:
"""
_DIFFERENCE_HEADER = ("system", "against", "left out", "tested", "difference", "p", "p (Holm)")
_SELECTIVE_HEADER = ("system", "left out", "tested", "answered %", "wrong among them %", "ECE %")
_CHOICE_HEADER = ("system", "left out", "of", "UA % in nested tests", "choice")


def _difference_row(found: SystemDifference) -> tuple[str, ...]:
    left_out = "**mean**" if found.left_out is None else plain(found.left_out)
    names = (plain(found.system), plain(found.against), left_out, _column_title(found.condition))
    return (*names, *versus_cells(found))


def _difference_line(found: SystemDifference) -> str:
    what = f"{found.system} against {found.against}, {found.left_out or 'mean'}, {found.condition}"
    points, p, p_holm = versus_cells(found)
    return f"  {what}: {points}, p {p}, adjusted {p_holm}"


def _selective_rows(study: Transfer, system: SystemScore) -> Iterator[tuple[str, ...]]:
    for title, conditions in _conditions_by_corpus(study, system):
        for condition in _main_conditions(conditions):
            shares = (
                per_cent(value) for value in (condition.coverage, condition.error, condition.ece)
            )
            yield (plain(system.name), title, _column_title(condition.name), *shares)


def _recall_rows(study: Transfer, system: SystemScore) -> Iterator[tuple[str, ...]]:
    for left in system.corpora:
        for condition in _main_conditions(left.conditions):
            shares = (per_cent(condition.recalls.get(name)) for name in study.labels)
            yield (plain(system.name), plain(left.left_out), _column_title(condition.name), *shares)


def _main_conditions(conditions: Sequence[ConditionScores]) -> list[ConditionScores]:
    """Single, and the largest pool of the source."""
    blind = curve(conditions, None)
    return [condition for condition in blind if condition.name == "single"] + [
        condition for condition in blind[-1:] if condition.name != "single"
    ]


def _choice_rows(system: SystemScore) -> Iterator[tuple[str, ...]]:
    for left in system.corpora:
        first = left.picked[0]
        choice = ", ".join(f"{key}={value}" for key, value in first.choice.items())
        score = per_cent(first.score)
        yield (
            plain(system.name),
            plain(left.left_out),
            str(left.combinations),
            score,
            code(choice),
        )
