"""Attention of an exported network in blocks of queries, so that long clips take little memory.

The scores of a clip of 30 s are 1,500 x 1,500 per head, in several copies: 250 MB. The row of a
query depends on no other query, so rows are computed a block at a time, with the same result. Rabe
and Staats, "Self-attention Does Not Need O(n^2) Memory" (arXiv 2112.05682), split the keys too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

#: Queries per block: 2.56 s of frames of 20 ms.
BLOCK = 128
#: Up to this many queries attention is computed at once, which saves the loop's copies.
WHOLE = 3 * BLOCK
_ROWS = -2
"""Axis of the queries in (..., query, key)."""
_BETWEEN = {"IsNaN", "Where"}
"""Operators between softmax and values: rows in which all keys are masked become zero."""


def attend_in_blocks(graph: bytes, block: int = BLOCK, whole: int = WHOLE) -> bytes:
    """Compute every attention of a network block by block; anything else is left as it is.

    Args:
        graph: an ONNX model in fp32.
        block: queries per block.
        whole: up to this many queries are computed at once.
    """
    import onnx

    model = onnx.load_from_string(graph)
    blocks = _Blocks(model, block, whole)
    for softmax in [node for node in model.graph.node if node.op_type == "Softmax"]:
        chain = blocks.attention_around(softmax)
        if chain is not None:
            blocks.replace(chain)
    return bytes(model.SerializeToString())


class _Blocks:
    """Replaces the nodes of one attention after another by a loop.

    Args:
        model: changed in place.
        block: queries per block.
        whole: queries that are computed at once.
    """

    def __init__(self, model: Any, block: int, whole: int) -> None:
        from onnx import numpy_helper, shape_inference

        self.graph = model.graph
        self._by_output = {name: node for node in self.graph.node for name in node.output}
        self._users: dict[str, list[Any]] = {}
        for node in self.graph.node:
            for name in node.input:
                self._users.setdefault(name, []).append(node)
        inferred = shape_inference.infer_shapes(model).graph.value_info
        self._ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in inferred}
        constants = {
            "block/size": np.array([block], np.int64),
            "block/last": np.array([block - 1], np.int64),
            "block/whole": np.array([whole], np.int64),
            "block/one": np.array([1], np.int64),
            "block/rows": np.array([_ROWS], np.int64),
            "block/true": np.array(True),
        }
        self._constants = [
            numpy_helper.from_array(value, name) for name, value in constants.items()
        ]

    def attention_around(self, softmax: Any) -> list[Any] | None:
        """Return the nodes from scores to weighted values; None for any other softmax."""
        mask = self._by_output.get(softmax.input[0])
        if mask is None or mask.op_type != "Add" or self._ranks.get(mask.input[1], 0) < -_ROWS:
            return None
        scores = self._by_output.get(mask.input[0])
        if scores is None or scores.op_type != "MatMul":
            return None
        chain = [scores, mask, softmax]
        while chain[-1].op_type != "MatMul":
            following = [node for node in self._users_of(chain[-1]) if node not in chain]
            if not following or following[0].op_type not in {"MatMul", *_BETWEEN}:
                return None
            chain += following
        return chain if chain[-1].input[0] in chain[-2].output else None

    def replace(self, chain: list[Any]) -> None:
        """Put the nodes of an attention into one branch, and a loop over blocks into another."""
        from onnx import helper

        name, result = chain[0].name, chain[-1].output[0]
        moved = self._scaling_of(chain[0])
        queries = (moved[0] if moved else chain[0]).input[0]
        nodes, rows = [*moved, *chain], f"{name}/rows"
        short, last, lone = (f"{name}/{word}" for word in ("short", "last", "lone"))
        choice = [
            helper.make_node("Shape", [queries], [rows], start=_ROWS, end=_ROWS + 1),
            helper.make_node("LessOrEqual", [rows, "block/whole"], [short]),
            # onnxruntime has another product for a last block of one query, with other last bits:
            # such clips stay in blocks, so that scores are those of before
            helper.make_node("Mod", [rows, "block/size"], [last]),
            helper.make_node("Equal", [last, "block/one"], [lone]),
            helper.make_node("Not", [lone], [f"{name}/even"]),
            helper.make_node("And", [short, f"{name}/even"], [f"{name}/once"]),
            helper.make_node(
                "If",
                [f"{name}/once"],
                [result],
                name=f"{name}/if",
                then_branch=self._whole(name, nodes),
                else_branch=self._loop(name, queries, nodes),
            ),
        ]
        self._splice(nodes, choice)

    def _whole(self, name: str, nodes: list[Any]) -> Any:
        """Return the graph of a short clip's attention: the nodes as they were."""
        from onnx import TensorProto, helper

        copies = _copies(nodes)
        copies[-1].output[0] = f"{name}/whole"
        result = helper.make_tensor_value_info(f"{name}/whole", TensorProto.FLOAT, None)
        return helper.make_graph(copies, f"{name}/then", [], [result])

    def _loop(self, name: str, queries: str, nodes: list[Any]) -> Any:
        """Return the graph of a long clip's attention: a loop over blocks of queries."""
        from onnx import TensorProto, helper

        rows, count, blocks = f"{name}/rows", f"{name}/blocks", f"{name}/joined"
        loop = [
            helper.make_node("Add", [rows, "block/last"], [rows + "/up"]),
            helper.make_node("Div", [rows + "/up", "block/size"], [count]),
            helper.make_node("SequenceEmpty", [], [f"{name}/none"]),
            helper.make_node(
                "Loop",
                [count, "block/true", f"{name}/none"],
                [f"{name}/all"],
                name=f"{name}/loop",
                body=self._body(name, queries, nodes),
            ),
            helper.make_node("ConcatFromSequence", [f"{name}/all"], [blocks], axis=_ROWS),
        ]
        result = helper.make_tensor_value_info(blocks, TensorProto.FLOAT, None)
        return helper.make_graph(loop, f"{name}/else", [], [result])

    def _users_of(self, node: Any) -> list[Any]:
        return self._users.get(node.output[0], [])

    def _scaling_of(self, scores: Any) -> list[Any]:
        """Return the nodes that scale queries and keys by constants, for onnxruntime to fuse.

        They are one operator with the product if they are in the same graph.
        """
        scaled = [self._by_output.get(name) for name in scores.input]
        if not all(node is not None and self._is_constant_scaling(node) for node in scaled):
            return []
        queries, keys = scaled
        transposed = self._by_output.get(keys.input[0])  # type: ignore[union-attr]
        if transposed is None or transposed.op_type != "Transpose":
            return []
        nodes = [queries, transposed, keys]
        return nodes if all(len(self._users_of(node)) == 1 for node in nodes) else []

    def _is_constant_scaling(self, node: Any) -> bool:
        if node.op_type != "Mul":
            return False
        factor = self._by_output.get(node.input[1])
        return factor is not None and factor.op_type == "Constant"

    def _body(self, name: str, queries: str, nodes: list[Any]) -> Any:
        """Return the loop's graph: the nodes, with a block of the queries and the mask's rows."""
        from onnx import TensorProto, ValueInfoProto, helper

        copies = _copies(nodes)
        block = f"{name}/block"
        for node in copies:
            node.input[:] = [block if each == queries else each for each in node.input]
        mask = next(node for node in copies if node.op_type == "Add")
        rows_of_mask = self._rows_of_mask(name, mask.input[1])
        mask.input[1] = rows_of_mask[-1].output[0]
        copies[-1].output[0] = f"{name}/values"
        tensors = helper.make_sequence_type_proto(
            helper.make_tensor_type_proto(TensorProto.FLOAT, None)
        )
        found, more = f"{name}/found", f"{name}/more"
        return helper.make_graph(
            [
                helper.make_node("Mul", [f"{name}/index", "block/size"], [f"{name}/start"]),
                helper.make_node("Add", [f"{name}/start", "block/size"], [f"{name}/end"]),
                helper.make_node(
                    "Slice", [queries, f"{name}/start", f"{name}/end", "block/rows"], [block]
                ),
                *rows_of_mask,
                *copies,
                helper.make_node("SequenceInsert", [found, f"{name}/values"], [found + "/next"]),
                helper.make_node("Identity", [more], [more + "/next"]),
            ],
            f"{name}/body",
            [
                helper.make_tensor_value_info(f"{name}/index", TensorProto.INT64, []),
                helper.make_tensor_value_info(more, TensorProto.BOOL, []),
                ValueInfoProto(name=found, type=tensors),
            ],
            [
                helper.make_tensor_value_info(more + "/next", TensorProto.BOOL, []),
                ValueInfoProto(name=found + "/next", type=tensors),
            ],
        )

    def _rows_of_mask(self, name: str, mask: str) -> list[Any]:
        """Return nodes that take a block's rows of a mask, which may have one row for all."""
        from onnx import helper

        rows, start, end = f"{name}/mask/rows", f"{name}/mask/start", f"{name}/mask/end"
        return [
            helper.make_node("Shape", [mask], [rows], start=_ROWS, end=_ROWS + 1),
            helper.make_node("Sub", [rows, "block/one"], [rows + "/last"]),
            helper.make_node("Min", [f"{name}/start", rows + "/last"], [start]),
            helper.make_node("Min", [f"{name}/end", rows], [end]),
            helper.make_node("Slice", [mask, start, end, "block/rows"], [f"{name}/mask"]),
        ]

    def _splice(self, old: list[Any], new: list[Any]) -> None:
        """Exchange nodes for others, where the last of them was."""
        nodes = list(self.graph.node)
        place = max(index for index, node in enumerate(nodes) if node in old)
        kept = [node for node in nodes[:place] if node not in old]
        del self.graph.node[:]
        self.graph.node.extend([*kept, *new, *nodes[place + 1 :]])
        stored = {tensor.name for tensor in self.graph.initializer}
        self.graph.initializer.extend(
            tensor for tensor in self._constants if tensor.name not in stored
        )


def _copies(nodes: list[Any]) -> list[Any]:
    return [type(node).FromString(node.SerializeToString()) for node in nodes]
