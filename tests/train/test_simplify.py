"""Graphs before and after simplification, and what their operators become."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from phonemo.train.export.quantize import quantize
from phonemo.train.export.simplify import reshape_pattern, simplify

RANDOM = np.random.default_rng(7)


def network(keepdims: int = 0) -> bytes:
    """Waveform to windows' power, frames of four samples in two heads, and sums over frames."""
    node = helper.make_node
    constants = {
        "axis0": np.array([0]),
        "axis1": np.array([1]),
        "one": np.array(1),
        "zero": np.array(0),
        "four": np.array([4]),
        "two": np.array([2]),
        "rest": np.array([-1]),
    }
    nodes = [
        node("Unsqueeze", ["waveform", "axis1"], ["channel"]),
        node("AveragePool", ["channel"], ["power"], kernel_shape=[26], strides=[8]),
        node("Shape", ["waveform"], ["shape"]),
        node("Gather", ["shape", "zero"], ["batch"]),
        node("Unsqueeze", ["batch", "axis0"], ["batch/1"]),
        node("Concat", ["batch/1", "rest", "four"], ["frame shape"], axis=0),
        node("Slice", ["waveform", "axis0", "whole", "axis1"], ["cut"]),
        node("Reshape", ["cut", "frame shape"], ["frames"]),
        node("Shape", ["frames"], ["shape/2"]),
        node("Gather", ["shape/2", "one"], ["count"]),
        node("Unsqueeze", ["count", "axis0"], ["count/1"]),
        node("Concat", ["batch/1", "count/1", "two", "two"], ["head shape"], axis=0),
        node("Reshape", ["frames", "head shape"], ["heads"]),
        node("ReduceSum", ["frames", "axis1"], ["total"], keepdims=keepdims),
        node("Neg", ["samples"], ["lengths"]),
    ]
    constants["whole"] = np.array([8000])
    graph = helper.make_graph(
        nodes,
        "toy",
        [
            helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["batch", "sample"]),
            helper.make_tensor_value_info("samples", TensorProto.INT64, ["batch"]),
        ],
        [
            helper.make_tensor_value_info("power", TensorProto.FLOAT, None),
            helper.make_tensor_value_info("heads", TensorProto.FLOAT, None),
            helper.make_tensor_value_info("total", TensorProto.FLOAT, None),
            helper.make_tensor_value_info("lengths", TensorProto.INT64, ["batch"]),
        ],
        [
            numpy_helper.from_array(value.astype(np.int64), name)
            for name, value in constants.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    model.ir_version = 10
    return model.SerializeToString()


def run(graph: bytes, waveform: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(None, {"waveform": waveform, "samples": np.ones(len(waveform), np.int64)})


@pytest.fixture(scope="module")
def both():
    return network(), simplify(network())


@pytest.mark.parametrize("size", [(1, 8000), (1, 8001), (4, 12_345)])
def test_a_simplified_graph_gives_the_same_numbers_for_any_batch_and_length(both, size):
    waveform = RANDOM.normal(size=size).astype(np.float32)
    for before, after in zip(*(run(graph, waveform) for graph in both), strict=True):
        assert before.shape == after.shape
        np.testing.assert_allclose(after, before, rtol=1e-5, atol=2e-4)


def test_the_sum_over_a_clips_frames_stays_the_same_to_the_last_bit(both):
    waveform = RANDOM.normal(size=(1, 8000)).astype(np.float32)
    before, after = (run(graph, waveform)[2] for graph in both)
    np.testing.assert_array_equal(after, before)


def test_computed_shapes_become_constants(both):
    model = onnx.load_from_string(both[1])
    kinds = Counter(node.op_type for node in model.graph.node)
    assert not {"Shape", "Concat", "ReduceSum"} & set(kinds)
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    shapes = [stored[n.input[1]].tolist() for n in model.graph.node if n.op_type == "Reshape"]
    assert shapes == [[0, -1, 4], [0, 0, 2, 2]]


def test_overlapping_windows_become_means_of_their_common_parts(both):
    pools = [n for n in onnx.load_from_string(both[1]).graph.node if n.op_type == "AveragePool"]
    sizes = [{a.name: list(a.ints) for a in node.attribute} for node in pools]
    assert sizes == [
        {"kernel_shape": [2], "strides": [2]},
        {"kernel_shape": [13], "strides": [4]},
    ]


def test_a_sum_that_keeps_its_axis_is_left_alone():
    kinds = [n.op_type for n in onnx.load_from_string(simplify(network(1))).graph.node]
    assert "ReduceSum" in kinds
    assert "CumSum" not in kinds


def toy(nodes: list[onnx.NodeProto], output: str, **constants: np.ndarray) -> bytes:
    """A network of these nodes, from a waveform with a channel."""
    graph = helper.make_graph(
        [helper.make_node("Unsqueeze", ["waveform", "axis1"], ["channel"]), *nodes],
        "toy",
        [
            helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["batch", "sample"]),
            helper.make_tensor_value_info("samples", TensorProto.INT64, ["batch"]),
        ],
        [
            helper.make_tensor_value_info(output, TensorProto.FLOAT, None),
            helper.make_tensor_value_info("samples", TensorProto.INT64, ["batch"]),
        ],
        [
            numpy_helper.from_array(value, name)
            for name, value in (constants | {"axis1": np.array([1])}).items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    model.ir_version = 10
    return model.SerializeToString()


@pytest.mark.parametrize(
    "kind",
    [
        {"ceil_mode": 1},
        {"dilations": [2]},
        {"auto_pad": "SAME_UPPER"},
        {"pads": [3, 3]},
    ],
)
def test_another_kind_of_pooling_is_left_alone_in_a_network_without_computed_shapes(kind):
    pool = helper.make_node(
        "AveragePool", ["channel"], ["power"], kernel_shape=[26], strides=[8], **kind
    )
    graph = toy([pool], "power")
    assert simplify(graph) == onnx.load_from_string(graph).SerializeToString()


def reshaped(name: str) -> list[onnx.NodeProto]:
    """Nodes that drop a tensor's channel by a computed shape."""
    node = helper.make_node
    return [
        node("Shape", ["waveform"], ["batch"], start=0, end=1),
        node("Concat", ["batch", "rest"], ["shape"], axis=0),
        node("Reshape", [name, "shape"], ["flat"]),
    ]


def test_a_network_that_needs_longer_inputs_than_the_examples_keeps_its_shapes():
    pool = helper.make_node(
        "AveragePool", ["channel"], ["power"], kernel_shape=[40_000], strides=[1000]
    )
    graph = toy([pool, *reshaped("power")], "flat", rest=np.array([-1]))
    waveform = RANDOM.normal(size=(2, 50_000)).astype(np.float32)
    after = simplify(graph)
    assert "Concat" in [node.op_type for node in onnx.load_from_string(after).graph.node]
    np.testing.assert_allclose(run(after, waveform)[0], run(graph, waveform)[0], atol=1e-6)


def branched() -> bytes:
    """A network whose long waveforms take a branch that reads tensors from outside."""
    node, value = helper.make_node, helper.make_tensor_value_info
    then = helper.make_graph(
        [node("Mul", ["double", "factor"], ["more"])],
        "then",
        [],
        [value("more", TensorProto.FLOAT, None)],
    )
    otherwise = helper.make_graph(
        [node("Identity", ["double"], ["same"])],
        "else",
        [],
        [value("same", TensorProto.FLOAT, None)],
    )
    nodes = [
        node("Add", ["channel", "channel"], ["double"]),
        node("Shape", ["waveform"], ["length"], start=1, end=2),
        node("Greater", ["length", "many"], ["long"]),
        node("If", ["long"], ["chosen"], then_branch=then, else_branch=otherwise),
        *reshaped("chosen"),
    ]
    constants = {"rest": np.array([-1]), "many": np.array([9000])}
    return toy(nodes, "flat", factor=np.array(3, np.float32), **constants)


@pytest.mark.parametrize("length", [8000, 10_000])
def test_what_only_a_branch_reads_stays_also_in_int8(length):
    waveform = RANDOM.normal(size=(1, length)).astype(np.float32)
    expected = run(branched(), waveform)[0]
    for graph in (simplify(branched()), quantize(simplify(branched()))):
        np.testing.assert_array_equal(run(graph, waveform)[0], expected)
    kinds = [node.op_type for node in onnx.load_from_string(simplify(branched())).graph.node]
    assert "Concat" not in kinds


@pytest.mark.parametrize(
    ("before", "after", "pattern"),
    [
        ([(2, 7, 8), (3, 9, 8)], [(2, 7, 4, 2), (3, 9, 4, 2)], [0, 0, 4, 2]),
        ([(2, 7, 8), (3, 9, 8)], [(14, 8), (27, 8)], [-1, 8]),
        ([(2, 7), (3, 9)], [(2, 7), (3, 9)], [0, 0]),
        ([(2, 7, 6), (3, 9, 6)], [(7, 2, 6), (9, 3, 6)], None),
    ],
)
def test_a_shape_is_constant_if_at_most_one_axis_is_left(before, after, pattern):
    assert reshape_pattern(before, after) == pattern
