"""Transfer studies: the schema of transfer.json, its section of RESULTS.md, and the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from phonemo.evaluation.markdown import code, markdown_table, per_cent, plain
from phonemo.evaluation.schema import Count, Share

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _TransferModel(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class Spread(_TransferModel):
    """A UA as a share."""

    mean: Share
    low: Share | None
    """Lower end of the 95 % bootstrap interval over speakers; null for a single speaker."""
    high: Share | None
    sd: Amount | None
    """Deviation over seeds and draws; null for a single run, and for a mean over corpora."""


class ConditionScores(_TransferModel):
    """One way to test: by single recordings, by speaker, or with pools."""

    name: str
    pool: Count | None
    share: Share | None
    """Of one emotion in the pool, 0 for as many of each; null where the pool is drawn blindly."""
    runs: Count
    ua: Spread
    wa: Share
    recalls: dict[str, Share] = Field(default_factory=dict)
    coverage: Share
    """Answers at the threshold that was fitted on other corpora."""
    error: Share | None
    """Wrong ones among them; null where none was given."""
    ece: Share


class Pick(_TransferModel):
    """What nested tests picked with one seed."""

    seed: int
    score: Share | None
    choice: dict[str, Any]


class Fit(_TransferModel):
    """Temperature and threshold of one seed."""

    seed: int
    adapted: bool
    temperature: Amount
    abstain_below: Share
    utterances: Count


class LeftOutCorpus(_TransferModel):
    """One system on one corpus that it did not learn from."""

    left_out: str
    seeds: tuple[int, ...] = Field(min_length=1)
    unlabelled: bool
    """Whether its network was pretrained on the corpus, without labels."""
    utterances: Count
    speakers: Count
    picked: tuple[Pick, ...]
    combinations: Count
    calibration: tuple[Fit, ...]
    conditions: tuple[ConditionScores, ...] = Field(min_length=1)


class SystemScore(_TransferModel):
    """One system on every corpus that was left out, and the mean."""

    name: str
    config: str
    corpora: tuple[LeftOutCorpus, ...] = Field(min_length=1)
    mean: tuple[ConditionScores, ...]
    """Over the corpora that are averaged; empty where one is not finished."""


class CorpusFacts(_TransferModel):
    """A corpus of the study."""

    name: str
    utterances: Count
    speakers: Count
    emotions: dict[str, Count]
    left_out: bool


class Frequent(_TransferModel):
    """What was picked for so many of the speakers."""

    speakers: Count
    choice: dict[str, Any]


class WithinScore(_TransferModel):
    """Speakers of one corpus left out in turn, without a profile or with."""

    ua: Spread
    wa: Share
    recalls: dict[str, Share]
    picked: tuple[Frequent, ...]


class Within(_TransferModel):
    """One system within one corpus."""

    system: str
    corpus: str
    labels: tuple[str, ...]
    teachers: tuple[str, ...]
    utterances: Count
    speakers: Count
    single: WithinScore
    profile: WithinScore


class Transfer(_TransferModel):
    """The content of transfer.json."""

    name: str
    command: str
    config: str
    phonemo: str
    labels: tuple[str, ...] = Field(min_length=2)
    merge: dict[str, str]
    emotion: str | None
    """Of one-sided pools."""
    seeds: tuple[int, ...]
    draws: Count
    risk: Share
    select_by: tuple[str, ...]
    averaged: tuple[str, ...]
    unfinished: Count
    """Cells that are not finished."""
    corpora: tuple[CorpusFacts, ...]
    systems: tuple[SystemScore, ...]
    within: tuple[Within, ...] = ()


_PREFACE = """\
A corpus is left out; everything is learnt and picked on the others, which are left out once more to
pick. The first one is tested: one recording at a time (**single**), adapted by the statistics of so
many unlabelled recordings of it, and by each speaker's own. UA in %: the mean over seeds and pools,
with a 95 % bootstrap interval over speakers; ± is the deviation over seeds and pools. In the
**mean** each corpus weighs the same.
"""


def transfer_sections(studies: Sequence[tuple[str, Transfer]]) -> Iterator[str]:
    """The sections of RESULTS.md.

    Args:
        studies: each with the address of its picture, as the page has it.
    """
    if studies:
        yield f"## Corpora left out\n\n{_PREFACE}"
    for picture, study in studies:
        yield "\n".join(_study(picture, study))


def transfer_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The content of transfer.json for a terminal."""
    study = Transfer.model_validate(found)
    names = _names(study, one_sided=None)
    yield f"{study.name}: UA % on corpora left out; seeds {', '.join(map(str, study.seeds))}"
    yield f"  {'':<34}" + "".join(f"{name:>16}" for name in names)
    for system in study.systems:
        for title, conditions in _rows_of(study, system):
            by_name = {one.name: one for one in conditions}
            cells = [f"{_short(by_name.get(name)):>16}" for name in names]
            yield f"  {f'{system.name}, {title}'.replace('*', ''):<34}" + "".join(cells)
    for one in study.within:
        scores = f"single {_text(one.single.ua)}, with a profile {_text(one.profile.ua)}"
        yield f"  {one.system}, speakers of {one.corpus}: {scores}"
    if study.unfinished:
        yield f"not finished: {study.unfinished} cells; run the same command again"


