"""Equivalent, cheaper operators for an exported network, on onnxruntime's CPU kernels.

Measured on a clip of 3 s with one thread (``benchmarks/operator_profile.py``): a trace computes the
shape of every reshape from other tensors' shapes, 250 nodes of 4 microseconds each; the sum over a
single clip's frames goes down every column for itself (166 microseconds instead of 15); and
AveragePool adds all samples of overlapping windows again (489 instead of 106).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import gcd
from typing import Any

import numpy as np
import numpy.typing as npt

from phonemo.errors import ModelError

Shape = npt.NDArray[np.int64]

#: Inputs (batch, sample) from which the pattern of a shape is read; no two axes grow alike.
_EXAMPLES = ((2, 16_000), (3, 23_017), (5, 31_333))
_PLAIN = b"NOTSET"
"""The padding of a pool that has ``pads``."""
_SAME, _REST = 0, -1
"""In the shape of a Reshape: the input's axis in that place, and whatever is left."""


def simplify(graph: bytes) -> bytes:
    """Replace computed shapes by constant ones, and slow sums and means by equal ones.

    What fits no pattern stays as it is, as do the shapes of a network that needs longer inputs
    than the examples.

    The results of one clip stay the same to the last bit, except for the power of a frame, of
    which only the comparison with a threshold is used.

    Args:
        graph: an ONNX model in fp32, with the inputs of a bundle.
    """
    import onnx

    model = onnx.load_from_string(graph)
    nodes = [*_pools(list(model.graph.node))]
    nodes = _sums(nodes, _ranks(model), _constants(model.graph))
    _set_nodes(model.graph, nodes)
    _reshape_by_constants(model)
    return bytes(model.SerializeToString())


def reshape_pattern(before: Sequence[Shape], after: Sequence[Shape]) -> list[int] | None:
    """The constant that reshapes every example likewise; None if there is none.

    Args:
        before: shapes of the input, one for each example.
        after: shapes of the output.
    """
    pattern = []
    for axis in range(len(after[0])):
        sizes = [int(shape[axis]) for shape in after]
        if all(axis < len(b) and b[axis] == size for b, size in zip(before, sizes, strict=True)):
            pattern.append(_SAME)
        elif len(set(sizes)) == 1:
            pattern.append(sizes[0])
        else:
            pattern.append(_REST)
    return pattern if pattern.count(_REST) <= 1 else None


def _reshape_by_constants(model: Any) -> None:
    from onnx import helper, numpy_helper

    graph, known = model.graph, _constants(model.graph)
    computed = [n for n in graph.node if n.op_type == "Reshape" and n.input[1] not in known]
    names = [name for node in computed for name in (node.input[0], node.input[1])]
    examples = _examples(model, names) if computed else []
    computed = computed if examples else []
    for number, node in enumerate(computed):
        before, after = ([shapes[2 * number + k] for shapes in examples] for k in (0, 1))
        pattern = reshape_pattern(before, after)
        if pattern is None:
            continue
        constant = numpy_helper.from_array(np.array(pattern, np.int64), f"{node.output[0]}/shape")
        graph.initializer.append(constant)
        node.CopyFrom(
            helper.make_node(
                "Reshape", [node.input[0], constant.name], list(node.output), name=node.name
            )
        )
    _drop_unused(graph)


def _examples(model: Any, names: Sequence[str]) -> list[list[Shape]]:
    """Shapes for every example; none if the network fails on one, as it needs longer inputs."""
    try:
        return [_shapes(model, names, size) for size in _EXAMPLES]
    except ModelError:
        return []


