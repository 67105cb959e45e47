"""How right a timeline is, on speakers that were never heard and emotions that are known.

    python benchmarks/timeline.py [RUN_FOLDER [FOLDS]]    default: work/runs/small-emodb, all folds

The test utterances of each speaker are put in a row with a second of faint noise between, the
emotion changing after every utterance or after every fourth, and the fold's model hears the row as
a long recording. Told is the share of spoken time whose segment has the true emotion, for windows
of several lengths, beside the same model's accuracy on the utterances alone (weighted by time).
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from phonemo.audio import RATE, load_waveform
from phonemo.config import load_config
from phonemo.corpora.manifest import read_manifest
from phonemo.labels import LabelSet
from phonemo.runtime.engine import Recognizer
from phonemo.train.export import export

RUN = Path("work/runs/small-emodb")
WINDOWS, RUNS, PAUSE_SECONDS, NOISE = (2.0, 3.0, 4.0, 6.0), (1, 4), 1.0, 1e-4


def main(run: Path, most: int | None) -> int:
    """The exit status; prints one table."""
    if not (run / "protocol.json").is_file():
        print(f"skipped: {run} is no run; train it first (docs/training.md)")
        return 0
    right: dict[tuple[int, float], float] = {}
    alone = spoken = 0.0
    for model, clips in speakers(run, most):
        for emotion, samples in clips:
            spoken += len(samples) / RATE
            alone += len(samples) / RATE * (model.predict(samples, RATE).label == emotion)
        for length in RUNS:
            for window in WINDOWS:
                found = heard(model, in_a_row(clips, length), window)
                right[length, window] = right.get((length, window), 0.0) + found
    print(f"{run}: {spoken / 60:.1f} minutes; utterances alone: {alone / spoken:.1%} of the time")
    print("window s" + "".join(f"{window:>8g}" for window in WINDOWS))
    for length in RUNS:
        shares = "".join(f"{right[length, window] / spoken:>8.1%}" for window in WINDOWS)
        print(f"{'each' if length == 1 else f'{length} in a row':<8}{shares}")
    return 0


def speakers(
    run: Path, most: int | None
) -> Iterator[tuple[Recognizer, list[tuple[str, np.ndarray]]]]:
    """A fold's model in fp32, and the emotion and samples of what its test speaker says."""
    config = load_config(run / "config.yaml")
    manifest = read_manifest(config.manifest)
    labels = LabelSet(config.labels.names, config.labels.merge)
    by_id = {one.id: one for one in manifest.utterances}
    folds = json.loads((run / "protocol.json").read_text(encoding="utf-8"))["folds"]
    for fold in folds[:most]:
        with tempfile.TemporaryDirectory() as home:
            export(run / "seed-1" / fold["name"] / "model", Path(home) / "bundle", "fp32")
            model = Recognizer.load(Path(home) / "bundle")
        utterances = [by_id[name] for name in fold["test"]]
        yield (
            model,
            [
                (labels.merged(one.emotion or ""), load_waveform(manifest.audio_path(one)).samples)
                for one in utterances
            ],
        )
        print(f"{fold['name']}: heard", file=sys.stderr)


def in_a_row(clips: list[tuple[str, np.ndarray]], length: int) -> list[tuple[str, np.ndarray]]:
    """The clips in an order in which an emotion lasts for so many, as far as there are."""
    draw = np.random.default_rng(1)
    piles: dict[str, list[np.ndarray]] = {}
    for place in draw.permutation(len(clips)):
        piles.setdefault(clips[place][0], []).append(clips[place][1])
    row: list[tuple[str, np.ndarray]] = []
    while piles:
        last = row[-1][0] if row else None
        names = [name for name in piles if name != last] or list(piles)
        chosen = max(names, key=lambda name: (len(piles[name]), draw.random()))
        row += [(chosen, one) for one in piles[chosen][:length]]
        piles[chosen] = piles[chosen][length:]
        piles = {name: pile for name, pile in piles.items() if pile}
    return row


def heard(model: Recognizer, row: list[tuple[str, np.ndarray]], window: float) -> float:
    """Seconds of speech whose segment has the true emotion."""
    draw = np.random.default_rng(2)
    model.window_seconds = window
    hearing, times, now = model.hearing(), [], 0
    for emotion, samples in row:
        pause = NOISE * draw.normal(size=round(PAUSE_SECONDS * RATE))
        hearing.push(samples)
        hearing.push(pause.astype(np.float32))
        times.append((emotion, now / RATE, (now + len(samples)) / RATE))
        now += len(samples) + len(pause)
    hearing.finish()
    segments = hearing.answer().segments
    return sum(
        max(0.0, min(end, one.end) - max(start, one.start))
        for emotion, start, end in times
        for one in segments
        if one.label == emotion
    )


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else RUN
    sys.exit(main(folder, int(sys.argv[2]) if len(sys.argv) > 2 else None))
