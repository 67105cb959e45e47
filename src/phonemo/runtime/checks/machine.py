"""Versions, and the machine: processor, memory, cards."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from phonemo.runtime.checks.findings import Finding, Section
from phonemo.runtime.device import INSTALL, has_cuda
from phonemo.runtime.session import onnxruntime
from phonemo.runtime.workers import available_cpus
from phonemo.version import __version__

#: What matrix products and quantized networks use, as Linux names it.
_FEATURES = (
    *("avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8"),
    *("asimd", "asimddp", "i8mm", "bf16", "sve"),
)
_CARD = Path("/proc/driver/nvidia/version")


def versions() -> Section:
    """Versions of phonemo, Python and the packages that decode and compute."""
    found = {
        "phonemo": Finding(__version__),
        "python": Finding(f"{platform.python_version()} ({platform.python_implementation()})"),
        "platform": Finding(platform.platform()),
        "environment": Finding("virtual" if sys.prefix != sys.base_prefix else "system"),
    }
    packages = ("numpy", "onnxruntime", "onnxruntime-gpu", "soundfile", "soxr")
    installed = {name: version_of(name) for name in packages}
    found |= {name: Finding(version) for name, version in installed.items() if version}
    if installed["onnxruntime"] and installed["onnxruntime-gpu"]:
        problem = f"it and onnxruntime overwrite each other; uninstall both, then: {INSTALL}"
        found["onnxruntime-gpu"] = Finding(installed["onnxruntime-gpu"], problem)
    return Section("versions", found | {"libsndfile": _libsndfile()})


def machine() -> Section:
    """Processor, its features that networks use, cores and memory."""
    name, flags = _processor()
    features = [feature for feature in _FEATURES if feature in flags]
    cores, usable = os.cpu_count() or 1, available_cpus()
    return Section(
        "machine",
        {
            "processor": Finding(name),
            "features": Finding(", ".join(features) or "unknown"),
            "cores": Finding(f"{usable} of {cores}" if usable != cores else str(cores)),
            "memory": Finding(_memory()),
        },
    )


def devices() -> Section:
    """The providers of onnxruntime, and the cards of the machine; torch is not imported."""
    ort = onnxruntime()
    found = {"providers": Finding(ort.get_available_providers())}
    if _CARD.exists() or has_cuda(ort):
        hint = None if has_cuda(ort) else f"for --device cuda: {INSTALL}"
        driver = _lines(_CARD)[0] if _CARD.exists() else "no driver found"
        found["nvidia"] = Finding(driver, hint=hint)
    found["cuda"] = Finding("known to onnxruntime" if has_cuda(ort) else "no")
    found["torch"] = Finding(version_of("torch") or "not installed")
    return Section("devices", found)


def _lines(path: Path) -> list[str]:
    """The lines of a file of the system, one or more; what is not UTF-8 is replaced."""
    return path.read_text(encoding="utf-8", errors="replace").splitlines() or [""]


def version_of(package: str) -> str | None:
    """Version of an installed distribution; None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _libsndfile() -> Finding:
    try:
        import soundfile
    except (ImportError, OSError) as error:
        return Finding("missing", f"{error}; run: pip install --force-reinstall soundfile")
    return Finding(soundfile.__libsndfile_version__)


def _processor() -> tuple[str, set[str]]:
    """Name and flags of the processor; no flags where the system does not list them."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = [line.partition(":") for line in _lines(info)]
        fields = {key.strip(): value.strip() for key, _, value in reversed(lines)}
        flags = set((fields.get("flags") or fields.get("Features") or "").split())
        return fields.get("model name") or platform.machine(), flags
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
        return result.stdout.strip() or platform.machine(), set()
    return platform.processor() or platform.machine(), set()


def _memory() -> str:
    """Total memory, of the container if it has a limit; and what is available."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return "unknown"
    limit = Path("/sys/fs/cgroup/memory.max")
    text = _lines(limit)[0].strip() if limit.is_file() else ""
    if text.isdigit() and int(text) < total:
        return f"{int(text) / 2**30:.1f} GB of this container, of {total / 2**30:.1f} GB"
    return f"{total / 2**30:.1f} GB"
