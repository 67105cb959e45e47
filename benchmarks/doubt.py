"""How often sounds without emotional speech get a confident emotion.

    python benchmarks/doubt.py [--model MODEL] [--page docs/reliability.md]

For sounds without speech (esc10, rakshak's background): the share with a confident emotion, without
the warnings "no_speech" and "unsure". For calm requests (picovoice): the share of confident anger.
Measured without a profile, and with profiles of 20 of the same recordings, drawn several times.
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
#: Warnings that make a prediction not confident.
_DOUBTS = {"no_speech", "unsure"}


@dataclass(frozen=True)
class Kind:
    """Recordings of one kind, and which predictions on them are wrong.

    Attributes:
        name: the name in tables.
        pattern: a glob below the corpora folder.
        fault: what counts as wrong, in words.
        is_fault: whether a confident prediction is wrong.
    """

    name: str
    pattern: str
    fault: str
    is_fault: Callable[[Prediction], bool]


KINDS = (
    Kind("sounds, esc10", "esc10/*/*.ogg", "a confident emotion", lambda prediction: True),
    Kind(
        "background, rakshak",
        "rakshak/*/background-*.ogg",
        "a confident emotion",
        lambda prediction: True,
    ),
    Kind(
        "calm requests, picovoice",
        "picovoice/audio/*.ogg",
        "a confident anger",
        lambda prediction: prediction.label == ANGER,
    ),
)


@dataclass(frozen=True)
class Shares:
    """Shares of one kind's recordings: wrong and confident, and all confident."""

    wrong: float
    confident: float


def main(words: Sequence[str]) -> int:
    """Print the table; return the exit status."""
    args = _parsed(words)
    paths = {kind.name: files(args.corpora, kind, args.clips) for kind in KINDS}
    if not any(paths.values()):
        print(f"skipped: needs esc10, rakshak or picovoice in {args.corpora}")
        return 0
    try:
        model = phonemo.load(args.model)
        content = {
            "command": " ".join(["python benchmarks/doubt.py", *words]),
            "machine": machine(),
            "phonemo": __version__,
            "model": args.model or "phonemo-small",
            "abstain_below": model.abstain_below,
            "seed": args.seed,
            "kinds": {
                kind.name: measured(model, kind, paths[kind.name], args.seed, args.draws)
                for kind in KINDS
                if paths[kind.name]
            },
        }
    except PhonemoError as error:
        print(f"doubt: {error}", file=sys.stderr)
        return 2
    text = written(content)
    print(text)
    write_json(args.output, content)
    if args.page is not None:
        write_between(args.page, "doubt", text)
    return 0


def files(corpora: Path, kind: Kind, count: int) -> list[Path]:
    """List the recordings, or a number of them spread evenly; 0 means all."""
    paths = sorted(corpora.glob(kind.pattern))
    return spread(paths, min(count, len(paths))) if count else paths


def measured(
    model: EmotionRecognizer, kind: Kind, paths: Sequence[Path], seed: int, draws: int
) -> dict[str, Any]:
    """Measure one kind without a profile, and with every drawn profile."""
    without = shares(model, kind, paths)
    print(f"{kind.name}: {len(paths)} recordings, without a profile", file=sys.stderr)
    result: dict[str, Any] = {
        "recordings": len(paths),
        "fault": kind.fault,
        "without": vars(without),
        "profiles": [],
    }
    try:
        model.adaptable()
    except ModelError:
        return result | {"note": "the model takes no profile"}
    unusable = 0
    for number in range(draws):
        draw = np.random.default_rng([seed, number, crc32(kind.name.encode())])
        pool = draw.choice(len(paths), min(POOL, len(paths)), replace=False)
        try:
            adapted = model.adapted([paths[place] for place in sorted(pool.tolist())])
        except UsageError:  # no speech in the pool: phonemo adapt creates no profile
            unusable += 1
            continue
        result["profiles"].append(vars(shares(adapted, kind, paths)))
        print(f"{kind.name}: profile {number + 1} of {draws}", file=sys.stderr)
    note = f"{unusable} of {draws} pools have no speech" if unusable else ""
    return result | {"note": note}


def shares(model: EmotionRecognizer, kind: Kind, paths: Sequence[Path]) -> Shares:
    """Compute the shares of confident, and of wrong and confident predictions."""
    wrong = confident = 0
    for prediction in model.predict_many(list(paths)):
        if isinstance(prediction, PhonemoError):
            raise prediction
        if not _DOUBTS & set(prediction.warnings):
            confident += 1
            wrong += kind.is_fault(prediction)
    return Shares(wrong / len(paths), confident / len(paths))


def written(content: dict[str, Any]) -> str:
    """Format the table and its notes as markdown."""
    rows = []
    for name, kind in content["kinds"].items():
        wrong = [share["wrong"] for share in kind["profiles"]]
        with_profile = "-"
        if wrong:
            with_profile = f"{points(float(np.mean(wrong)))} (up to {points(max(wrong))})"
        rows.append(
            [
                f"{name}: {kind['fault']}",
                str(kind["recordings"]),
                points(kind["without"]["wrong"]),
                with_profile,
            ]
        )
    notes = [f"{name}: {kind['note']}" for name, kind in content["kinds"].items() if kind["note"]]
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
    parser.add_argument("--model", help="as in phonemo.load; default: phonemo-small")
    parser.add_argument("--corpora", type=Path, default=CORPORA)
    parser.add_argument("--clips", type=int, default=0, help="clips of each kind; 0 for all")
    parser.add_argument("--draws", type=int, default=DRAWS, help=f"profiles of {POOL} recordings")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("work/doubt.json"))
    parser.add_argument("--page", type=Path, help="page whose marked table is updated")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
