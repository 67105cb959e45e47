"""The header Server-Timing of a response: where its time went."""

from __future__ import annotations

from collections.abc import Mapping

#: Stage of the pipeline -> its name in the header; all other stages are work of the model.
_NAMES = {"upload": "upload", "wait": "queue", "decode": "decode", "total": "total"}
_ORDER = ("upload", "queue", "decode", "model", "total")


def server_timing(seconds: Mapping[str, float]) -> str:
    """Return the content of the header.

    Args:
        seconds: stage -> its duration, of this request only.
    """
    sums = dict.fromkeys(_ORDER, 0.0)
    for stage, duration in seconds.items():
        sums[_NAMES.get(stage, "model")] += duration
    return ", ".join(f"{name};dur={1000 * sums[name]:.1f}" for name in _ORDER)
