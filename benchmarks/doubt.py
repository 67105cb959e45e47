"""What is no emotional speech, and is called an emotion all the same: confidently.

    python benchmarks/doubt.py [--model MODEL] [--page docs/reliability.md]

Sounds without speech (esc10, rakshak's background): the share with a confident emotion, that is
neither "no_speech" nor "unsure". Ordinary calm requests (picovoice): the share that is a confident
anger. Without a profile, and with profiles of 20 of the same recordings, drawn several times.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from measuring import CORPORA, machine, spread
from measuring.pages import points, table, write_between, write_json

import phonemo
from phonemo.annotations.prediction import Prediction
from phonemo.errors import ModelError, PhonemoError, UsageError
from phonemo.runtime.recognizer import EmotionRecognizer
from phonemo.version import __version__

POOL, DRAWS = 20, 5
ANGER = "anger"
#: An answer with one of these is not confident.
_DOUBTS = {"no_speech", "unsure"}


@dataclass(frozen=True)
class Kind:
    """Recordings of one kind, and which answers to them are wrong.

    Attributes:
        name: in tables.
        pattern: of the files below the corpora's folder.
        fault: what the share is of, in words.
        is_fault: whether a confident answer is wrong.
    """

    name: str
    pattern: str
    fault: str
    is_fault: Callable[[Prediction], bool]


KINDS = (
    Kind("sounds, esc10", "esc10/*/*.ogg", "a confident emotion", lambda found: True),
    Kind(
        "background, rakshak",
        "rakshak/*/background-*.ogg",
        "a confident emotion",
        lambda found: True,
    ),
    Kind(
        "calm requests, picovoice",
        "picovoice/audio/*.ogg",
        "a confident anger",
        lambda found: found.label == ANGER,
    ),
)


@dataclass(frozen=True)
class Shares:
    """Of one kind's recordings: wrong and confident, and everything confident."""

    wrong: float
    confident: float


def main(words: Sequence[str]) -> int:
    """The exit status; prints the table."""
    asked = _parsed(words)
    paths = {one.name: files(asked.corpora, one, asked.clips) for one in KINDS}
    if not any(paths.values()):
        print(f"skipped: needs esc10, rakshak or picovoice in {asked.corpora}")
        return 0
    try:
        model = phonemo.load(asked.model)
        content = {
            "command": " ".join(["python benchmarks/doubt.py", *words]),
            "machine": machine(),
            "phonemo": __version__,
            "model": asked.model or "phonemo-small",
            "abstain_below": model.abstain_below,
            "seed": asked.seed,
            "kinds": {
                one.name: measured(model, one, paths[one.name], asked.seed, asked.draws)
                for one in KINDS
                if paths[one.name]
            },
        }
    except PhonemoError as error:
        print(f"doubt: {error}", file=sys.stderr)
        return 2
    text = written(content)
    print(text)
    write_json(asked.output, content)
    if asked.page is not None:
        write_between(asked.page, "doubt", text)
    return 0


def files(corpora: Path, kind: Kind, count: int) -> list[Path]:
    """The recordings, evenly over all where a count is given; 0 takes all."""
    found = sorted(corpora.glob(kind.pattern))
    return spread(found, min(count, len(found))) if count else found


def measured(
    model: EmotionRecognizer, kind: Kind, paths: Sequence[Path], seed: int, draws: int
) -> dict[str, Any]:
    """One kind: without a profile, and with each that is drawn."""
    alone = shares(model, kind, paths)
    print(f"{kind.name}: {len(paths)} recordings, without a profile", file=sys.stderr)
    found: dict[str, Any] = {
        "recordings": len(paths),
        "fault": kind.fault,
        "without": vars(alone),
        "profiles": [],
    }
    try:
        model.adaptable()
    except ModelError:
        return found | {"note": "the model takes no profile"}
    unusable = 0
    for number in range(draws):
        draw = np.random.default_rng([seed, number, crc32(kind.name.encode())])
        pool = draw.choice(len(paths), min(POOL, len(paths)), replace=False)
        try:
            adapted = model.adapted([paths[place] for place in sorted(pool.tolist())])
        except UsageError:  # no speech in any of them: phonemo adapt makes no profile
            unusable += 1
            continue
        found["profiles"].append(vars(shares(adapted, kind, paths)))
        print(f"{kind.name}: profile {number + 1} of {draws}", file=sys.stderr)
    note = f"{unusable} of {draws} pools have no speech" if unusable else ""
    return found | {"note": note}


def shares(model: EmotionRecognizer, kind: Kind, paths: Sequence[Path]) -> Shares:
    """Of all recordings, those that are answered confidently, and wrongly so."""
    wrong = confident = 0
    for found in model.predict_many(list(paths)):
        if isinstance(found, PhonemoError):
            raise found
        if not _DOUBTS & set(found.warnings):
            confident += 1
            wrong += kind.is_fault(found)
    return Shares(wrong / len(paths), confident / len(paths))


def written(content: dict[str, Any]) -> str:
    """The table and what belongs to it, as markdown."""
    rows = []
    for name, one in content["kinds"].items():
        found = [share["wrong"] for share in one["profiles"]]
        with_profile = "-"
        if found:
            with_profile = f"{points(float(np.mean(found)))} (up to {points(max(found))})"
        rows.append(
            [
                f"{name}: {one['fault']}",
                str(one["recordings"]),
                points(one["without"]["wrong"]),
                with_profile,
            ]
        )
    notes = [f"{name}: {one['note']}" for name, one in content["kinds"].items() if one["note"]]
    threshold = f"unsure below {content['abstain_below']:.2f}"
    heads = ["share in %", "recordings", "without a profile", f"profile of {POOL} of them"]
    return "\n".join(
        [
            table(heads, rows),
            "",
            f"`{content['command']}`. {content['model']}, {threshold}; with profiles the mean and "
            f"the largest of several draws. {'. '.join([*notes, ''])}".rstrip(),
        ]
    )


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", help="as phonemo.load takes it; default: phonemo-small")
    parser.add_argument("--corpora", type=Path, default=CORPORA)
    parser.add_argument("--clips", type=int, default=0, help="of each kind; 0 is all")
    parser.add_argument("--draws", type=int, default=DRAWS, help=f"profiles of {POOL} recordings")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("work/doubt.json"))
    parser.add_argument("--page", type=Path, help="where the table goes, between its markers")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
