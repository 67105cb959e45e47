"""Do the phonemes with the largest shares carry the emotion? On speakers that were never heard.

    python benchmarks/faithfulness.py [RUN_FOLDER]        default: work/runs/small-emodb

Every fold's model, exported, hears its test utterances and ranks their phonemes by share. Then a
fifth of them is left out: the top ones, as many drawn at random, the longest, the bottom ones; and
the score of the emotion that was heard is taken again. Twice: left out of pooling, which is what
a share is made of, and silenced in the recording itself, which the whole network then hears anew.
The p-value is of swapping "top" and "random" within whole speakers (exact where there are few).
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measuring.folds import Run, exported, open_run

from phonemo.annotations.prediction import PhonemeSpan
from phonemo.audio import RATE
from phonemo.evaluation.calibration import softmax
from phonemo.evaluation.metrics import bootstrap_interval
from phonemo.runtime.attribution import frames_within
from phonemo.runtime.onnx_recognizer import OnnxRecognizer

RUN = Path("work/runs/small-emodb")
SHARE, DRAWS, FEWEST = 0.2, 10, 8
WAYS = ("top", "random", "longest", "bottom")


@dataclass(frozen=True)
class Row:
    """One utterance: how far the score falls, by what is left out and how."""

    speaker: str
    pooled: dict[str, float]
    silenced: dict[str, float]


def main(folder: Path) -> int:
    """The exit status; prints a table for each way of leaving out."""
    rows = list(tested(open_run(folder)))
    print(f"{len(rows)} utterances of {len({row.speaker for row in rows})} speakers, {folder}")
    print("a fifth of the phonemes left out; fall of the winning score, mean over utterances")
    for name in ("pooled", "silenced"):
        tell(name, rows)
    return 0


def tested(run: Run) -> Iterator[Row]:
    """Every test utterance with enough phonemes, by the model that has not heard its speaker."""
    draw = np.random.default_rng(1)
    for fold in run.heard():
        model = exported(fold.models[0], "fp32")
        for one in fold.utterances:
            found = asked(model, run.audio(one).samples, draw)
            if found is not None:
                yield Row(one.speaker or one.id, *found)


def asked(
    model: OnnxRecognizer, samples: np.ndarray, draw: np.random.Generator
) -> tuple[dict[str, float], dict[str, float]] | None:
    """The falls of one utterance, from pooling and in the recording."""
    spans = model.predict(samples, RATE, shares=True).spans or ()
    if len(spans) < FEWEST or any(one.share is None for one in spans):
        return None
    chosen = choices(spans, draw)
    logits = model.graph.recognize(samples, model.card.fewest_samples)
    inside = frames_within(spans, model.card.grid, len(logits.features))

    def without_frames(picks: list[list[int]]) -> np.ndarray:
        kept = ~np.array([inside[pick].any(axis=0) for pick in picks])
        return softmax(model.head.logits(logits.features, kept) / model.card.temperature)

    def without_sound(picks: list[list[int]]) -> np.ndarray:
        cut = [silenced(samples, [spans[one] for one in pick]) for pick in picks]
        heard = [model.graph.recognize(one, model.card.fewest_samples).emotions for one in cut]
        return softmax(np.array(heard) / model.card.temperature)

    return falls(without_frames, chosen, DRAWS), falls(without_sound, chosen, 3)


def choices(spans: tuple[PhonemeSpan, ...], draw: np.random.Generator) -> dict[str, list]:
    """The places of a fifth of the phonemes, in each way; several draws of "random"."""
    count = max(1, round(SHARE * len(spans)))
    by_share = np.argsort([-one.share for one in spans]).tolist()
    by_length = np.argsort([one.start - one.end for one in spans]).tolist()
    random = [draw.choice(len(spans), count, replace=False).tolist() for _ in range(DRAWS)]
    return {
        "top": [by_share[:count]],
        "random": random,
        "longest": [by_length[:count]],
        "bottom": [by_share[-count:]],
    }


def falls(without: object, chosen: dict[str, list], draws: int) -> dict[str, float]:
    """Winning score of the whole minus that without, mean over draws."""
    whole = without([[]])[0]
    winner = int(whole.argmax())
    return {
        way: float(whole[winner] - without(picks[:draws])[:, winner].mean())
        for way, picks in chosen.items()
    }


def silenced(samples: np.ndarray, spans: list[PhonemeSpan]) -> np.ndarray:
    """The recording with zeros where these phonemes were, faded over 5 ms on either side."""
    gain = np.ones(len(samples), dtype=np.float32)
    fade = RATE // 200
    for one in spans:
        start, end = round(one.start * RATE), round(one.end * RATE)
        gain[start:end] = 0.0
    kernel = np.hanning(2 * fade + 1)
    return samples * np.convolve(gain, kernel / kernel.sum(), mode="same").astype(np.float32)


def tell(name: str, rows: list[Row]) -> None:
    """Means, the difference of top and random with its interval, and p over speakers."""
    found = {way: np.array([getattr(row, name)[way] for row in rows]) for way in WAYS}
    speakers = [row.speaker for row in rows]
    print(f"\n{name}")
    for way in WAYS:
        print(f"  {way:<10}{100 * found[way].mean():7.2f} points")
    for other in ("random", "longest"):
        away = found["top"] - found[other]
        interval = bootstrap_interval(speakers, lambda chosen, away=away: 100 * away[chosen].mean())
        spread = f"{interval.estimate:+.2f} ({interval.low:+.2f} to {interval.high:+.2f})"
        p = swapped(away, speakers)
        print(f"  top - {other}: {spread}, larger in {np.mean(away > 0):.0%}, p {p:.4f}")


def swapped(away: np.ndarray, speakers: list[str]) -> float:
    """Share of ways to swap whole speakers that lie as far from zero; two-sided."""
    names = sorted(set(speakers))
    sums = np.array([away[[one == name for one in speakers]].sum() for name in names])
    if len(names) <= 16:
        signs = np.array(list(itertools.product((1, -1), repeat=len(names))))
    else:
        signs = np.random.default_rng(1).choice((1, -1), size=(20_000, len(names)))
    return float(np.mean(np.abs(signs @ sums) >= abs(sums.sum()) - 1e-12))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else RUN))
