"""UA on unseen speakers: clean, in noise, over telephones, codecs and in rooms; with profiles.

    python benchmarks/conditions.py --study work/transfer
    python benchmarks/conditions.py --pair MODEL MANIFEST [--pair MODEL MANIFEST ...]

Uses a study of ``phonemo transfer``, whose systems are each tested on the corpus left out of their
training, or model folders with manifests that they were not trained on (otherwise an error). Every
utterance is changed in the same way in the same condition (seeded). A profile is computed from 20
recordings of the corpus in that condition, drawn several times, or from all of them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from measuring import CORPORA, machine
from measuring.condition_table import written
from measuring.degrading import Condition, conditions, noises, opus
from measuring.pages import write_between, write_json
from measuring.tested import Heard, Tested, open_pair, open_study

from phonemo.audio import RATE
from phonemo.errors import PhonemoError
from phonemo.evaluation.metrics import bootstrap_interval
from phonemo.labels import LabelSet
from phonemo.runtime.adaptation.statistics import adapt_logits, logits_of
from phonemo.version import __version__

STUDY = Path("work/transfer")
LABELS = "anger,happiness,neutral,sadness"
POOL, DRAWS, CLIPS, SAMPLES = 20, 10, 200, 1000
#: Statistics applied: none, those of a drawn pool, or of all recordings of the condition.
PROFILES = ("none", "pool", "all")


@dataclass(frozen=True)
class Right:
    """Which predictions are correct in one condition: by profile, (draw, utterance)."""

    by_profile: dict[str, np.ndarray]


@dataclass(frozen=True)
class Corpus:
    """The results of one corpus."""

    tested: Tested
    right: dict[str, Right]
    """By condition."""


def main(words: Sequence[str]) -> int:
    """Print the table; return the exit status."""
    args = _parsed(words)
    try:
        tested = _opened(args)
    except PhonemoError as error:
        print(f"conditions: {error}", file=sys.stderr)
        return 2
    if not tested:
        print(f"skipped: {STUDY} is not a study; run phonemo transfer configs/transfer.yaml first")
        return 0
    folder = CORPORA / "rakshak"
    ways = conditions(noises(folder) if folder.is_dir() else ())
    corpora = [measure(model, ways, args.seed, args.draws) for model in tested]
    content = summed_up(corpora, ways, words, args)
    text = written(content, POOL)
    print(text)
    write_json(args.output, content)
    if args.page is not None:
        write_between(args.page, "conditions", text)
    return 0


def measure(tested: Tested, ways: Sequence[Condition], seed: int, draws: int) -> Corpus:
    """Measure every condition of one corpus; report progress on standard error."""
    clips = list(tested.clips())
    right = {}
    for way in ways:
        heard = [tested.recognize(way.applied(clip, seed, n)) for n, clip in enumerate(clips)]
        right[way.name] = answers(tested, heard, seed, draws)
        print(f"{tested.corpus}, {way.name}: {len(heard)} recordings", file=sys.stderr)
    return Corpus(tested, right)


def answers(tested: Tested, heard: Sequence[Heard], seed: int, draws: int) -> Right:
    """Determine correct predictions without a profile, with pools, and with all recordings."""
    values = np.stack([clip.values for clip in heard])
    speech = np.array([clip.speech for clip in heard])
    if tested.reference is None:
        chosen = values[:, list(tested.columns)].argmax(axis=1)
        return Right({"none": (chosen == tested.truth)[None]})
    pools: dict[str, list[np.ndarray | None]] = {"none": [None], "all": [speech]}
    pools["pool"] = [
        speech & place for place in drawn(tested.corpus, len(values), seed, draws) if place.any()
    ]
    correct = {}
    for name in PROFILES:
        rows = [_chosen(tested, values, pool) == tested.truth for pool in pools[name]]
        correct[name] = np.stack(rows)
    return Right(correct)


def drawn(corpus: str, count: int, seed: int, draws: int) -> list[np.ndarray]:
    """Draw the recordings of each pool, (utterance,); the same in every condition."""
    pools = []
    for number in range(draws):
        draw = np.random.default_rng([seed, number, crc32(corpus.encode())])
        mask = np.zeros(count, dtype=bool)
        mask[draw.choice(count, min(POOL, count), replace=False)] = True
        pools.append(mask)
    return pools


def _chosen(tested: Tested, values: np.ndarray, pool: np.ndarray | None) -> np.ndarray:
    """Predict class indices (utterance,); a pool without speech adapts nothing."""
    assert tested.reference is not None
    source = None
    if pool is not None and pool.any():
        source = adapt_logits(tested.reference, values[pool])
    logits = logits_of(tested.reference, values, source)
    return logits[:, list(tested.columns)].argmax(axis=1)


def ua(right: np.ndarray, truth: np.ndarray, chosen: np.ndarray | None = None) -> float:
    """Mean over draws of the mean recall, on utterances resampled with replacement."""
    counts = np.ones(len(truth)) if chosen is None else np.bincount(chosen, minlength=len(truth))
    classes = np.unique(truth)
    weights = counts[:, None] * (truth[:, None] == classes)  # (utterance, class)
    totals = weights.sum(axis=0)
    recalls = (right @ weights)[:, totals > 0] / totals[totals > 0]
    return float(recalls.mean())


def summed_up(
    found: Sequence[Corpus],
    ways: Sequence[Condition],
    words: Sequence[str],
    asked: argparse.Namespace,
) -> dict[str, Any]:
    """Build the content of the JSON file."""
    profiles = [
        name
        for name in PROFILES
        if all(name in corpus.right["clean"].by_profile for corpus in found)
    ]
    counted = [corpus for corpus in found if corpus.tested.counts]
    return {
        "command": " ".join(["python benchmarks/conditions.py", *words]),
        "machine": machine(),
        "phonemo": __version__,
        "options": {name: str(value) for name, value in vars(asked).items()},
        "opus_kbit_per_second": _opus_rate(found),
        "corpora": {
            corpus.tested.corpus: {
                "model": corpus.tested.name,
                "utterances": len(corpus.tested.utterances),
                "speakers": len(set(corpus.tested.speakers)),
                "note": corpus.tested.note,
            }
            for corpus in found
        },
        "profiles": profiles,
        "mean_over": [corpus.tested.corpus for corpus in counted],
        "conditions": {
            way.name: {
                "says": way.says,
                "mean": _means(counted, way.name, profiles),
                "lost": {name: _lost(counted, way.name, name) for name in profiles},
                "corpora": {
                    corpus.tested.corpus: _means([corpus], way.name, profiles) for corpus in found
                },
            }
            for way in ways
        },
    }


def _means(found: Sequence[Corpus], way: str, profiles: Sequence[str]) -> dict[str, float]:
    return {
        name: float(
            np.mean(
                [ua(corpus.right[way].by_profile[name], corpus.tested.truth) for corpus in found]
            )
        )
        for name in profiles
    }


def _lost(found: Sequence[Corpus], way: str, profile: str) -> dict[str, float | None]:
    """UA clean minus UA in a condition, mean over corpora, with an interval over speakers."""
    sizes = np.cumsum([0, *(len(corpus.tested.truth) for corpus in found)])

    def lost(chosen: np.ndarray) -> float:
        differences = []
        for corpus, low, high in zip(found, sizes, sizes[1:], strict=False):
            own = chosen[(chosen >= low) & (chosen < high)] - low
            clean, changed = (
                ua(corpus.right[name].by_profile[profile], corpus.tested.truth, own)
                for name in ("clean", way)
            )
            differences.append(clean - changed)
        return float(np.mean(differences))

    speakers = [name for corpus in found for name in corpus.tested.speakers]
    strata = [corpus.tested.corpus for corpus in found for _ in corpus.tested.truth]
    if len(set(speakers)) < 2:
        return {"estimate": lost(np.arange(sizes[-1])), "low": None, "high": None}
    interval = bootstrap_interval(speakers, lost, samples=SAMPLES, strata=strata)
    return {"estimate": interval.estimate, "low": interval.low, "high": interval.high}


def _opus_rate(found: Sequence[Corpus]) -> float:
    """Kilobits per second of the codec's packets, on some of the recordings."""
    bits = seconds = 0.0
    for corpus in found:
        for number, clip in enumerate(corpus.tested.clips()):
            if number % 10 == 0:
                bits += opus(clip)[1]
                seconds += len(clip) / RATE
    return round(bits / seconds / 1000, 1)


def _opened(asked: argparse.Namespace) -> list[Tested]:
    labels = LabelSet(tuple(asked.labels.split(",")), {"calm": "neutral"})
    if asked.pair:
        return [
            open_pair(Path(model), Path(path), labels, asked.clips) for model, path in asked.pair
        ]
    if not (asked.study / "transfer.yaml").is_file():
        return []
    return open_study(asked.study, asked.system, asked.training_seed, asked.clips)


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--study", type=Path, default=STUDY, help="folder of phonemo transfer")
    parser.add_argument("--system", help="system of the study; default: its first")
    parser.add_argument("--training-seed", type=int, help="seed of the study; default: its first")
    parser.add_argument(
        "--pair", nargs=2, action="append", default=[], metavar=("MODEL", "MANIFEST")
    )
    parser.add_argument("--labels", default=LABELS, help="emotions to choose from")
    parser.add_argument("--clips", type=int, default=CLIPS, help="clips of each corpus; 0 for all")
    parser.add_argument("--draws", type=int, default=DRAWS, help=f"pools of {POOL}")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("work/conditions.json"))
    parser.add_argument("--page", type=Path, help="page whose marked table is updated")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
