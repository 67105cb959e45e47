"""onnxruntime, imported so that it tells nobody: the one place that does."""

from __future__ import annotations

import os
from functools import cache
from types import ModuleType

#: Read when onnxruntime is imported. Without it, 1.32 keeps a device id and a database of events
#: below the user's cache folder, for a telemetry that goes to its maker.
_SILENCE = "ORT_DISABLE_TELEMETRY"


def onnxruntime() -> ModuleType:
    """The package; whoever sets the variable himself, to whatever, is left his choice."""
    os.environ.setdefault(_SILENCE, "1")
    import onnxruntime as ort

    module: ModuleType = ort
    return module


@cache
def onnx_errors() -> tuple[type[Exception], ...]:
    """What onnxruntime raises."""
    onnxruntime()
    from onnxruntime.capi import onnxruntime_pybind11_state as native

    return (
        *(native.Fail, native.InvalidArgument, native.InvalidGraph, native.InvalidProtobuf),
        *(native.NotImplemented, native.NoSuchFile, native.RuntimeException),
        UnicodeDecodeError,  # its message names a part of the file, in whatever bytes are there
    )
