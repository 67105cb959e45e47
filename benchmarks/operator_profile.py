"""Where the time of the shipped network goes, by operator, and its share of the int8 peak.

    python benchmarks/operator_profile.py [ROUNDS] [OTHER.onnx ...]      default: 20

A clip of 3 s, and a batch of eight, in one thread. A node's time is the smallest of all rounds, so
that little of other work on the machine counts (the batch needs an idle machine: its nodes take too
long to be left alone). The peak is one product of the same kind in the same engine. Other networks
with the same inputs are compared by processor time, in turn. The last line is what a prediction
needs besides the network.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from time import thread_time
from typing import Any

import numpy as np
import onnx
from measuring import machine, ratio, real_clips, timed
from onnx import TensorProto, helper

from phonemo.audio import RATE
from phonemo.runtime.bundle import MODEL, packaged
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.session import INPUTS, map_of, map_width, onnxruntime, open_session

NETWORK = packaged("phonemo-open") / MODEL
SECONDS, BATCH, ROWS = 3.0, 8, 18
#: Rows, inner size and columns of the product that is taken as the peak: short enough not to be
#: interrupted, and as fast as the fastest of 13 shapes (256 x 2048 x 512).
SHAPE = (384, 1024, 512)
PRODUCTS = ("MatMulInteger", "MatMulIntegerToFloat")
#: Nodes whose time contains that of the nodes inside them.
CONTAINERS = ("If", "Loop")


def main(rounds: int, others: Sequence[Path]) -> int:
    """Print the tables; return the exit status."""
    clips = np.stack(real_clips(BATCH, SECONDS))
    print(f"{machine()}; onnxruntime {onnxruntime().__version__}, one thread, {rounds} rounds")
    peak = peak_rate(rounds)
    for batch in (1, BATCH):
        nodes = profiled(NETWORK.read_bytes(), feed_of(clips[:batch]), rounds)
        print_operators(nodes, batch, peak)
    print_networks([NETWORK, *others], clips, rounds)
    print_rest(clips, rounds)
    return 0


def feed_of(clips: np.ndarray) -> dict[str, np.ndarray]:
    """The inputs of a batch (batch, sample), without a profile."""
    lengths = np.full(len(clips), clips.shape[1])
    return dict(zip(INPUTS, (clips, lengths), strict=True))


def profiled(model: bytes, feed: dict[str, Any], rounds: int) -> list[dict[str, Any]]:
    """Run with onnxruntime's profiler; return a row per node: kind, microseconds, operations."""
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.enable_mem_pattern = 1, False
    options.log_severity_level, options.enable_profiling = 3, True
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        feed = feed | map_of(None, map_width(session))
        for _ in range(rounds):
            session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_text())
    return rows_of(events, rounds)


