"""onnxruntime's fusions, made at export."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from phonemo.runtime.bundle import MODEL, packaged
from phonemo.train.export.fusing import fuse
from tests.train.test_quantise import run

RANDOM = np.random.default_rng(11)


def layer() -> bytes:
    """GELU(frames @ weights + bias), and the shape that a trace would compute."""
    node = helper.make_node
    weights, bias = RANDOM.normal(size=(8, 4)), RANDOM.normal(size=4)
    graph = helper.make_graph(
        [
            node("MatMul", ["frames", "weights"], ["product"]),
            node("Add", ["product", "bias"], ["sum"]),
            node("Gelu", ["sum"], ["found"]),
        ],
        "toy",
        [helper.make_tensor_value_info("frames", TensorProto.FLOAT, ["batch", "frame", 8])],
        [helper.make_tensor_value_info("found", TensorProto.FLOAT, ["batch", "frame", 4])],
        [
            numpy_helper.from_array(weights.astype(np.float32), "weights"),
            numpy_helper.from_array(bias.astype(np.float32), "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    model.ir_version = 10
    return model.SerializeToString()


def test_a_fused_network_gives_the_same_bits_and_names_only_the_operator_sets_it_uses():
    graph = layer()
    fused = fuse(graph)
    frames = RANDOM.normal(size=(2, 5, 8)).astype(np.float32)
    np.testing.assert_array_equal(run(fused, frames), run(graph, frames))
    model = onnx.load_from_string(fused)
    assert [node.op_type for node in model.graph.node] == ["MatMul", "BiasGelu"]
    assert {entry.domain for entry in model.opset_import} == {"", "com.microsoft"}
    assert [output.name for output in model.graph.output] == ["found"]


def test_the_shipped_network_is_fused_so_that_opening_it_has_little_to_do():
    shipped = (packaged("phonemo-open") / MODEL).read_bytes()
    before, after = (onnx.load_from_string(graph) for graph in (shipped, fuse(shipped)))
    kinds = [Counter(node.op_type for node in model.graph.node) for model in (before, after)]
    assert kinds[0] == kinds[1]
    assert kinds[0]["MatMulIntegerToFloat"] == 40
    assert kinds[0]["If"] == 6
    assert {entry.domain for entry in before.opset_import} == {"", "com.microsoft"}
