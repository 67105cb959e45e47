"""Upload a model's files and card to a hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from phonemo.errors import CheckpointError, UsageError
from phonemo.files import CHECKSUMS, loads_json
from phonemo.integrations.model_card import with_front_matter
from phonemo.runtime.bundle import ADAPTATION, CARD, DECODER, HEAD, MODEL, named, open_bundle
from phonemo.runtime.hub import HubName, hub_client, hub_errors, parse_hub_id
from phonemo.runtime.session import place_of

README = "README.md"
#: Documents uploaded with a model if present.
_DOCUMENTS = ("NOTICE.md", "LICENSE")


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
    """Upload a verified model and its card to a hub.

    Args:
        folder: a bundle, a model folder, or the name of an included bundle. A bundle that shares a
            network is uploaded with that network.
        repository: "org/name"; created if it does not exist.
        private: create the repository as private.
        revision: an existing branch; by default main.
        message: the commit message.
        create_pr: open a pull request instead of committing.
        metrics: metrics.json of a run with the model's recipe, for the card.
        token: an access token with write permission; by default that of ``hf auth login``.

    Returns:
        The URL of the commit or pull request.

    Raises:
        UsageError: the repository is not "org/name".
        CheckpointError: the folder is neither a bundle nor a model folder.
        HubError: the hub rejects the upload or is unreachable.
        MissingExtraError: huggingface-hub is not installed.
    """
    folder = named(folder)
    name = parse_hub_id(repository, bare=True)
    if name is None or "@" in repository:
        raise UsageError(f"expected a repository org/name, got {repository!r}")
    name = HubName(name.repository, revision or name.revision)
    hub = hub_client()
    files = {file: _file_path(folder, file) for file in files_of(folder)}
    operations = [hub.CommitOperationAdd(file, str(path)) for file, path in files.items()]
    if README not in files:  # a checksummed README is uploaded unchanged
        card = with_front_matter(
            folder, name.repository, None if metrics is None else Path(metrics)
        )
        operations.append(hub.CommitOperationAdd(README, card.encode()))
    with hub_errors(name):
        api = hub.HfApi(token=token)
        if not create_pr:
            api.create_repo(name.repository, private=private, exist_ok=True)
        commit = api.create_commit(
            name.repository,
            operations,
            commit_message=message or f"{folder.absolute().name}, by phonemo",
            revision=revision,
            create_pr=create_pr,
        )
    return str(commit.pr_url or commit.commit_url)


def files_of(folder: Path) -> list[str]:
    """List a model's files; other files in the folder are not uploaded.

    Raises:
        CheckpointError: the folder is neither a bundle nor a model folder.
    """
    return [*_model_files(folder), *(name for name in _DOCUMENTS if (folder / name).is_file())]


def _file_path(folder: Path, name: str) -> Path:
    """The path of a model's file; a shared network is in the bundle next to it."""
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
        if bundle.decoder is not None:
            yield DECODER
        return
    try:
        checksums = dict(loads_json((folder / CHECKSUMS).read_bytes())["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder}: expected a bundle or a model folder, as written by phonemo export or "
            "phonemo train"
        ) from error
    yield CHECKSUMS
    yield from map(str, checksums)
