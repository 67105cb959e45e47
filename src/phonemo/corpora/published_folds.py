"""Published folds in EmoBox's layout: fold_n/<corpus>_{train,test}_fold_n.jsonl.

Every line is a JSON object whose ``wav`` is an audio path; its stem is the utterance's id.
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
    """Utterance ids of one published fold."""

    name: str
    train: frozenset[str]
    test: frozenset[str]

    @property
    def ids(self) -> frozenset[str]:
        """The ids of both parts."""
        return self.train | self.test


def split_as_published(utterances: Sequence[Utterance], protocol: ProtocolConfig) -> Split:
    """Use train and test as published; validation speakers are taken from train.

    Raises:
        ProtocolError: no folder, invalid fold files, or utterances missing from the manifest.
        LeakageError: train and test share speakers, unless the protocol is published-leaky.
    """
    if protocol.folder is None:
        raise ProtocolError(f"protocol {protocol.name} needs the fold files; set protocol.folder")
    if protocol.folds is not None:
        raise ProtocolError("published folds cannot be regrouped; set protocol.folds to null")
    published = read_folds(protocol.folder)
    _require_present(published, {row.id for row in utterances})
    shared = {fold.name: _shared_speakers(fold, utterances) for fold in published}
    notes = _excluded_note(published, utterances)
    leaky = protocol.name == "published-leaky"
    if leaky:
        notes = (_leak_note(shared), *notes)
    else:
        _require_no_leak(shared)
    folds = [_make_fold(fold, n, utterances, protocol) for n, fold in enumerate(published)]
    return Split(protocol, "utterance" if leaky else "speaker", tuple(folds), notes)


def read_folds(folder: str | Path) -> tuple[PublishedFold, ...]:
    """Read all folds under ``folder``, sorted by number.

    Raises:
        ProtocolError: no folds, a missing train or test file, or a malformed line.
    """
    folder = Path(folder)
    folders = {
        _fold_number(path): path for path in sorted(folder.glob("fold_*")) if _fold_number(path)
    }
    if not folders:
        raise ProtocolError(
            f"{folder}: expected folders fold_1, fold_2, ..., got none; set protocol.folder to the "
            "folder of the published folds"
        )
    return tuple(_read_fold(folders[number], number) for number in sorted(folders))


def _fold_number(path: Path) -> int:
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
        raise ProtocolError(f"{folder}: expected one file {pattern}, got {len(paths)}")
    try:
        lines = paths[0].read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ProtocolError(f"{paths[0]}: expected JSON lines in UTF-8") from error
    ids: set[str] = set()
    for count, line in enumerate(lines, start=1):
        if line.strip():
            ids.add(
                _check_new(_parse_stem(line, f"{paths[0]}:{count}"), ids, f"{paths[0]}:{count}")
            )
    return frozenset(ids)


def _check_new(utterance: str, seen: Collection[str], where: str) -> str:
    if utterance in seen:
        raise ProtocolError(
            f"{where}: {safe_name(utterance)} is repeated; expected every utterance once per part"
        )
    return utterance


def _parse_stem(line: str, where: str) -> str:
    try:
        row = loads_json(line)
    except ValueError as error:
        raise ProtocolError(f"{where}: expected one JSON object per line") from error
    wav = row.get("wav") if isinstance(row, dict) else None
    if not isinstance(wav, str) or not PurePosixPath(wav).stem:
        raise ProtocolError(f"{where}: expected an audio path under the key 'wav'")
    return PurePosixPath(wav).stem


def _require_present(published: Sequence[PublishedFold], ids: Collection[str]) -> None:
    named = frozenset[str]().union(*(fold.ids for fold in published))
    missing = sorted(named.difference(ids))
    if missing:
        raise ProtocolError(
            f"{len(missing)} of the {len(named)} utterances in the fold files are not in the "
            f"manifest, such as {safe_name(missing[0])}; prepare the whole corpus, and make the "
            "folds before excluding labels"
        )


def _shared_speakers(fold: PublishedFold, utterances: Sequence[Utterance]) -> list[str]:
    speakers = units_by_id([row for row in utterances if row.id in fold.ids], "speaker")
    return sorted(
        {speakers[utterance] for utterance in fold.train}
        & {speakers[utterance] for utterance in fold.test}
    )


def _require_no_leak(shared: dict[str, list[str]]) -> None:
    for name, speakers in shared.items():
        if speakers:
            examples = ", ".join(speakers[:5]) + (", ..." if len(speakers) > 5 else "")
            raise LeakageError(
                f"{name}: train and test of the published folds share {len(speakers)} speakers "
                f"({examples}); use protocol speaker, or published-leaky to compare with the "
                "literature only"
            )


def _leak_note(shared: dict[str, list[str]]) -> str:
    largest = max(len(speakers) for speakers in shared.values())
    if not largest:
        return (
            "LEAKY: a leaky protocol, though these folds share no speaker; use protocol published"
        )
    return (
        f"LEAKY: train and test of the published folds share up to {largest} speakers, and "
        "validation speakers may also be in test; for comparison with the literature only"
    )


def _excluded_note(
    published: Sequence[PublishedFold], utterances: Sequence[Utterance]
) -> tuple[str, ...]:
    named = frozenset[str]().union(*(fold.ids for fold in published))
    absent = sum(row.id not in named for row in utterances)
    note = f"{absent} utterances of the manifest are in no published fold and are excluded"
    return (note,) if absent else ()


def _make_fold(
    fold: PublishedFold, turn: int, utterances: Sequence[Utterance], protocol: ProtocolConfig
) -> Fold:
    rows = [row for row in utterances if row.id in fold.train]
    train, validation = hold_out_speakers(rows, turn, protocol.validation_units, protocol.seed)
    test = tuple(row.id for row in utterances if row.id in fold.test)
    return Fold(name=fold.name, train=train, validation=validation, test=test)