def rows_of(events: Sequence[dict[str, Any]], rounds: int) -> list[dict[str, Any]]:
    """A row per node from the profiler's events; a node in a loop is run several times a round."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            found[event["name"]].append(event)
    rows = []
    for runs in found.values():
        each = len(runs) // rounds
        times = [sum(run["dur"] for run in runs[n * each : (n + 1) * each]) for n in range(rounds)]
        kind = runs[0]["args"]["op_name"]
        operations = sum(map(operations_of, runs[:each])) if kind in PRODUCTS else 0
        rows.append({"kind": kind, "time": min(times), "operations": operations})
    return rows


def operations_of(event: dict[str, Any]) -> int:
    """Operations of a matrix product, a multiply-add as two."""
    (left,) = event["args"]["input_type_shape"][0].values()
    (result,) = event["args"]["output_type_shape"][0].values()
    return int(2 * np.prod(result) * left[-1])


def peak_rate(rounds: int) -> float:
    """Operations a second of one large product of unsigned by signed 8-bit integers."""
    session = open_session(large_product(), threads=1)
    random = np.random.default_rng(0)
    left = random.integers(0, 256, SHAPE[:2], dtype=np.uint8)
    times = [timed(lambda: session.run(None, {"a": left})) for _ in range(20 * rounds)]
    return 2 * float(np.prod(SHAPE)) / min(times)


def large_product() -> bytes:
    """Build a @ b as ONNX, with a constant b of seven bits, as quantized weights are."""
    rows, inner, columns = SHAPE
    random = np.random.default_rng(1)
    weights = random.integers(-64, 65, (inner, columns), dtype=np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b"], ["product"])],
        "product",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, [rows, inner])],
        [helper.make_tensor_value_info("product", TensorProto.INT32, [rows, columns])],
        [onnx.numpy_helper.from_array(weights, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    model.ir_version = 10
    return bytes(model.SerializeToString())


def measured(work: Callable[[], object]) -> float:
    """Seconds of processor time of this thread, which other programs do not lengthen much."""
    began = thread_time()
    work()
    return thread_time() - began


def print_operators(rows: Sequence[dict[str, Any]], batch: int, peak: float) -> None:
    """Print the operators with the most time, and how close int8 products come to the peak."""
    inner = [row for row in rows if row["kind"] not in CONTAINERS]
    times, counts = Counter(), Counter(row["kind"] for row in inner)
    for row in inner:
        times[row["kind"]] += row["time"]
    total = sum(times.values())
    print(f"\n{batch} x {SECONDS:g} s, {len(inner)} nodes, {total / 1000:.1f} ms")
    for kind, time in times.most_common(ROWS):
        print(f"  {kind:<24}{counts[kind]:5} nodes{time / 1000:8.2f} ms{time / total:8.1%}")
    rest = total - sum(time for _, time in times.most_common(ROWS))
    print(f"  {'all others':<35}{rest / 1000:8.2f} ms{rest / total:8.1%}")
    integer = [row for row in inner if row["kind"] in PRODUCTS]
    operations = sum(row["operations"] for row in integer)
    rate = operations / (sum(row["time"] for row in integer) * 1e-6)
    whole = operations / (total * 1e-6)
    print(f"  int8 products: {operations / 1e9:.2f} GOP at {rate / 1e9:.0f} GOP/s")
    print(f"  peak, {' x '.join(map(str, SHAPE))}: {peak / 1e9:.0f} GOP/s")
    print(f"  share of the peak: products {rate / peak:.0%}, whole network {whole / peak:.0%}")


def print_networks(paths: Sequence[Path], clips: np.ndarray, rounds: int) -> None:
    """Print the processor time of a clip in each network, in turn, and of opening it."""
    graphs = {str(path): path.read_bytes() for path in paths}
    sessions = {name: open_session(graph, threads=1) for name, graph in graphs.items()}
    times: dict[str, list[float]] = {name: [] for name in sessions}
    opened: dict[str, list[float]] = {name: [] for name in sessions}
    for number in range(rounds):
        for name, session in sessions.items():
            opened[name].append(measured(lambda g=graphs[name]: open_session(g, threads=1)))
            feed = feed_of(clips[number % BATCH][None]) | map_of(None, map_width(session))
            times[name].append(measured(lambda s=session, f=feed: s.run(None, f)))
    print("\nprocessor time of a clip without profiling")
    for name, found in times.items():
        against = ratio(times[str(paths[0])], found)
        opening = f"to open {np.median(opened[name]) * 1000:.0f} ms"
        print(f"  {np.median(found) * 1000:6.1f} ms   first / this {against}   {opening}   {name}")


def print_rest(clips: np.ndarray, rounds: int) -> None:
    """Print what a prediction needs beside the network."""
    model = OnnxRecognizer.load(threads=1)
    whole, network = [], []
    for number in range(rounds):
        clip = clips[number % BATCH]
        whole.append(measured(lambda c=clip: model.predict(c, RATE)))
        network.append(measured(lambda c=clip: model.logits(c)))
    rest = np.median(whole) - np.median(network)
    print(
        f"\nprediction {np.median(whole) * 1000:.1f} ms, of which beside the network "
        f"{rest * 1000:.1f} ms ({rest / np.median(whole):.0%})"
    )


if __name__ == "__main__":
    counts = [int(text) for text in sys.argv[1:] if text.isdigit()]
    networks = [Path(text) for text in sys.argv[1:] if not text.isdigit()]
    sys.exit(main(*(counts or [20]), networks))
