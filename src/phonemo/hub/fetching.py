"""A model of a hub, as a folder on this machine: fetched once, then opened like any other.

Only files that phonemo opens are fetched. What is in them is checked where it is opened: the
hashes of a bundle's card or a folder's seal, and that nothing in it runs.
"""

from __future__ import annotations

from pathlib import Path

from phonemo.errors import HubError
from phonemo.hub.client import hub_client, told
from phonemo.hub.names import HubName
from phonemo.runtime.bundle import ADAPTATION, CARD, HEAD, MODEL
from phonemo.version import __version__

#: What phonemo.train.seal names the file with the hashes of a model folder.
SEAL = "checkpoint.json"
#: Small files: they say whether there is a model of phonemo at all.
SAYINGS = (
    *(CARD, SEAL, "config.json", "labels.json", "preprocessor_config.json", "provenance.json"),
    *("model.safetensors.index.json", "README.md", "NOTICE.md", "LICENSE"),
)
#: The large ones.
WEIGHTS = (
    *(MODEL, HEAD, ADAPTATION),
    *("model.safetensors", "model-?????-of-?????.safetensors"),
)


def fetched(name: HubName, token: str | None = None) -> Path:
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
    folder = _snapshot(name, SAYINGS, token)
    if not any((folder / one).is_file() for one in (CARD, SEAL)):
        raise HubError(
            f"{name}: no model of phonemo (neither {CARD} nor {SEAL} is there); phonemo push "
            "puts one there, and --backbone takes other networks"
        )
    # of the same commit, whatever has been pushed since
    return _snapshot(HubName(name.repository, folder.name), (*SAYINGS, *WEIGHTS), token)


def _snapshot(name: HubName, files: tuple[str, ...], token: str | None) -> Path:
    with told(name):
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
