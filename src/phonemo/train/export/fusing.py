"""onnxruntime's own fusions, made once at export instead of whenever the network is opened.

Scores stay the same to the last bit: the same operators run. The level stops short of layouts that
depend on the processor. ``benchmarks/operator_profile.py`` measures what opening a network takes.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from phonemo.runtime.session import onnxruntime


def fuse(graph: bytes) -> bytes:
    """Return a network as onnxruntime would run it on any processor, with its fused operators.

    Args:
        graph: an ONNX model; complete, as fused operators cannot be changed any more.
    """
    import onnx

    ort = onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fused.onnx"
        options.optimized_model_filepath = str(path)
        ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        model = onnx.load(path)
    _keep_used_domains(model)
    return bytes(model.SerializeToString())


def _keep_used_domains(model: Any) -> None:
    """Drop the operator sets that onnxruntime lists for all its domains, which others may lack."""
    used = {"", *_domains(model.graph)}
    kept = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def _domains(graph: Any) -> set[str]:
    inner = [attribute.g for node in graph.node for attribute in node.attribute if attribute.g.node]
    return {node.domain for node in graph.node}.union(*map(_domains, inner))
