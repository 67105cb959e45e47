"""Int8 products for an exported network: every frame by itself, and the same on every processor.

onnxruntime's own dynamic quantisation takes one scale over a whole tensor, so that a loud frame, or
a neighbour in the batch, coarsens all others. Here every frame has a scale of its own, taken while
it runs: nothing needs to be calibrated, a clip's company does not touch its scores, and on real
speech the scores move half as much (LOG.md).

Weights are signed and keep seven bits, from -64 to 64. The kernel for processors with AVX2 but no
VNNI adds pairs of products in 16 bits; 2 * 255 * 64 still fits there and 2 * 255 * 127 does not,
which would make the scores depend on the processor. The kernel for signed weights is also the one
that VNNI makes fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

#: Products that stay fp32, by a part of their name: what enters the Transformer has a few features
#: with values far off all others, and int8 there cost more exactness than everywhere else together.
KEPT = ("feature_projection/projection",)

_WEIGHT_TOP = 64
_CLIPS = np.linspace(1.0, 0.5, 26)
"""Shares of the largest weight of a column that the scale may be made for."""
_FRAME_TOP = 127
_ZERO = 128
"""What stands for 0 in an unsigned frame."""
_LEAST = 1e-9
"""A frame of zeros has no scale of its own."""


def quantize(graph: bytes, kept: Sequence[str] = KEPT) -> bytes:
    """The same network with int8 products wherever a matrix of weights is a factor.

    Args:
        graph: an ONNX model in fp32.
        kept: products whose name has one of these in it stay as they are.
    """
    import onnx

    model = onnx.load_from_string(graph)
    writer = _Writer(model.graph)
    for node in list(model.graph.node):
        weights = writer.weights_of(node)
        if weights is None or any(part in node.name for part in kept):
            writer.nodes.append(node)
        else:
            writer.replace(node, weights)
    writer.finish()
    return bytes(model.SerializeToString())


def quantized_type(weights: npt.NDArray[np.float32]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """A matrix (feature in, feature out) as whole numbers and a scale for each feature out.

    The scale is the one of ``_CLIPS`` with the least square error: cutting off the few largest
    weights lets all others be finer.
    """
    top = np.abs(weights).max(axis=0)
    top[top == 0] = 1.0
    best = np.full(top.shape, np.inf)
    scales, whole = top / _WEIGHT_TOP, np.zeros_like(weights)
    for share in _CLIPS:
        tried = share * top / _WEIGHT_TOP
        rounded = np.round(weights / tried).clip(-_WEIGHT_TOP, _WEIGHT_TOP)
        error = np.square(rounded * tried - weights).sum(axis=0)
        better = error < best
        best, scales = np.where(better, error, best), np.where(better, tried, scales)
        whole = np.where(better, rounded, whole)
    return whole.astype(np.int8), scales.astype(np.float32)


class _Writer:
    """Collects the nodes and constants of the new graph."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.nodes: list[Any] = []
        self.constants = {one.name: one for one in graph.initializer}
        self.frames: dict[str, tuple[str, str]] = {}

    def weights_of(self, node: Any) -> npt.NDArray[np.float32] | None:
        """The matrix of a product, (feature, feature); None for any other node."""
        from onnx import numpy_helper

        if node.op_type != "MatMul" or node.input[1] not in self.constants:
            return None
        weights = numpy_helper.to_array(self.constants[node.input[1]])
        return weights if weights.ndim == 2 else None

    def replace(self, node: Any, weights: npt.NDArray[np.float32]) -> None:
        """The product of frames and weights, made of whole numbers."""
        whole, scales = quantized_type(weights)
        name = node.input[1] + "/int8"
        frames, frame_scales = self._frames(node.input[0])
        matrix, scale = self._constant(name, whole), self._constant(name + "/scale", scales)
        zero = self._constant("int8/zero", np.array(_ZERO, np.uint8))
        product = self._node("MatMulInteger", [frames, matrix, zero], node.name + "/int8")
        product = self._node("Cast", [product], node.name + "/float", to=1)
        # In this order, and not as scale times scale: where onnxruntime 1.32 recognises its own
        # pattern it fuses the bias too, and multiplies it by the scales of the frames.
        product = self._node("Mul", [product, scale], node.name + "/by_weights")
        self.nodes.append(self._make("Mul", [product, frame_scales], node.output[0], node.name))

    def finish(self) -> None:
        """Put the nodes into the graph, and leave out constants that nobody reads any more."""
        read = {name for node in self.nodes for name in node.input}
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        del self.graph.initializer[:]
        self.graph.initializer.extend(one for name, one in self.constants.items() if name in read)

    def _frames(self, name: str) -> tuple[str, str]:
        """A tensor (..., frame, feature) in whole numbers, and the scale of every frame."""
        if name not in self.frames:
            top = self._constant("int8/top", np.array(_FRAME_TOP, np.float32))
            one = self._constant("int8/one", np.array(1, np.float32))
            zero = self._constant("int8/zero", np.array(_ZERO, np.uint8))
            largest = self._largest(name)
            factor = self._node("Div", [top, largest], name + "/factor")
            scale = self._node("Div", [largest, top], name + "/scale")
            scaled = self._node("Mul", [name, factor], name + "/scaled")
            whole = self._node("QuantizeLinear", [scaled, one, zero], name + "/whole")
            self.frames[name] = (whole, scale)
        return self.frames[name]

    def _largest(self, name: str) -> str:
        axis = self._constant("int8/axis", np.array([-1], np.int64))
        least = self._constant("int8/least", np.array(_LEAST, np.float32))
        size = self._node("Abs", [name], name + "/size")
        largest = self._node("ReduceMax", [size, axis], name + "/largest", keepdims=1)
        return self._node("Max", [largest, least], name + "/span")

    def _constant(self, name: str, value: npt.NDArray[Any]) -> str:
        from onnx import numpy_helper

        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(value, name)
        return name

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(self._make(kind, inputs, output, output, **attributes))
        return output

    def _make(self, kind: str, inputs: list[str], output: str, name: str, **attributes: Any) -> Any:
        from onnx import helper

        return helper.make_node(kind, inputs, [output], name=name, **attributes)
