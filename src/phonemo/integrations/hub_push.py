"""A model to a hub: its files, its card, and nothing else that lies beside them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from phonemo.errors import CheckpointError, UsageError
from phonemo.files import CHECKSUMS, loads_json
from phonemo.integrations.model_card import with_front_matter
from phonemo.runtime.bundle import ADAPTATION, CARD, HEAD, MODEL, named, open_bundle
from phonemo.runtime.hub import HubName, hub_client, hub_errors, parse_hub_id
from phonemo.runtime.session import place_of

README = "README.md"
#: Texts that go with a model, where they are there.
_TEXTS = ("NOTICE.md", "LICENSE")


def push(
    folder: str | Path,
    repository: str,
    *,
    private: bool = False,
    revision: str | None = None,
    message: str | None = None,
    create_pr: bool = False,
    metrics: str | Path | None = None,
    token: str | None = None,
) -> str:
    """Put a model that was opened and found whole onto a hub, with a card.

    Args:
        folder: a bundle, a model folder, or the name of a bundle that ships. Of a bundle that
            shares a network the network goes with it.
        repository: "org/name"; it is made where it is not there.
        private: whether a new repository is for its owner alone.
        revision: a branch that is there; by default the main one.
        message: of the commit.
        create_pr: propose the change instead of making it.
        metrics: metrics.json of the run whose recipe made it, for the card.
        token: that may write there; by default the one of ``hf auth login``.

    Returns:
        The address of the commit, or of the proposal.

    Raises:
        UsageError: the repository is no "org/name".
        CheckpointError: the folder is neither a bundle nor a model folder.
        HubError: the hub refuses, or is out of reach.
        MissingExtraError: huggingface-hub is not installed.
    """
    folder = named(folder)
    name = parse_hub_id(repository, bare=True)
    if name is None or "@" in repository:
        raise UsageError(f"{repository!r}: a repository as org/name is wanted")
    name = HubName(name.repository, revision or name.revision)
    hub = hub_client()
    files = {one: _place(folder, one) for one in files_of(folder)}
    operations = [hub.CommitOperationAdd(one, str(path)) for one, path in files.items()]
    if README not in files:  # sealed with the rest it goes as it is
        card = with_front_matter(
            folder, name.repository, None if metrics is None else Path(metrics)
        )
        operations.append(hub.CommitOperationAdd(README, card.encode()))
    with hub_errors(name):
        api = hub.HfApi(token=token)
        if not create_pr:
            api.create_repo(name.repository, private=private, exist_ok=True)
        made = api.create_commit(
            name.repository,
            operations,
            commit_message=message or f"{folder.absolute().name}, by phonemo",
            revision=revision,
            create_pr=create_pr,
        )
    return str(made.pr_url or made.commit_url)


def files_of(folder: Path) -> list[str]:
    """The names of the files that are a model; what else lies there stays.

    Raises:
        CheckpointError: it is neither a bundle nor a model folder.
    """
    return [*_model_files(folder), *(one for one in _TEXTS if (folder / one).is_file())]


def _place(folder: Path, name: str) -> Path:
    """Where a file of a model lies; a network that is shared, in the bundle beside it."""
    if name == MODEL and (folder / CARD).is_file():
        return place_of(folder, MODEL, open_bundle(folder).card.network)
    return folder / name


def _model_files(folder: Path) -> Iterator[str]:
    if (folder / CARD).is_file():
        bundle = open_bundle(folder)
        yield from (CARD, MODEL)
        if bundle.head is not None:
            yield HEAD
        if bundle.adaptation is not None:
            yield ADAPTATION
        return
    try:
        sealed = dict(loads_json((folder / CHECKSUMS).read_bytes())["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder}: neither a bundle nor a model folder; name what phonemo train or phonemo "
            "export wrote"
        ) from error
    yield CHECKSUMS
    yield from map(str, sealed)
