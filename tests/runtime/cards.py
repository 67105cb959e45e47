"""A stand-in for a CUDA card: onnxruntime reports one, and its sessions run on the processor."""

from __future__ import annotations

from typing import Any, Literal

import pytest

#: The card works; onnxruntime continues on the processor, as without cuDNN; it raises.
Behavior = Literal["works", "falls back", "raises"]
_CUDA = "CUDAExecutionProvider"


def pretend_card(monkeypatch: pytest.MonkeyPatch, behavior: Behavior) -> list[list[Any]]:
    """Replace onnxruntime's sessions; return the list that collects their providers."""
    import onnxruntime
    from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException

    real, opened = onnxruntime.InferenceSession, list[list[Any]]()

    class Session:
        def __init__(
            self, model: bytes, options: Any, providers: list[Any], enable_fallback: int = 0
        ) -> None:
            opened.append(providers)
            names = [one if isinstance(one, str) else one[0] for one in providers]
            if names[0] == _CUDA and behavior == "raises":
                raise RuntimeException("CUDA failure 100: no CUDA-capable device is detected")
            kept = names if behavior == "works" else names[-1:]
            self._session, self._names = real(model, options, providers=names[-1:]), kept

        def get_providers(self) -> list[str]:
            return self._names

        def __getattr__(self, name: str) -> Any:
            return getattr(self._session, name)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [_CUDA, "CPU..."])
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    return opened