def _shapes(model: Any, names: Sequence[str], size: tuple[int, int]) -> list[Shape]:
    """For pairs of names, the shape of the first and the value of the second, which is a shape."""
    from onnx import ModelProto, TensorProto, helper

    from phonemo.runtime.session import INPUTS, map_of, map_width, open_session, run_session

    probe = ModelProto.FromString(model.SerializeToString())
    del probe.graph.output[:]
    outputs = []
    for place, name in enumerate(names):
        if place % 2 == 0:  # the shape of a tensor, not its content
            probe.graph.node.append(helper.make_node("Shape", [name], [f"probe/{place}"]))
            name = f"probe/{place}"
        outputs.append(name)
    for name in sorted(set(outputs)):
        probe.graph.output.append(helper.make_tensor_value_info(name, TensorProto.INT64, None))
    session = open_session(probe.SerializeToString())
    batch, samples = size
    waveform = np.random.default_rng(0).normal(size=size).astype(np.float32)
    lengths = np.linspace(samples, samples // 2, batch).astype(np.int64)
    feed = dict(zip(INPUTS, (waveform, lengths), strict=True)) | map_of(None, map_width(session))
    feed = {node.name: feed[node.name] for node in session.get_inputs()}
    return run_session(session, outputs, feed, f"{samples} samples")


def _sums(nodes: list[Any], ranks: dict[str, int], constants: dict[str, Any]) -> list[Any]:
    """Sum over the frames of (batch, frame, feature) as the last of the cumulative sums."""
    from onnx import helper

    result = []
    for node in nodes:
        axes = constants.get(node.input[1]) if len(node.input) > 1 else None
        over_frames = axes is not None and np.array_equal(axes, [1]) and ranks[node.input[0]] == 3
        if node.op_type != "ReduceSum" or not over_frames or _attribute(node, "keepdims", 1):
            result.append(node)
            continue
        name = node.output[0]
        axis, last, sums = f"{name}/axis", f"{name}/last", f"{name}/cumulative"
        result += [
            helper.make_node("Constant", [], [axis], value_int=1),
            helper.make_node("Constant", [], [last], value_int=-1),
            helper.make_node("CumSum", [node.input[0], axis], [sums]),
            helper.make_node("Gather", [sums, last], [name], name=node.name, axis=1),
        ]
    return result


def _pools(nodes: list[Any]) -> list[Any]:
    """Average pooling over overlapping windows as the mean of the means of their common parts."""
    from onnx import helper

    result = []
    for node in nodes:
        part = _common_part(node)
        if part is None:
            result.append(node)
            continue
        name = f"{node.output[0]}/parts"
        (kernel,), (stride,) = _attribute(node, "kernel_shape"), _attribute(node, "strides")
        sizes = ([part], [part]), ([kernel // part], [stride // part])
        places = (node.input[0], name), (name, node.output[0])
        result += [
            helper.make_node("AveragePool", [read], [written], kernel_shape=size, strides=step)
            for (read, written), (size, step) in zip(places, sizes, strict=True)
        ]
    return result


def _common_part(node: Any) -> int | None:
    """The longest part that windows and steps consist of; None for pooling of another kind."""
    if node.op_type != "AveragePool" or any(_attribute(node, "pads", [0])):
        return None
    spread = any(size != 1 for size in _attribute(node, "dilations", [1]))
    if spread or _attribute(node, "ceil_mode", 0) or _attribute(node, "auto_pad", _PLAIN) != _PLAIN:
        return None
    kernel, stride = _attribute(node, "kernel_shape"), _attribute(node, "strides", [1])
    part = gcd(kernel[0], stride[0])
    return part if len(kernel) == 1 and 1 < part < kernel[0] else None


def _attribute(node: Any, name: str, default: Any = None) -> Any:
    from onnx import helper

    found = [item for item in node.attribute if item.name == name]
    return helper.get_attribute_value(found[0]) if found else default


def _ranks(model: Any) -> dict[str, int]:
    from collections import defaultdict

    from onnx import shape_inference

    inferred = shape_inference.infer_shapes(model).graph.value_info
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in inferred}
    return defaultdict(int, ranks)


def _constants(graph: Any) -> dict[str, Any]:
    from onnx import numpy_helper

    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            stored[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return stored


def _drop_unused(graph: Any) -> None:
    """Drop the nodes and constants that no output depends on."""
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(inputs_of(node))
    _set_nodes(graph, kept[::-1])
    stored = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(stored)


def inputs_of(node: Any) -> Iterator[str]:
    """Yield the names of the tensors that a node and its branches read."""
    yield from node.input
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from inputs_of(inner)
        yield from (output.name for output in attribute.g.output)


def _set_nodes(graph: Any, nodes: list[Any]) -> None:
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
