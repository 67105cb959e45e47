"""The split that a manifest gives: train, validation and test of the corpus's folders or table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

from phonemo.config import ProtocolConfig
from phonemo.corpora.folds import PARTS, Fold, Split
from phonemo.corpora.groups import hold_out_speakers
from phonemo.corpora.manifest import Utterance
from phonemo.errors import LeakageError, ProtocolError

#: Where speakers are unknown and there is no validation part, each n-th utterance of train.
_EVERY = 10


def split_as_given(utterances: Sequence[Utterance], protocol: ProtocolConfig) -> Split:
    """One fold with the parts of the manifest; validation is taken from train if there is none.

    Raises:
        ProtocolError: no train or test part, or options for folds.
        LeakageError: two parts share speakers, or speakers are unknown, unless the protocol is
            given-leaky.
    """
    if protocol.folds is not None:
        raise ProtocolError("a given split cannot be regrouped; set protocol.folds to null")
    parts = {part: [row for row in utterances if row.split == part] for part in PARTS}
    if not parts["train"] or not parts["test"]:
        sizes = ", ".join(f"{part} {len(rows)}" for part, rows in parts.items())
        raise ProtocolError(
            f"expected utterances with split train and test in the manifest, got {sizes}; choose "
            "protocol speaker, or fill the column split"
        )
    leaky = protocol.name == "given-leaky"
    notes = [*_leak_notes(parts, leaky), *_excluded_notes(utterances)]
    if parts["validation"]:
        train, validation = (tuple(row.id for row in parts[part]) for part in PARTS[:2])
    else:
        train, validation = _hold_out(parts["train"], protocol)
        notes.append("the manifest gives no validation part: it is taken from train")
    fold = Fold("given", train, validation, tuple(row.id for row in parts["test"]))
    return Split(protocol, "utterance" if leaky else "speaker", (fold,), tuple(notes))


def _leak_notes(parts: dict[str, list[Utterance]], leaky: bool) -> list[str]:
    unknown = sum(row.speaker is None for rows in parts.values() for row in rows)
    speakers = {part: {row.speaker for row in rows} - {None} for part, rows in parts.items()}
    shared = {
        speaker
        for first, second in combinations(PARTS, 2)
        for speaker in speakers[first] & speakers[second]
    }
    if not unknown and not shared:
        return []
    what = f"{len(shared)} speakers are in two parts" if shared else f"{unknown} have no speaker"
    if leaky:
        return [f"LEAKY: {what} of the given split; every score is too high"]
    raise LeakageError(
        f"the given split: {what}; correct the manifest, or use protocol given-leaky, whose scores "
        "are too high"
    )


def _excluded_notes(utterances: Sequence[Utterance]) -> list[str]:
    absent = Counter(row.split for row in utterances)[None]
    return [f"{absent} utterances have no split and are excluded"] if absent else []


def _hold_out(
    rows: Sequence[Utterance], protocol: ProtocolConfig
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if protocol.name == "given":
        return hold_out_speakers(rows, 0, protocol.validation_units, protocol.seed)
    ordered = sorted(rows, key=lambda row: (row.emotion or "", row.id))
    held = {row.id for row in ordered[::_EVERY]}
    return (
        tuple(row.id for row in rows if row.id not in held),
        tuple(row.id for row in rows if row.id in held),
    )
