"""Published fold files, in the layout of EmoBox: fold_n/<corpus>_{train,test}_fold_n.jsonl.

A line is a JSON object whose ``wav`` is a path of the release; its file stem is the utterance's id.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from phonemo.config import ProtocolConfig
from phonemo.corpora.folds import Fold, Split
from phonemo.corpora.groups import hold_out_speakers, units_by_id
from phonemo.corpora.manifest import Utterance
from phonemo.errors import LeakageError, ProtocolError, safe_name
from phonemo.files import loads_json


@dataclass(frozen=True)
class PublishedFold:
    """Utterance ids of one fold as they were published."""

    name: str
    train: frozenset[str]
    test: frozenset[str]

    @property
    def ids(self) -> frozenset[str]:
        """The ids of both parts."""
        return self.train | self.test


def split_as_published(utterances: Sequence[Utterance], protocol: ProtocolConfig) -> Split:
    """Train and test as published; validation is carved from train by speaker.

    Raises:
        ProtocolError: no folder given, unfit fold files, or utterances the manifest lacks.
        LeakageError: train and test share speakers, unless the protocol is published-leaky.
    """
    if protocol.folder is None:
        raise ProtocolError(f"protocol {protocol.name} needs the fold files: set protocol.folder")
    if protocol.folds is not None:
        raise ProtocolError("published folds cannot be regrouped; set protocol.folds to null")
    published = read_folds(protocol.folder)
    _require_present(published, {row.id for row in utterances})
    shared = {fold.name: _shared_speakers(fold, utterances) for fold in published}
    notes = _absent_note(published, utterances)
    leaky = protocol.name == "published-leaky"
    if leaky:
        notes = (_leak_note(shared), *notes)
    else:
        _require_no_leak(shared)
    folds = [_carve(fold, n, utterances, protocol) for n, fold in enumerate(published)]
    return Split(protocol, "utterance" if leaky else "speaker", tuple(folds), notes)


def read_folds(folder: str | Path) -> tuple[PublishedFold, ...]:
    """All folds under ``folder`` in the order of their numbers.

    Raises:
        ProtocolError: no folds there, a train or test file missing, or a malformed line.
    """
    folder = Path(folder)
    found = {_number(path): path for path in sorted(folder.glob("fold_*")) if _number(path)}
    if not found:
        raise ProtocolError(
            f"{folder}: no folders fold_1, fold_2, ... there; give the folder of the published "
            "folds as protocol.folder"
        )
    return tuple(_read_fold(found[number], number) for number in sorted(found))


def _number(path: Path) -> int:
    """The number of a fold's folder; 0 for anything else."""
    match = re.fullmatch(r"fold_([1-9][0-9]*)", path.name)
    return int(match[1]) if match and path.is_dir() else 0


def _read_fold(folder: Path, number: int) -> PublishedFold:
    train, test = (_read_part(folder, part, number) for part in ("train", "test"))
    return PublishedFold(name=f"fold-{number}", train=train, test=test)


def _read_part(folder: Path, part: str, number: int) -> frozenset[str]:
    pattern = f"*_{part}_fold_{number}.jsonl"
    paths = sorted(folder.glob(pattern))
    if len(paths) != 1:
        raise ProtocolError(f"{folder}: one file {pattern} is wanted, found {len(paths)}")
    try:
        lines = paths[0].read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ProtocolError(f"{paths[0]}: not a UTF-8 text file; JSON lines are wanted") from error
    ids: set[str] = set()
    for count, line in enumerate(lines, start=1):
        if line.strip():
            ids.add(_fresh(_stem(line, f"{paths[0]}:{count}"), ids, f"{paths[0]}:{count}"))
    return frozenset(ids)


def _fresh(one: str, seen: Collection[str], where: str) -> str:
    if one in seen:
        raise ProtocolError(
            f"{where}: {safe_name(one)} is there twice; an utterance is wanted once in a part"
        )
    return one


def _stem(line: str, where: str) -> str:
    try:
        row = loads_json(line)
    except ValueError as error:
        raise ProtocolError(f"{where}: not JSON; one object a line is wanted") from error
    wav = row.get("wav") if isinstance(row, dict) else None
    if not isinstance(wav, str) or not PurePosixPath(wav).stem:
        raise ProtocolError(f"{where}: no audio path under the key 'wav'")
    return PurePosixPath(wav).stem


def _require_present(published: Sequence[PublishedFold], ids: Collection[str]) -> None:
    named = frozenset[str]().union(*(fold.ids for fold in published))
    missing = sorted(named.difference(ids))
    if missing:
        raise ProtocolError(
            f"{len(missing)} of the {len(named)} utterances in the fold files are not in the "
            f"manifest, {safe_name(missing[0])} for example; prepare the whole corpus, and make "
            "the folds before leaving out labels"
        )


def _shared_speakers(fold: PublishedFold, utterances: Sequence[Utterance]) -> list[str]:
    speakers = units_by_id([row for row in utterances if row.id in fold.ids], "speaker")
    return sorted({speakers[one] for one in fold.train} & {speakers[one] for one in fold.test})


def _require_no_leak(shared: dict[str, list[str]]) -> None:
    for name, speakers in shared.items():
        if speakers:
            some = ", ".join(speakers[:5]) + (", ..." if len(speakers) > 5 else "")
            raise LeakageError(
                f"{name}: train and test of the published folds share {len(speakers)} speakers "
                f"({some}); use protocol speaker, or published-leaky, which is for comparison "
                "with the literature only"
            )


def _leak_note(shared: dict[str, list[str]]) -> str:
    most = max(len(speakers) for speakers in shared.values())
    if not most:
        return "LEAKY: allowed to leak, though these folds share no speaker; use protocol published"
    return (
        f"LEAKY: train and test of the published folds share up to {most} speakers, and "
        "validation speakers may be in test as well; for comparison with the literature only"
    )


def _absent_note(
    published: Sequence[PublishedFold], utterances: Sequence[Utterance]
) -> tuple[str, ...]:
    named = frozenset[str]().union(*(fold.ids for fold in published))
    absent = sum(row.id not in named for row in utterances)
    note = f"{absent} utterances of the manifest are in no published fold and are left out"
    return (note,) if absent else ()


def _carve(
    fold: PublishedFold, turn: int, utterances: Sequence[Utterance], protocol: ProtocolConfig
) -> Fold:
    rows = [row for row in utterances if row.id in fold.train]
    train, validation = hold_out_speakers(rows, turn, protocol.validation_units, protocol.seed)
    test = tuple(row.id for row in utterances if row.id in fold.test)
    return Fold(name=fold.name, train=train, validation=validation, test=test)
