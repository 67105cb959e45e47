"""Share of the machine's matrix-multiply peak that phonemo-small reaches, in fp32.

    python benchmarks/matmul_peak.py [ROUNDS]        default: 9

A batch of equal clips in the exported network alternates with one large product in the same engine
(onnxruntime), which is taken as the peak: all other work of the network is overhead. torch counts
the operations on the same network and shape, a multiply-add as two.
"""

from __future__ import annotations

import sys

import numpy as np
import onnx
import torch
from measuring import interleaved, machine, real_clips
from onnx import TensorProto, helper
from torch.utils.flop_counter import FlopCounterMode

from phonemo.runtime.session import Graph, open_session
from phonemo.train.export.export import make_graph
from phonemo.train.model_folder import load_trained

MODEL, BATCH, SECONDS, SIZE = "models/phonemo-small", 8, 3.0, 2048


def main(rounds: int) -> int:
    """Print the rates and their share; return the exit status."""
    model = load_trained(MODEL).model
    clips = np.stack(real_clips(BATCH, SECONDS))
    lengths = np.full(BATCH, clips.shape[1])
    graph = Graph(make_graph(model))
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(torch.from_numpy(clips))
    work = counter.get_total_flops()
    product = open_session(large_product())
    factor = np.random.default_rng(0).normal(size=(SIZE, SIZE)).astype(np.float32)
    seconds = interleaved(
        {
            "network": lambda: graph.run(clips, lengths),
            "product": lambda: product.run(None, {"a": factor, "b": factor}),
        },
        rounds,
    )
    peak = [2 * SIZE**3 / time for time in seconds["product"]]
    reached = [work / time for time in seconds["network"]]
    shares = sorted(rate / best for rate, best in zip(reached, peak, strict=True))
    print(f"{machine()}\n{MODEL}, fp32, {BATCH} clips of {SECONDS:g} s: {work / 1e9:.1f} GFLOP")
    print(f"  one product of {SIZE} x {SIZE} x {SIZE}: {np.median(peak) / 1e9:.0f} GFLOP/s")
    print(f"  the network: {np.median(reached) / 1e9:.0f} GFLOP/s")
    print(f"  share: {np.median(shares):.1%} ({shares[0]:.1%} to {shares[-1]:.1%})")
    return 0


def large_product() -> bytes:
    """Build a @ b as ONNX."""
    shape = [SIZE, SIZE]
    names = ("a", "b", "product")
    a, b, product = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in names
    )
    node = helper.make_node("MatMul", ["a", "b"], ["product"])
    graph = helper.make_graph([node], "product", [a, b], [product])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    model.ir_version = 10
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 9))
