"""The client of the hub, imported where it is needed; its errors in one line each."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from phonemo.errors import HubError, MissingExtraError
from phonemo.hub.names import HubName

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
def told(name: HubName) -> Iterator[None]:
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
