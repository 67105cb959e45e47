"""The models that ship with phonemo and those in the hub's cache, with their checksums."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from phonemo.errors import PhonemoError
from phonemo.files import CHECKSUMS, verify_checksums
from phonemo.runtime.bundle import is_bundle, open_bundle, packaged, packaged_names
from phonemo.runtime.checks.findings import Finding, Section

_MEGABYTE = 1e6


def models() -> Section:
    """Models by name; every file is compared with its checksum."""
    found = {name: _checked(packaged(name), "shipped") for name in packaged_names()}
    if not found:
        found["shipped"] = Finding(
            "none", "expected phonemo-small; run: pip install --force-reinstall phonemo"
        )
    return Section("models", found | {name: _checked(path, "cached") for name, path in _cached()})


def folders() -> Section:
    """The folders that phonemo writes to by itself."""
    return Section(
        "folders",
        {
            "hub cache": _writable(hub_cache(), "set HF_HOME to a folder that you can write to"),
            "temporary": _writable(Path(tempfile.gettempdir()), "set TMPDIR to another folder"),
        },
    )


def hub_cache() -> Path:
    """The hub's cache folder, as huggingface_hub places it; the package is not imported."""
    if folder := os.environ.get("HF_HUB_CACHE"):
        return Path(folder).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or os.path.join(cache, "huggingface")
    return Path(home).expanduser() / "hub"


def _cached() -> Iterator[tuple[str, Path]]:
    """Each phonemo model in the cache: "org/name@revision" and its folder."""
    for folder in sorted(hub_cache().glob("models--*/snapshots/*")):
        if is_bundle(folder) or (folder / CHECKSUMS).is_file():
            name = folder.parents[1].name.removeprefix("models--").replace("--", "/", 1)
            yield f"{name}@{folder.name[:12]}", folder


def _checked(folder: Path, place: str) -> Finding:
    try:
        if not is_bundle(folder):
            verify_checksums(folder)
            return Finding(f"{place}, a model folder for torch, checksums match")
        bundle = open_bundle(folder)
    except PhonemoError as error:
        again = "pip install --force-reinstall phonemo"
        step = again if place == "shipped" else "download it again"
        return Finding(f"{place}, unusable", f"{error}; {step}")
    card = bundle.card
    size = f"{len(bundle.model) / _MEGABYTE:.1f} MB"
    shared = "" if card.network is None else f" of {card.network}"
    return Finding(f"{place}, {card.precision}, {size}{shared}, {card.licence}, checksums match")


def _writable(folder: Path, step: str) -> Finding:
    """Whether a folder, or the first existing one above it, can be written to."""
    above = (folder, *folder.absolute().parents)
    existing = next((path for path in above if path.is_dir()), folder)
    if os.access(existing, os.W_OK):
        return Finding(str(folder))
    return Finding(str(folder), f"expected a writable folder; {step}")