def curve(conditions: Sequence[ConditionScores], one_sided: int | None) -> list[ConditionScores]:
    """The conditions of a line in a picture: pools by size, or of a size by share."""
    if one_sided is None:
        return [one for one in conditions if one.share is None and one.name != "speaker"]
    return [one for one in conditions if one.share is not None and one.pool == one_sided]


def pool_sizes(study: Transfer) -> list[int]:
    """Of the one-sided pools, ascending."""
    shared = [one for system in study.systems for left in system.corpora for one in left.conditions]
    return sorted({one.pool for one in shared if one.share is not None and one.pool is not None})


def _study(picture: str, study: Transfer) -> Iterator[str]:
    yield f"### {plain(study.name)}\n"
    yield from _facts(study)
    yield f"\n![UA against the number of unlabelled recordings]({picture})\n"
    yield _table(study, None)
    for size in pool_sizes(study):
        yield (
            f"Adapted with {size} recordings: as many of each emotion, and with a share of "
            f"{plain(study.emotion or '')}:\n"
        )
        yield _table(study, size)
    yield f"Answers at the threshold that may give {per_cent(study.risk)} % wrong ones:\n"
    yield markdown_table(_SURE, (row for system in study.systems for row in _sure(study, system)))
    yield "Recalls in %, single and by all unlabelled recordings:\n"
    yield markdown_table(
        ("system", "left out", "tested", *map(plain, study.labels)),
        (row for system in study.systems for row in _recalls(study, system)),
    )
    yield "What was picked, with the first seed:\n"
    yield markdown_table(_PICKED, (row for system in study.systems for row in _picked(system)))
    if study.within:
        yield "Speakers left out within one corpus, without and with their profiles:\n"
        yield markdown_table(_WITHIN, map(_within, study.within))


def _facts(study: Transfer) -> Iterator[str]:
    merged = ", ".join(f"{old} as {new}" for old, new in sorted(study.merge.items()))
    chance = f"chance {per_cent(1 / len(study.labels))} %"
    yield f"- emotions: {plain(', '.join(study.labels))} ({chance}); merged: {plain(merged) or '-'}"
    for one in study.corpora:
        counts = ", ".join(f"{name} {count}" for name, count in one.emotions.items())
        alone = "" if one.left_out else "; only teaches"
        size = f"{one.utterances} utterances, {one.speakers} speakers"
        yield f"- {plain(one.name)}: {size} ({plain(counts)}){alone}"
    yield f"- mean over {plain(', '.join(study.averaged))}; picked by {', '.join(study.select_by)}"
    seeds = ", ".join(map(str, study.seeds))
    yield f"- seeds {seeds}, {study.draws} pools of each size with each"
    yield f"- measured by phonemo {plain(study.phonemo)}, config {code(study.config)}, with"
    yield f"  {code(study.command)}"
    if study.unfinished:
        yield f"- **{study.unfinished} cells are not finished**"


