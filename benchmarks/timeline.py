"""Accuracy of timelines on unseen speakers with known emotions.

    python benchmarks/timeline.py [RUN_FOLDER [FOLDS]]    default: work/runs/small-emodb, all folds

The test utterances of each speaker are concatenated with a second of faint noise in between, the
emotion changing after every utterance or every fourth, and the fold's model processes them as one
long recording. Printed is the share of speech time whose segment has the true emotion, for several
window lengths, next to the same model's accuracy on the single utterances (weighted by time).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from measuring.folds import Run, exported, open_run

from phonemo.audio import RATE
from phonemo.runtime.onnx_recognizer import OnnxRecognizer

#: An emotion, and samples (sample,) that express it.
Clip = tuple[str, np.ndarray]
RUN = Path("work/runs/small-emodb")
WINDOWS, RUNS, PAUSE_SECONDS, NOISE = (2.0, 3.0, 4.0, 6.0), (1, 4), 1.0, 1e-4


def main(folder: Path, most: int | None) -> int:
    """Print one table; return the exit status."""
    run = open_run(folder)
    right: dict[tuple[int, float], float] = {}
    single = spoken = 0.0
    for model, clips in speakers(run, most):
        for emotion, samples in clips:
            spoken += len(samples) / RATE
            single += len(samples) / RATE * (model.predict(samples, RATE).label == emotion)
        for length in RUNS:
            for window in WINDOWS:
                seconds = seconds_right(model, in_a_row(clips, length), window)
                right[length, window] = right.get((length, window), 0.0) + seconds
    print(
        f"{folder}: {spoken / 60:.1f} minutes; utterances alone: {single / spoken:.1%} of the time"
    )
    print("window s" + "".join(f"{window:>8g}" for window in WINDOWS))
    for length in RUNS:
        shares = "".join(f"{right[length, window] / spoken:>8.1%}" for window in WINDOWS)
        print(f"{'each' if length == 1 else f'{length} in a row':<8}{shares}")
    return 0


def speakers(run: Run, most: int | None) -> Iterator[tuple[OnnxRecognizer, list[Clip]]]:
    """Yield each fold's model in fp32, with the emotions and samples of its test utterances."""
    for fold in islice(run.seconds_right(), most):
        clips = [(run.emotion(row), run.audio(row).samples) for row in fold.utterances]
        yield exported(fold.models[0], "fp32"), clips


def in_a_row(clips: list[Clip], length: int) -> list[Clip]:
    """Order the clips so that an emotion lasts for this many, as far as possible."""
    draw = np.random.default_rng(1)
    piles: dict[str, list[np.ndarray]] = {}
    for place in draw.permutation(len(clips)):
        piles.setdefault(clips[place][0], []).append(clips[place][1])
    row: list[Clip] = []
    while piles:
        last = row[-1][0] if row else None
        names = [name for name in piles if name != last] or list(piles)
        chosen = max(names, key=lambda name: (len(piles[name]), draw.random()))
        row += [(chosen, clip) for clip in piles[chosen][:length]]
        piles[chosen] = piles[chosen][length:]
        piles = {name: pile for name, pile in piles.items() if pile}
    return row


def seconds_right(model: OnnxRecognizer, row: list[Clip], window: float) -> float:
    """Seconds of speech whose segment has the true emotion."""
    draw = np.random.default_rng(2)
    model.window_seconds = window
    inference, times, now = model.sliding_inference(), [], 0
    for emotion, samples in row:
        pause = NOISE * draw.normal(size=round(PAUSE_SECONDS * RATE))
        inference.push(samples)
        inference.push(pause.astype(np.float32))
        times.append((emotion, now / RATE, (now + len(samples)) / RATE))
        now += len(samples) + len(pause)
    inference.finish()
    segments = inference.answer().segments
    return sum(
        max(0.0, min(end, segment.end) - max(start, segment.start))
        for emotion, start, end in times
        for segment in segments
        if segment.label == emotion
    )


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else RUN
    sys.exit(main(folder, int(sys.argv[2]) if len(sys.argv) > 2 else None))
