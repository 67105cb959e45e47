"""Int8 products against the same arithmetic in numpy, and against what would saturate."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from phonemo.train.export.quantize import quantize, quantized_type

RANDOM = np.random.default_rng(5)


def product(weights: np.ndarray, bias: np.ndarray, name: str = "product") -> bytes:
    """frames @ weights + bias, with any batch and number of frames."""
    nodes = [
        helper.make_node("MatMul", ["frames", "weights"], ["product"], name=name),
        helper.make_node("Add", ["product", "bias"], ["found"], name="add"),
    ]
    shape = ["batch", "frame"]
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("frames", TensorProto.FLOAT, [*shape, len(weights)])],
        [helper.make_tensor_value_info("found", TensorProto.FLOAT, [*shape, len(bias)])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(bias, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    model.ir_version = 10
    return model.SerializeToString()


def run(graph: bytes, frames: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(None, {"frames": frames})[0]


def by_hand(frames: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The whole arithmetic, frame by frame."""
    integers, tops = quantized_type(weights)
    products = []
    for frame in frames.reshape(-1, frames.shape[-1]):
        scale = max(np.abs(frame).max(), 1e-9) / 127
        products.append(np.round(frame / scale) @ integers * tops * scale + bias)
    return np.array(products).reshape(*frames.shape[:-1], -1)


@pytest.fixture(scope="module")
def toy():
    weights = RANDOM.normal(size=(96, 40)).astype(np.float32)
    bias = RANDOM.normal(size=40).astype(np.float32)
    return weights, bias, quantize(product(weights, bias))


def test_int8_products_equal_those_of_numpy(toy):
    """Nor does onnxruntime's own fusing change it: 1.32 scales a bias that is not its to scale."""
    weights, bias, graph = toy
    frames = RANDOM.normal(size=(3, 17, 96)).astype(np.float32)
    frames *= np.array([0.001, 1.0, 50.0], dtype=np.float32)[:, None, None]
    products, expected = run(graph, frames), by_hand(frames, weights, bias)
    assert np.abs(products - expected).max() < 1e-3
    exact = frames @ weights + bias
    assert np.abs(products - exact).max() / np.abs(exact).max() < 0.02


def test_a_frames_scale_does_not_depend_on_other_frames(toy):
    quiet = RANDOM.normal(size=(1, 1, 96)).astype(np.float32)
    loud = 1000 * RANDOM.normal(size=(1, 5, 96)).astype(np.float32)
    alone, beside = run(toy[2], quiet), run(toy[2], np.concatenate([quiet, loud], axis=1))
    np.testing.assert_array_equal(alone[:, 0], beside[:, 0])


def test_silence_gives_the_bias(toy):
    np.testing.assert_allclose(run(toy[2], np.zeros((1, 2, 96), np.float32))[0, 1], toy[1])


def test_no_pair_of_products_exceeds_16_bits():
    """What adds up in 16 bits, as AVX2 does, gives the same as what does not."""
    integers, scales = quantized_type(
        np.array([[3.0, -1e-20], [-3.0, 0.0], [2.0, 0.0]], np.float32)
    )
    assert integers.dtype == np.int8
    assert integers[:, 0].tolist() == [64, -64, 43]
    assert scales[0] == pytest.approx(3 / 64)
    assert (integers[:, 1] * scales[1]).tolist() == pytest.approx([0, 0, 0], abs=1e-19)
    assert 2 * 255 * int(np.abs(integers.astype(int)).max()) < 2**15


def test_a_scale_may_clip_an_outlier_weight():
    """By hand: 1000 weights that fit steps of a 64th, and one of 1.15 that would coarsen them."""
    column = np.append(RANDOM.integers(-64, 65, 1000) / 64, 1.15).astype(np.float32)[:, None]
    integers, scales = quantized_type(column)
    assert scales[0] < 1.14 / 64
    assert integers[-1, 0] == 64
    errors = {}
    for name, scale in (("cut", scales[0]), ("whole", 1.15 / 64)):
        rounded = np.round(column / scale).clip(-64, 64)
        errors[name] = float(np.square(rounded * scale - column).sum())
    assert errors["cut"] < errors["whole"]
    plain = np.linspace(-1, 1, 129, dtype=np.float32)[:, None]
    assert quantized_type(plain)[1][0] == pytest.approx(1 / 64), "nothing far off: nothing is cut"


def test_excluded_products_stay_in_fp32():
    weights, bias = np.ones((4, 2), np.float32), np.zeros(2, np.float32)
    graph = product(weights, bias, "/feature_projection/projection/MatMul")
    frames = RANDOM.normal(size=(1, 3, 4)).astype(np.float32)
    np.testing.assert_array_equal(run(quantize(graph), frames), run(graph, frames))
    assert not np.array_equal(run(quantize(graph, kept=()), frames), run(graph, frames))