def _names(study: Transfer, one_sided: int | None) -> list[str]:
    """Names of the conditions of a table, in the order of the study."""
    found: dict[str, None] = {}
    for system in study.systems:
        for left in system.corpora:
            for one in left.conditions:
                if (one.share is None) if one_sided is None else one in curve([one], one_sided):
                    found[one.name] = None
    return list(found)


def _table(study: Transfer, one_sided: int | None) -> str:
    names = _names(study, one_sided)
    rows = []
    for system in study.systems:
        for title, conditions in _rows_of(study, system):
            by_name = {one.name: one for one in conditions}
            cells = [_cell(by_name.get(name)) for name in names]
            rows.append((plain(system.name), title, *cells))
    return markdown_table(("system", "left out", *map(_titled, names)), rows)


def _rows_of(
    study: Transfer, system: SystemScore
) -> Iterator[tuple[str, Sequence[ConditionScores]]]:
    """The mean first, then the corpora."""
    if system.mean:
        yield ("**mean**", system.mean)
    for one in system.corpora:
        beside = "" if one.left_out in study.averaged else " (beside)"
        known = " (pretrained on it, unlabelled)" if one.unlabelled else ""
        yield (f"{plain(one.left_out)}{beside}{known}", one.conditions)


def _titled(name: str) -> str:
    """A condition as a head of a column."""
    first, _, rest = name.partition("-")
    if first == "pool":
        return f"adapted, {rest}"
    if first == "even":
        return "even"
    return f"{first} %" if rest else {"speaker": "by speaker"}.get(first, first)


def _text(ua: Spread) -> str:
    if ua.low is None or ua.high is None:
        return per_cent(ua.mean)
    return f"{per_cent(ua.mean)} ({per_cent(ua.low)} to {per_cent(ua.high)})"


def _cell(one: ConditionScores | None) -> str:
    if one is None:
        return "-"
    spread = f" ± {per_cent(one.ua.sd)}" if one.ua.sd else ""
    return _text(one.ua) + spread


def _short(one: ConditionScores | None) -> str:
    return "-" if one is None else per_cent(one.ua.mean)


_SURE = ("system", "left out", "tested", "answered %", "wrong among them %", "ECE %")
_PICKED = ("system", "left out", "of", "UA % in nested tests", "choice")
_WITHIN = (
    "system",
    "corpus",
    "emotions",
    "speakers",
    "taught besides",
    "without",
    "with a profile",
)


def _sure(study: Transfer, system: SystemScore) -> Iterator[tuple[str, ...]]:
    for title, conditions in _rows_of(study, system):
        for one in _shown(conditions):
            shares = (per_cent(value) for value in (one.coverage, one.error, one.ece))
            yield (plain(system.name), title, _titled(one.name), *shares)


def _recalls(study: Transfer, system: SystemScore) -> Iterator[tuple[str, ...]]:
    for left in system.corpora:
        for one in _shown(left.conditions):
            shares = (per_cent(one.recalls.get(name)) for name in study.labels)
            yield (plain(system.name), plain(left.left_out), _titled(one.name), *shares)


def _shown(conditions: Sequence[ConditionScores]) -> list[ConditionScores]:
    """Single, and the largest pool of the source."""
    blind = curve(conditions, None)
    return [one for one in blind if one.name == "single"] + [
        one for one in blind[-1:] if one.name != "single"
    ]


def _picked(system: SystemScore) -> Iterator[tuple[str, ...]]:
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


def _within(one: Within) -> tuple[str, ...]:
    scores = (_text(one.single.ua), _text(one.profile.ua))
    taught = plain(", ".join(one.teachers)) or "-"
    emotions = str(len(one.labels))
    return (plain(one.system), plain(one.corpus), emotions, str(one.speakers), taught, *scores)
