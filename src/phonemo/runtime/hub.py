"""Model download from the Hugging Face hub.

Parses model names of the hub (as opposed to local folders), downloads a model into a local folder
and reports hub errors in one line each. huggingface_hub is imported only when needed.

Only files that phonemo opens are downloaded. Their content is checked when they are opened: the
hashes of a bundle's card or a folder's checksums, and that no file executes code.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phonemo.errors import HubError, MissingExtraError
from phonemo.files import CHECKSUMS
from phonemo.runtime.bundle import ADAPTATION, CARD, DECODER, HEAD, MODEL
from phonemo.version import __version__

#: "hf://org/name@revision"; a Path collapses the two slashes to one.
_PREFIX = re.compile(r"^hf:/{1,2}")
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
_NAME = re.compile(rf"({_PART}/{_PART})(?:@([A-Za-z0-9][\w./-]{{0,199}}))?")
#: The default revision.
MAIN = "main"


@dataclass(frozen=True)
class HubName:
    """A model repository and one of its revisions: a branch, a tag or a commit hash."""

    repository: str
    revision: str = MAIN

    def __str__(self) -> str:
        return f"{self.repository}@{self.revision}"


def parse_hub_id(text: str | os.PathLike[str], bare: bool = False) -> HubName | None:
    """Parse a hub model name; None for anything else and for existing folders.

    Args:
        text: "org/name@revision", "hf://org/name" or "hf://org/name@revision".
        bare: accept "org/name" too. It may be a mistyped local path, which must not cause a
            network request.
    """
    name = os.fspath(text)
    bare_name = _PREFIX.sub("", name)
    match = _NAME.fullmatch(bare_name)
    if match is None or (name == bare_name and os.path.exists(name)):
        return None
    repository, revision = match.groups()
    if revision is None and name == bare_name and not bare:
        return None
    return HubName(repository, revision or MAIN)


#: Modules of huggingface_hub's HTTP clients (it has changed them before): connection errors.
_CLIENTS = ("httpx", "httpcore", "requests", "urllib3")


def hub_client() -> Any:
    """Import the package huggingface_hub.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise MissingExtraError("a model on a hub", "hub") from error


@contextmanager
def hub_errors(name: HubName) -> Iterator[None]:
    """Convert errors of the hub or the network to HubError."""
    hub_client()
    faults = importlib.import_module("huggingface_hub.errors")
    try:
        yield
    except faults.GatedRepoError as error:
        raise HubError(
            f"{name}: its owner grants access by hand; ask on its page, then log in: hf auth login"
        ) from error
    except faults.RepositoryNotFoundError as error:
        raise HubError(
            f"{name}: the hub has no such repository, or it is private; check the name, or log in: "
            "hf auth login"
        ) from error
    except faults.RevisionNotFoundError as error:
        raise HubError(
            f"{name}: {name.repository} has no revision {name.revision!r}; name a branch, a tag or "
            "a commit of it"
        ) from error
    except faults.HFValidationError as error:
        raise HubError(f"{name}: expected a repository name: org/name@revision") from error
    except faults.LocalEntryNotFoundError as error:
        raise HubError(
            f"{name}: not in the cache of this machine, and the hub is out of reach (or "
            "HF_HUB_OFFLINE is set); fetch it once with a network"
        ) from error
    except faults.HfHubHTTPError as error:
        raise HubError(f"{name}: the hub answered {_status(error)}; {_advice(error)}") from error
    except Exception as error:
        kind = type(error)
        if not issubclass(kind, OSError) and not kind.__module__.startswith(_CLIENTS):
            raise
        raise HubError(
            f"{name}: the hub is out of reach ({kind.__name__}); check the network"
        ) from error


def _status(error: Any) -> str:
    response: Any = getattr(error, "response", None)
    if response is None:
        return "with an error"
    return f"{response.status_code} {response.reason_phrase}".strip()


def _advice(error: Any) -> str:
    code = getattr(getattr(error, "response", None), "status_code", None)
    if code in (401, 403):
        return "log in with a token that may write there: hf auth login"
    return "try again later"


#: Small files, which show whether a repository holds a phonemo model.
SMALL_FILES = (
    *(CARD, CHECKSUMS, "config.json", "labels.json", "preprocessor_config.json", "provenance.json"),
    *("model.safetensors.index.json", "README.md", "NOTICE.md", "LICENSE"),
)
#: Large files.
WEIGHTS = (
    *(MODEL, HEAD, ADAPTATION, DECODER),
    *("model.safetensors", "model-?????-of-?????.safetensors"),
)


def download_model(name: HubName, token: str | None = None) -> Path:
    """Download a model and return its folder in the cache of huggingface_hub.

    A downloaded revision that is a commit hash opens without a network; so does any revision
    where HF_HUB_OFFLINE is set.

    Args:
        name: the repository and its revision.
        token: access token for a private repository; by default that of ``hf auth login``.

    Raises:
        HubError: no such model, no access, or the hub cannot be reached.
        MissingExtraError: huggingface-hub is not installed.
    """
    folder = _snapshot(name, SMALL_FILES, token)
    if not any((folder / file).is_file() for file in (CARD, CHECKSUMS)):
        raise HubError(
            f"{name}: expected a phonemo model, got neither {CARD} nor {CHECKSUMS}; phonemo push "
            "uploads one, and --backbone takes other networks"
        )
    # from the same commit, even if the branch has moved since
    return _snapshot(HubName(name.repository, folder.name), (*SMALL_FILES, *WEIGHTS), token)


def _snapshot(name: HubName, files: tuple[str, ...], token: str | None) -> Path:
    with hub_errors(name):
        return Path(
            hub_client().snapshot_download(
                name.repository,
                revision=name.revision,
                allow_patterns=list(files),
                token=token,
                library_name="phonemo",
                library_version=__version__,
            )
        )
