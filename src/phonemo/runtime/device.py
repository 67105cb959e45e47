"""Where a network runs: on the processor or on a CUDA card; a missing card is an error.

onnxruntime itself continues on the processor, with a line in its log, where it cannot open a
session on the card. Every opened session is therefore checked.
"""

from __future__ import annotations

import re
import sys
from contextlib import redirect_stdout
from types import ModuleType
from typing import Any

from phonemo.errors import DeviceError, UsageError, safe_text

CPU, CUDA, AUTO = "cpu", "cuda", "auto"
#: The provider of each kind of device, as onnxruntime names it.
PROVIDERS = {CPU: "CPUExecutionProvider", CUDA: "CUDAExecutionProvider"}
INSTALL = "pip uninstall -y onnxruntime; pip install 'onnxruntime-gpu[cuda,cudnn]'"
_CUDA_FORM = re.compile(r"cuda(:(0|[1-9]\d?))?")
#: Float32 stays float32 on the card, and no convolution is searched for again at every new length.
_CUDA_OPTIONS = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}


def parse_device(device: str) -> str:
    """Return a device's canonical name: "cpu", "cuda", "cuda:1" or "auto".

    Raises:
        UsageError: another name.
    """
    name = str(device).strip().lower()  # torch.device too
    if name in (CPU, AUTO) or _CUDA_FORM.fullmatch(name):
        return CUDA if name == "cuda:0" else name
    typed = safe_text(str(device))
    raise UsageError(
        f"expected device cpu, cuda, cuda:N or auto, got {typed!r}; use cuda for an NVIDIA card"
    )


def is_cuda(device: str) -> bool:
    """Whether a device is a card."""
    return device.startswith(CUDA)


def has_cuda(ort: ModuleType) -> bool:
    """Whether this build of onnxruntime knows CUDA; a session may still fail to open there."""
    return PROVIDERS[CUDA] in ort.get_available_providers()


def providers_of(device: str, ort: ModuleType) -> list[Any]:
    """The providers for a session, best first; for "auto", with the card if this build knows it.

    Raises:
        DeviceError: a card is requested, and this build of onnxruntime knows none.
    """
    if device == CPU or (device == AUTO and not has_cuda(ort)):
        return [PROVIDERS[CPU]]
    if not has_cuda(ort):
        raise DeviceError(
            f"expected onnxruntime with CUDA for device {device}, got onnxruntime "
            f"{ort.__version__} for the processor; run: {INSTALL} (1.31 is for CUDA 13, 1.26 for "
            "CUDA 12), or use device cpu"
        )
    _load_libraries(ort)
    number = device.partition(":")[2] or "0"
    return [(PROVIDERS[CUDA], {"device_id": number, **_CUDA_OPTIONS}), PROVIDERS[CPU]]


def device_of(session: Any, device: str, ort: ModuleType) -> str:
    """The device that an opened session really runs on.

    Args:
        session: opened with ``providers_of(device)``.
        device: the requested one.
        ort: onnxruntime.

    Raises:
        DeviceError: a card is requested, and the session runs on the processor.
    """
    if session.get_providers()[0] == PROVIDERS[CUDA]:
        return CUDA if device == AUTO else device
    if is_cuda(device):
        raise failed(device, "it continues on the processor", ort)
    return CPU


def failed(device: str, reason: str, ort: ModuleType) -> DeviceError:
    """The error for a card that this build knows and cannot use."""
    built = getattr(ort, "cuda_version", "") or "the CUDA of its release"
    return DeviceError(
        f"expected a session on {device}, got none from onnxruntime {ort.__version__} ({reason}); "
        f"it needs CUDA {built} and cuDNN 9: run nvidia-smi, then pip install "
        "'onnxruntime-gpu[cuda,cudnn]', or use device cpu"
    )


def _load_libraries(ort: ModuleType) -> None:
    """Load CUDA from the packages that pip installed; onnxruntime prints what it cannot load."""
    if hasattr(ort, "preload_dlls"):
        with redirect_stdout(sys.stderr):
            ort.preload_dlls()
