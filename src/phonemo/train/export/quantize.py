"""Int8 matrix products for an exported network: scaled per frame, equal on all processors.

onnxruntime's dynamic quantization uses one scale per tensor, so that a loud frame, or another clip
in the batch, coarsens all others. Here every frame has a scale computed at run time: no calibration
is needed, scores do not depend on the batch, and on real speech they change half as much (LOG.md).

Weights are signed and use seven bits, from -64 to 64. The kernel for processors with AVX2 but no
VNNI adds pairs of products in 16 bits: 2 * 255 * 64 fits and 2 * 255 * 127 does not, which would
make scores depend on the processor. VNNI also accelerates the kernel for signed weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from phonemo.train.export.simplify import inputs_of

#: Products that stay fp32, by a part of their name: the Transformer's input has a few outlier
#: features, and int8 there costs more accuracy than everywhere else together.
KEPT = ("feature_projection/projection",)

#: onnxruntime's product of integers, which scales its result by the weights' scales while it is in
#: the processor's cache. onnxruntime 1.20 has it, and its builds for node and WebAssembly.
FUSED = "MatMulIntegerToFloat"
DOMAIN = "com.microsoft"

_WEIGHT_TOP = 64
_CLIPS = np.linspace(1.0, 0.5, 26)
"""Candidate scales, as fractions of the one that fits a column's largest weight."""
_FRAME_TOP = 127
_ZERO = 128
"""Zero point of an unsigned frame."""
_LEAST = 1e-9
"""Smallest scale, for a frame of zeros."""


def quantize(graph: bytes, kept: Sequence[str] = KEPT) -> bytes:
    """Replace all products with a weight matrix by int8 products.

    Args:
        graph: an ONNX model in fp32.
        kept: products whose name contains one of these stay in fp32.
    """
    import onnx
    from onnx import helper

    model = onnx.load_from_string(graph)
    writer = _Writer(model.graph)
    for node in list(model.graph.node):
        weights = writer.weights_of(node)
        if weights is None or any(part in node.name for part in kept):
            writer.nodes.append(node)
        else:
            writer.replace(node, weights)
    writer.finish()
    model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    return bytes(model.SerializeToString())


def quantized_type(weights: npt.NDArray[np.float32]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Quantize a matrix (feature in, feature out) to int8, with a scale for each feature out.

    The scale is the one of ``_CLIPS`` with the least squared error: clipping the few largest
    weights leaves finer steps for all others.
    """
    top = np.abs(weights).max(axis=0)
    top[top == 0] = 1.0
    best = np.full(top.shape, np.inf)
    scales, integers = top / _WEIGHT_TOP, np.zeros_like(weights)
    for share in _CLIPS:
        candidate = share * top / _WEIGHT_TOP
        rounded = np.round(weights / candidate).clip(-_WEIGHT_TOP, _WEIGHT_TOP)
        error = np.square(rounded * candidate - weights).sum(axis=0)
        better = error < best
        best, scales = np.where(better, error, best), np.where(better, candidate, scales)
        integers = np.where(better, rounded, integers)
    return integers.astype(np.int8), scales.astype(np.float32)


def _joins(node: Any) -> bool:
    """Whether a node joins features: its parts are quantized before, as integers are smaller."""
    return bool(node.op_type == "Concat" and node.attribute[0].i == -1)


class _Writer:
    """Collects the nodes and constants of the new graph."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.nodes: list[Any] = []
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.frames: dict[str, tuple[str, str]] = {}
        self._joined = {node.output[0]: list(node.input) for node in graph.node if _joins(node)}

    def weights_of(self, node: Any) -> npt.NDArray[np.float32] | None:
        """Return a product's weight matrix, (feature, feature); None for any other node."""
        from onnx import numpy_helper

        if node.op_type != "MatMul" or node.input[1] not in self.constants:
            return None
        weights = numpy_helper.to_array(self.constants[node.input[1]])
        return weights if weights.ndim == 2 else None

    def replace(self, node: Any, weights: npt.NDArray[np.float32]) -> None:
        """Add nodes that compute a product of frames and weights in integers."""
        integers, scales = quantized_type(weights)
        name = node.input[1] + "/int8"
        frames, frame_scales = self._frames(node.input[0])
        matrix, scale = self._constant(name, integers), self._constant(name + "/scale", scales)
        zero = self._constant("int8/zero", np.array(_ZERO, np.uint8))
        # The frames' scales are a Mul of their own: as the operator's own scale they must be one
        # number, and onnxruntime 1.32 would multiply a bias by them too.
        unit = self._constant("int8/one", np.array(1, np.float32))
        inputs = [frames, matrix, unit, scale, zero]
        product = self._node(FUSED, inputs, node.name + "/int8", domain=DOMAIN)
        self.nodes.append(self._make("Mul", [product, frame_scales], node.output[0], node.name))

    def finish(self) -> None:
        """Write the nodes into the graph and drop unused constants."""
        used = {name for node in self.nodes for name in inputs_of(node)}
        used |= {output.name for output in self.graph.output}
        joins = set(self._joined)
        self.nodes = [n for n in self.nodes if n.output[0] not in joins or n.output[0] in used]
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        del self.graph.initializer[:]
        self.graph.initializer.extend(
            tensor for name, tensor in self.constants.items() if name in used
        )

    def _frames(self, name: str) -> tuple[str, str]:
        """Add nodes that quantize a tensor (..., frame, feature); return it and its scales."""
        if name not in self.frames:
            top = self._constant("int8/top", np.array(_FRAME_TOP, np.float32))
            unit_scale = self._constant("int8/one", np.array(1, np.float32))
            zero = self._constant("int8/zero", np.array(_ZERO, np.uint8))
            parts = self._joined.get(name, [name])
            largest = self._largest(name, parts)
            factor = self._node("Div", [top, largest], name + "/factor")
            scale = self._node("Div", [largest, top], name + "/scale")
            integers = []
            for number, part in enumerate(parts):
                scaled = self._node("Mul", [part, factor], f"{name}/scaled{number}")
                whole = [scaled, unit_scale, zero]
                integers.append(self._node("QuantizeLinear", whole, f"{name}/whole{number}"))
            if len(parts) > 1:
                integers = [self._node("Concat", integers, f"{name}/whole", axis=-1)]
            self.frames[name] = (integers[0], scale)
        return self.frames[name]

    def _largest(self, name: str, parts: list[str]) -> str:
        axis = self._constant("int8/axis", np.array([-1], np.int64))
        least = self._constant("int8/least", np.array(_LEAST, np.float32))
        largest = []
        for number, part in enumerate(parts):
            size = self._node("Abs", [part], f"{name}/size{number}")
            top = f"{name}/largest{number}"
            largest.append(self._node("ReduceMax", [size, axis], top, keepdims=1))
        return self._node("Max", [*largest, least], name + "/span")

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
