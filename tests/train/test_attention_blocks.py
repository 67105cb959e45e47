"""Attention in blocks against the same attention as a whole."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from phonemo.train.export.attention_blocks import attend_in_blocks

RANDOM = np.random.default_rng(3)
SHAPE = ["batch", "head", "query"]
BETWEEN = [
    helper.make_node("IsNaN", ["weights"], ["nan"]),
    helper.make_node("Where", ["nan", "zero", "weights"], ["kept"]),
]


def attention(between=(), mask_rows=1, scale=True):
    """An attention as torch exports it: scaled queries and keys, a mask, rows without keys."""
    nodes = [helper.make_node("Transpose", ["keys"], ["keys/t"], perm=[0, 1, 3, 2])]
    left, right = "queries", "keys/t"
    if scale:
        nodes += [
            helper.make_node("Constant", [], ["scale"], value_float=0.5),
            helper.make_node("Mul", [left, "scale"], ["queries/scaled"]),
            helper.make_node("Mul", [right, "scale"], ["keys/scaled"]),
        ]
        left, right = "queries/scaled", "keys/scaled"
    nodes += [
        helper.make_node("MatMul", [left, right], ["scores"], name="scores"),
        helper.make_node("Add", ["scores", "mask/same"], ["masked"]),
        helper.make_node("Softmax", ["masked"], ["weights"], axis=-1),
        *between,
        helper.make_node("MatMul", ["kept" if between else "weights", "values"], ["found"]),
    ]
    mask_shape = ["batch", 1, mask_rows, "key"]
    float_of = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Identity", ["mask"], ["mask/same"]), *nodes],
        "toy",
        [
            float_of("queries", TensorProto.FLOAT, [*SHAPE, 4]),
            float_of("keys", TensorProto.FLOAT, ["batch", "head", "key", 4]),
            float_of("values", TensorProto.FLOAT, ["batch", "head", "key", 5]),
            float_of("mask", TensorProto.FLOAT, mask_shape),
        ],
        [float_of("found", TensorProto.FLOAT, [*SHAPE, 5])],
        [numpy_helper.from_array(np.zeros((), np.float32), "zero")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    model.ir_version = 9
    return model.SerializeToString()


def run(graph, feed):
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(None, feed)[0]


def example(queries, keys, mask_rows=1):
    """Two clips, of which the second has no valid key."""
    mask = np.zeros((2, 1, mask_rows, keys), np.float32)
    mask[1] = -np.inf
    if mask_rows > 1:
        mask[0] = RANDOM.normal(size=(1, mask_rows, keys))
    sizes = {"queries": (queries, 4), "keys": (keys, 4), "values": (keys, 5)}
    feed = {k: RANDOM.normal(size=(2, 3, *v)).astype(np.float32) for k, v in sizes.items()}
    return feed | {"mask": mask}


@pytest.mark.parametrize("queries", [1, 7, 8, 9, 16, 17, 20, 37])
@pytest.mark.parametrize("scale", [True, False])
def test_blocks_give_the_same_numbers_at_every_length(queries, scale):
    graph = attention(BETWEEN, scale=scale)
    feed = example(queries, 11)
    whole, blocks = run(graph, feed), run(attend_in_blocks(graph, 8, 24), feed)
    np.testing.assert_allclose(blocks, whole, rtol=0, atol=1e-6)
    assert not whole[1].any()
    assert whole[0].any()


def test_short_clips_are_computed_at_once_and_long_ones_in_the_loop():
    """A loop that is not entered by 24 queries, and by 25; nor is a last block of one query."""
    model = onnx.load_from_string(attend_in_blocks(attention(BETWEEN), 8, 24))
    choice = next(node for node in model.graph.node if node.op_type == "If")
    model.graph.output.append(helper.make_tensor_value_info(choice.input[0], TensorProto.BOOL, [1]))
    graph = model.SerializeToString()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    at_once = {n: bool(session.run(None, example(n, 11))[1][0]) for n in (1, 8, 9, 23, 24, 25, 26)}
    assert at_once == {1: False, 8: True, 9: False, 23: True, 24: True, 25: False, 26: False}


def test_a_mask_with_a_row_for_each_query_is_cut_like_the_queries():
    graph = attention(mask_rows="query")
    feed = example(21, 21, mask_rows=21)
    feed["mask"][1] = 0
    whole, blocks = run(graph, feed), run(attend_in_blocks(graph, 8, 0), feed)
    np.testing.assert_allclose(blocks, whole, rtol=0, atol=1e-6)


def test_no_product_of_all_queries_and_keys_is_left_outside_the_branches():
    model = onnx.load_from_string(attend_in_blocks(attention(BETWEEN), 8))
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("If") == 1
    assert not {"Softmax", "MatMul", "Mul", "IsNaN"} & set(kinds)
    choice = next(node for node in model.graph.node if node.op_type == "If")
    inside = {branch.name: [n.op_type for n in branch.g.node] for branch in choice.attribute}
    assert inside["then_branch"].count("Softmax") == 1
    assert inside["else_branch"].count("Loop") == 1
    assert "Softmax" not in inside["else_branch"]


@pytest.mark.parametrize("kind", ["Tanh", "Relu"])
def test_another_use_of_softmax_is_left_alone(kind):
    graph = attention([helper.make_node(kind, ["weights"], ["kept"])])
    assert attend_in_blocks(graph, 8) == onnx.load_from_string(graph).SerializeToString()
