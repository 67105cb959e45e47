"""Write the site: all files into a scratch folder, which is renamed at the end."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phonemo.errors import UsageError, safe_name
from phonemo.files import SCRATCH, dumps_json, fsync, loads_json
from phonemo.runtime.bundle import Bundle
from phonemo.site.onnxruntime_web import MODULE, WASM, Engine
from phonemo.site.packing import SiteFile, integrity, packed, version_of
from phonemo.site.page_files import page_files, service_worker
from phonemo.site.site_models import language_files, model_files
from phonemo.version import __version__

CARD = "site.json"
_WORKER = "sw.js"
#: The first statement of the service worker, which names every file of the site.
_SITE = re.compile(r"const SITE = (\{.*?\n\});", re.DOTALL)
#: Files that desktops leave in the folders they show.
_OF_DESKTOPS = {".DS_Store", "Thumbs.db", "desktop.ini"}
_ENGINE = "web/onnxruntime"
_LICENCE = Path(__file__).with_name("onnxruntime-web-license.txt")
#: What a browser may be given; the names are those of GET /v1/limits and GET /v1/profiles.
_LIMITS = {
    "body_bytes": 2**28,
    "audio_seconds": 1800,
    "stream_seconds": 3600,
    "profile_bytes": 2**20,
    "profile_files": 64,
    "profile_seconds": 1800,
}


@dataclass(frozen=True)
class WrittenSite:
    """What was written.

    Attributes:
        folder: the site.
        files: number of files.
        first_bytes: size of all files that a first recognition needs.
        models: names of the models, the default first.
    """

    folder: Path
    files: int
    first_bytes: int
    models: tuple[str, ...]


def check_target(target: Path, overwrite: bool) -> None:
    """Raise UsageError unless the site can be written there without loss of other files."""
    name = safe_name(target)
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise UsageError(f"{name}: expected a folder, got a file or a link; name a folder")
    folder = Path(os.path.abspath(target))
    if Path.cwd().is_relative_to(folder):
        raise UsageError(
            f"{name}: expected a folder that can be replaced, got the working folder or one above "
            "it; name another --output"
        )
    if target.is_dir() and any(target.iterdir()):
        _check_older(target, name, overwrite)
    parent = next(one for one in folder.parents if one.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise UsageError(
            f"{name}: cannot be written, because {safe_name(parent)} is not a writable folder; "
            "name another --output"
        )


def _check_older(target: Path, name: str, overwrite: bool) -> None:
    """Raise UsageError unless the folder holds a site, which may be replaced, and nothing else."""
    known = _files_of(target)
    if known is None:
        raise UsageError(
            f"{name}: expected a new or empty folder, or a site that phonemo site wrote; name "
            "another --output"
        )
    if not overwrite:
        raise UsageError(f"{name} already exists; use another --output or --overwrite")
    paths = (path for path in target.rglob("*") if path.is_symlink() or not path.is_dir())
    found = {path.relative_to(target).as_posix() for path in paths}
    if foreign := sorted(path for path in found - known if Path(path).name not in _OF_DESKTOPS):
        raise UsageError(
            f"{name}: expected the files of a site only, got {safe_name(foreign[0])}, which "
            "--overwrite would remove; move it, or name another --output"
        )


def _files_of(folder: Path) -> set[str] | None:
    """Paths of the files of a site that phonemo wrote; None for any other folder."""
    try:
        text = (folder / _WORKER).read_text(encoding="utf-8")
        marks = loads_json(match[1].encode())["files"] if (match := _SITE.match(text)) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not isinstance(marks, dict) or CARD not in marks or not (folder / CARD).is_file():
        return None
    return {*marks, _WORKER}


def write_site(
    target: Path, bundles: Sequence[Bundle], engine: Engine, overwrite: bool = False
) -> WrittenSite:
    """Write the site; an older one stays until the new one is complete.

    Raises:
        CheckpointError: this copy of phonemo lacks files of the page.
        UsageError: the folder exists, or cannot be written.
    """
    check_target(target, overwrite)
    files, models = _site_files(bundles, engine)
    try:
        _write(Path(os.path.abspath(target)), files)
    except OSError as error:
        raise UsageError(
            f"{safe_name(target)}: cannot be written ({error.strerror}); free space or name "
            "another --output"
        ) from error
    size = sum(len(content) for path, content in files.items() if _is_for_first(path, models))
    return WrittenSite(target, len(files), size, tuple(model["id"] for model in models))


def _site_files(
    bundles: Sequence[Bundle], engine: Engine
) -> tuple[dict[str, bytes], list[dict[str, Any]]]:
    """Path -> content of all files, and the models' entries in the card."""
    files = page_files()
    wasm = packed(f"{_ENGINE}/{Path(WASM).name}", engine.files[WASM])
    files |= {
        f"{_ENGINE}/{Path(MODULE).name}": engine.files[MODULE],
        f"{_ENGINE}/LICENSE.txt": _LICENCE.read_bytes(),
        wasm.path: wasm.content,
    }
    models = []
    for entry, parts in model_files(bundles):
        models.append(entry)
        files |= {part.path: part.content for part in parts}
    languages = language_files()
    files |= {file.path: file.content for file in languages.values()}
    files[CARD] = _card(models, wasm, engine, languages).encode()
    files[_WORKER] = _worker(files).encode()
    return files, models


def _card(
    models: Sequence[Mapping[str, Any]],
    wasm: SiteFile,
    engine: Engine,
    languages: Mapping[str, SiteFile],
) -> str:
    data = {
        "version": __version__,
        "onnxruntime_web": engine.version,
        "engine": {"wasm": wasm.to_dict()},
        "models": models,
        "languages": {name: file.to_dict() for name, file in languages.items()},
        "limits": _LIMITS,
    }
    return dumps_json(data, indent=1) + "\n"


def _worker(files: Mapping[str, bytes]) -> str:
    """The service worker, with the checksum of every file but its own."""
    marks = {path: integrity(content) for path, content in sorted(files.items())}
    site = {"version": version_of(marks), "files": marks}
    return f"const SITE = {dumps_json(site, indent=1)};\n\n{service_worker()}"


def _is_for_first(path: str, models: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a first recognition with the default model needs the file."""
    if path.startswith("languages/"):
        return False
    if not path.startswith("models/"):
        return True
    return path in {file["path"] for file in models[0]["files"].values()}


def _write(target: Path, files: Mapping[str, bytes]) -> None:
    scratch = target.with_name(target.name + SCRATCH)
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        for path, content in files.items():
            place = scratch / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        fsync(scratch)
        _replace(scratch, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _replace(scratch: Path, target: Path) -> None:
    """Put the new folder in the old one's place."""
    older = target.with_name(f"{target.name}.old{SCRATCH}")
    shutil.rmtree(older, ignore_errors=True)
    if target.exists():
        target.rename(older)
    try:
        scratch.rename(target)
    except BaseException:
        if older.exists():
            older.rename(target)
        raise
    shutil.rmtree(older, ignore_errors=True)
