"""Studies of several runs as Markdown: ablations (ablation.json) and corpora (cross.json)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from phonemo.comparing import p_text
from phonemo.results import Amount, Count, Protocol, Score, Share
from phonemo.tables import code, markdown_table, per_cent, plain, with_interval

Points = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class Versus(_Part):
    """An arm against the table's baseline, in UA as a share."""

    difference: Points
    low: Points | None
    high: Points | None
    p: Share | None
    """Of the permutation of whole speakers; null for a single speaker."""
    p_holm: Share | None
    """Adjusted for the number of arms in the table."""


class ArmScore(_Part):
    """One arm over all of its folds and seeds."""

    arm: str
    changes: dict[str, Any]
    config: str
    corpus: str
    protocol: Protocol
    protocol_note: str
    leaky: bool
    seeds: tuple[int, ...]
    folds: Count
    utterances: Count
    speakers: Count
    wa: Score
    ua: Score
    per: Amount | None
    ece: Share
    seconds: Amount
    versus: Versus | None


class ArmTable(_Part):
    """One question; the baseline is the first row."""

    title: str
    baseline: str
    rows: tuple[ArmScore, ...] = Field(min_length=1)


class Ablation(_Part):
    """The content of ablation.json."""

    name: str
    command: str
    config: str
    phonemo: str
    missing: tuple[str, ...] = ()
    """Arms without a finished cell."""
    tables: tuple[ArmTable, ...]


class CrossCell(_Part):
    """One training corpus on one tested corpus."""

    train: str
    test: str
    run: str
    config: str
    protocol: str
    leaky: bool
    heard: bool = False
    """Whether the backbone heard the tested corpus without labels."""
    seeds: tuple[int, ...] = ()
    models: Count
    utterances: Count
    speakers: Count
    wa: Score
    ua: Score
    ece: Share


class Crossing(_Part):
    """The content of cross.json."""

    name: str
    command: str
    labels: tuple[str, ...] = Field(min_length=2)
    merge: dict[str, str]
    cells: tuple[CrossCell, ...] = Field(min_length=1)


def study_sections(ablations: Iterable[Ablation], crossings: Iterable[Crossing]) -> Iterator[str]:
    """The sections of RESULTS.md below its tables of runs."""
    ablations, crossings = list(ablations), list(crossings)
    if ablations:
        yield f"## Ablations\n\n{_ABLATIONS}"
    for study in ablations:
        yield "\n".join(_ablation(study))
    if crossings:
        yield f"## Across corpora\n\n{_CROSSINGS}"
    for crossing in crossings:
        yield "\n".join(_crossing(crossing))


_HEADER = (
    *("arm", "changes", "WA %", "UA % (95 % interval)", "PER %", "ECE %"),
    *("UA against the first", "p", "p (Holm)", "config"),
)
_ABLATIONS = """\
An arm is held against the first row of its table: the difference in UA with its 95 % interval
(bootstrap over speakers) and p (whole speakers swapped between the two; Holm: for all arms of the
table). Settings are the base config's but for what an arm changes.
"""
_CROSSINGS = """\
UA in %, with its 95 % interval over speakers. On its own corpus (\\*) a run has its own
folds; on another each of its models hears the whole corpus, and the models are
averaged.
"""


def _ablation(study: Ablation) -> Iterator[str]:
    yield f"### {plain(study.name)}\n"
    yield f"- measured by phonemo {plain(study.phonemo)}, config {code(study.config)}, with"
    yield f"  {code(study.command)}"
    if study.missing:
        yield f"- not finished, and left out: {plain(', '.join(study.missing))}"
    for table in study.tables:
        yield f"\n**{plain(table.title)}**\n"
        yield from _told(table.rows)
        yield markdown_table(_HEADER, (_arm(row) for row in table.rows)).rstrip("\n")
    yield ""


def _told(rows: Sequence[ArmScore]) -> Iterator[str]:
    """What all rows of a table have in common, and every note that one of them has."""
    first = rows[0]
    leaky = "**leaky** " if any(row.leaky for row in rows) else ""
    yield (
        f"- {plain(first.corpus)}: {first.utterances} utterances, {first.speakers} speakers; "
        f"protocol {leaky}{plain(first.protocol.name)}, {first.folds} folds, "
        f"seeds {', '.join(map(str, first.seeds))}"
    )
    for note in dict.fromkeys(row.protocol_note for row in rows if row.protocol_note):
        yield f"- {plain(note)}"
    yield ""


def _arm(row: ArmScore) -> tuple[str, ...]:
    changes = ", ".join(f"{key}={json.dumps(value)}" for key, value in row.changes.items())
    return (
        plain(row.arm),
        code(changes) if changes else "-",
        per_cent(row.wa.mean),
        with_interval(row.ua),
        per_cent(row.per),
        per_cent(row.ece),
        *_against(row.versus),
        code(row.config),
    )


def _against(versus: Versus | None) -> tuple[str, str, str]:
    if versus is None:
        return "-", "-", "-"
    points = f"{100 * versus.difference:+.1f}"
    if versus.low is None or versus.high is None or versus.p is None:
        return points, "-", "-"
    adjusted = "-" if versus.p_holm is None else p_text(versus.p_holm)
    interval = f"{100 * versus.low:+.1f} to {100 * versus.high:+.1f}"
    return f"{points} ({interval})", p_text(versus.p), adjusted


def _crossing(study: Crossing) -> Iterator[str]:
    yield f"### {plain(study.name)}\n"
    merged = ", ".join(f"{old} as {new}" for old, new in sorted(study.merge.items()))
    chance = f"chance {per_cent(1 / len(study.labels))}"
    yield f"- emotions: {plain(', '.join(study.labels))} ({chance}); other utterances are left out"
    yield f"- counted together: {plain(merged) or 'none'}"
    yield f"- measured with {code(study.command)}"
    tests = list(dict.fromkeys(cell.test for cell in study.cells))
    for run in {cell.run: cell for cell in study.cells}.values():
        seeds = ", ".join(map(str, run.seeds))
        yield f"- {plain(run.run)}: config {code(run.config)}, seeds {seeds}, {run.models} models"
    yield ""
    rows = []
    for train in dict.fromkeys(cell.train for cell in study.cells):
        own = {cell.test: cell for cell in study.cells if cell.train == train}
        first = next(iter(own.values()))
        rows.append((plain(train), plain(first.run), *(_cell(own.get(test)) for test in tests)))
    yield markdown_table(("trained on", "run", *map(plain, tests)), rows)


def _cell(cell: CrossCell | None) -> str:
    if cell is None:
        return "-"
    own = "\\*" if cell.train == cell.test else ""
    own += " (heard without labels)" if cell.heard and not own else ""
    return ("**leaky** " if cell.leaky else "") + with_interval(cell.ua) + own
