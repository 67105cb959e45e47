"""Test whether phonemes with high attribution carry the emotion, on unseen speakers.

    python benchmarks/faithfulness.py [RUN_FOLDER]        default: work/runs/small-emodb

Every fold's model is exported, predicts its test utterances, and ranks their phonemes by
attribution. Then a fifth of the phonemes is removed (the top ones, random ones, the longest, the
bottom ones) and the score of the predicted emotion is measured again, in two ways: removed from
pooling, which defines the attribution, and silence in the recording, which the whole network then
processes again. The p-value comes from swapping "top" and "random" within whole speakers (exact for
few speakers).
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
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.phonemes.attribution import frames_within

RUN = Path("work/runs/small-emodb")
SHARE, DRAWS, FEWEST = 0.2, 10, 8
WAYS = ("top", "random", "longest", "bottom")


@dataclass(frozen=True)
class Row:
    """One utterance's score drops, by removed phonemes and by method."""

    speaker: str
    pooled: dict[str, float]
    silenced: dict[str, float]


def main(folder: Path) -> int:
    """Print a table for each method; return the exit status."""
    rows = list(measure_run(open_run(folder)))
    print(f"{len(rows)} utterances of {len({row.speaker for row in rows})} speakers, {folder}")
    print("a fifth of the phonemes removed; drop of the winning score, mean over utterances")
    for name in ("pooled", "silenced"):
        print_table(name, rows)
    return 0


def measure_run(run: Run) -> Iterator[Row]:
    """Yield every test utterance with enough phonemes, by the model of its fold."""
    draw = np.random.default_rng(1)
    for fold in run.with_progress():
        model = exported(fold.models[0], "fp32")
        for utterance in fold.utterances:
            drops = measure(model, run.audio(utterance).samples, draw)
            if drops is not None:
                yield Row(utterance.speaker or utterance.id, *drops)


def measure(
    model: OnnxRecognizer, samples: np.ndarray, draw: np.random.Generator
) -> tuple[dict[str, float], dict[str, float]] | None:
    """Compute the score drops of one utterance, from pooling and in the recording."""
    spans = model.predict(samples, RATE, shares=True).spans or ()
    if len(spans) < FEWEST or any(span.share is None for span in spans):
        return None
    picked = choices(spans, draw)
    logits = model.graph.recognize(samples, model.card.fewest_samples)
    inside = frames_within(spans, model.card.grid, len(logits.features))

    def without_frames(picks: list[list[int]]) -> np.ndarray:
        kept = ~np.array([inside[pick].any(axis=0) for pick in picks])
        return softmax(model.head.logits(logits.features, kept) / model.card.temperature)

    def without_sound(picks: list[list[int]]) -> np.ndarray:
        cut = [silence(samples, [spans[place] for place in pick]) for pick in picks]
        logits = [model.graph.recognize(clip, model.card.fewest_samples).emotions for clip in cut]
        return softmax(np.array(logits) / model.card.temperature)

    return score_drops(without_frames, picked, DRAWS), score_drops(without_sound, picked, 3)


def choices(spans: tuple[PhonemeSpan, ...], draw: np.random.Generator) -> dict[str, list]:
    """Choose a fifth of the phonemes in each way, with several draws of "random"."""
    count = max(1, round(SHARE * len(spans)))
    by_share = np.argsort([-span.share for span in spans]).tolist()
    by_length = np.argsort([span.start - span.end for span in spans]).tolist()
    random = [draw.choice(len(spans), count, replace=False).tolist() for _ in range(DRAWS)]
    return {
        "top": [by_share[:count]],
        "random": random,
        "longest": [by_length[:count]],
        "bottom": [by_share[-count:]],
    }


def score_drops(without: object, chosen: dict[str, list], draws: int) -> dict[str, float]:
    """Compute the winning score minus the score without the phonemes, mean over draws."""
    whole = without([[]])[0]
    winner = int(whole.argmax())
    return {
        way: float(whole[winner] - without(picks[:draws])[:, winner].mean())
        for way, picks in chosen.items()
    }


def silence(samples: np.ndarray, spans: list[PhonemeSpan]) -> np.ndarray:
    """Replace these phonemes by silence, with 5 ms fades on either side."""
    gain = np.ones(len(samples), dtype=np.float32)
    fade = RATE // 200
    for span in spans:
        start, end = round(span.start * RATE), round(span.end * RATE)
        gain[start:end] = 0.0
    kernel = np.hanning(2 * fade + 1)
    return samples * np.convolve(gain, kernel / kernel.sum(), mode="same").astype(np.float32)


def print_table(name: str, rows: list[Row]) -> None:
    """Print means, the differences to top with intervals, and p over speakers."""
    drops = {way: np.array([getattr(row, name)[way] for row in rows]) for way in WAYS}
    speakers = [row.speaker for row in rows]
    print(f"\n{name}")
    for way in WAYS:
        print(f"  {way:<10}{100 * drops[way].mean():7.2f} points")
    for other in ("random", "longest"):
        away = drops["top"] - drops[other]
        interval = bootstrap_interval(speakers, lambda chosen, away=away: 100 * away[chosen].mean())
        spread = f"{interval.estimate:+.2f} ({interval.low:+.2f} to {interval.high:+.2f})"
        p = swap_p_value(away, speakers)
        print(f"  top - {other}: {spread}, larger in {np.mean(away > 0):.0%}, p {p:.4f}")


def swap_p_value(away: np.ndarray, speakers: list[str]) -> float:
    """Two-sided p: the share of speaker swaps at least as far from zero."""
    names = sorted(set(speakers))
    sums = np.array([away[[speaker == name for speaker in speakers]].sum() for name in names])
    if len(names) <= 16:
        signs = np.array(list(itertools.product((1, -1), repeat=len(names))))
    else:
        signs = np.random.default_rng(1).choice((1, -1), size=(20_000, len(names)))
    return float(np.mean(np.abs(signs @ sums) >= abs(sums.sum()) - 1e-12))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else RUN))
