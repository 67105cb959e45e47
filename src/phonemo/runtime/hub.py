"""The client of the hub, imported where it is needed; its errors in one line each.

What names a model on a hub, told apart from a folder on this disk.

A model of a hub, as a folder on this machine: fetched once, then opened like any other.

Only files that phonemo opens are fetched. What is in them is checked where it is opened: the
hashes of a bundle's card or a folder's seal, and that nothing in it runs.
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
from phonemo.runtime.bundle import ADAPTATION, CARD, HEAD, MODEL
from phonemo.version import __version__

#: "hf://org/name@revision"; a Path makes one slash of two.
_PREFIX = re.compile(r"^hf:/{1,2}")
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
_NAME = re.compile(rf"({_PART}/{_PART})(?:@([A-Za-z0-9][\w./-]{{0,199}}))?")
#: The revision of a name without one.
MAIN = "main"


@dataclass(frozen=True)
class HubName:
    """A repository of models and one of its revisions: a branch, a tag or a commit's hash."""

    repository: str
    revision: str = MAIN

    def __str__(self) -> str:
        return f"{self.repository}@{self.revision}"


def parse_hub_id(text: str | os.PathLike[str], bare: bool = False) -> HubName | None:
    """The name of a model on a hub; None for anything else, and for what is a folder here.

    Args:
        text: "org/name@revision", "hf://org/name" or "hf://org/name@revision".
        bare: take "org/name" too, which might as well be a folder that is missing: nobody is
            to reach out for another machine because of a mistyped path.
    """
    written = os.fspath(text)
    without = _PREFIX.sub("", written)
    found = _NAME.fullmatch(without)
    if found is None or (written == without and os.path.exists(written)):
        return None
    repository, revision = found.groups()
    if revision is None and written == without and not bare:
        return None
    return HubName(repository, revision or MAIN)


#: Of huggingface_hub's own client, which has changed its name before: errors of a connection.
_CLIENTS = ("httpx", "httpcore", "requests", "urllib3")


def hub_client() -> Any:
    """The package huggingface_hub.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise MissingExtraError("a model on a hub", "hub") from error


@contextmanager
def hub_errors(name: HubName) -> Iterator[None]:
    """Whatever the hub or the network says against it, as one HubError."""
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
        raise HubError(f"{name}: no name of a repository; org/name@revision is wanted") from error
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


#: What phonemo.files names the file with the hashes of a model folder.
#: Small files: they say whether there is a model of phonemo at all.
SMALL_FILES = (
    *(CARD, CHECKSUMS, "config.json", "labels.json", "preprocessor_config.json", "provenance.json"),
    *("model.safetensors.index.json", "README.md", "NOTICE.md", "LICENSE"),
)
#: The large ones.
WEIGHTS = (
    *(MODEL, HEAD, ADAPTATION),
    *("model.safetensors", "model-?????-of-?????.safetensors"),
)


def download_model(name: HubName, token: str | None = None) -> Path:
    """The folder of a model of a hub; the cache of huggingface_hub holds it.

    A revision that is a commit's hash, once fetched, is opened without a network; so is any
    where HF_HUB_OFFLINE is set.

    Args:
        name: the repository and its revision.
        token: for a private one; by default the one of ``hf auth login``.

    Raises:
        HubError: no such model, no access, or the hub is out of reach.
        MissingExtraError: huggingface-hub is not installed.
    """
    folder = _snapshot(name, SMALL_FILES, token)
    if not any((folder / one).is_file() for one in (CARD, CHECKSUMS)):
        raise HubError(
            f"{name}: no model of phonemo (neither {CARD} nor {CHECKSUMS} is there); phonemo push "
            "puts one there, and --backbone takes other networks"
        )
    # of the same commit, whatever has been pushed since
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
