"""Folders of others, opened by transformers so that nothing in them runs or leads out of them.

A config may name Python beside it, a kernel of a hub, a pickle or a file elsewhere; transformers
would ask on standard input, fetch it, or open it. None of that is wanted: weights are safetensors
in the folder, and the code is that of the installed packages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging as transformers_logging

from phonemo.plain_json import parsed

INDEX = "model.safetensors.index.json"
_ATTENTIONS = (None, "eager", "sdpa")


class ForeignError(Exception):
    """A folder of others cannot be opened; the reason in one line."""


def read_config(kind: Any, path: str | Path, **where: Any) -> Any:
    """A config of transformers.

    Args:
        kind: AutoConfig, or the class of the config.
        path: a folder, or a hub's id.
        where: ``revision`` and the like.

    Raises:
        ForeignError: it is absent, malformed, or asks for what is not allowed.
    """
    with _told(), quiet_transformers():
        config = kind.from_pretrained(path, trust_remote_code=False, **where)
    _check(config.to_dict())
    # private to transformers, and not part of what it writes
    _check_attention(getattr(config, "_attn_implementation", None))
    return config


def read_network(
    kind: Any, path: str | Path, config: Any, **where: Any
) -> tuple[Any, list[str], list[str]]:
    """A network in float32, and the names of weights that are missing and that are too many.

    Args:
        kind: AutoModel, or the class of the network.
        path: a folder, or a hub's id.
        config: from :func:`read_config`.
        where: ``revision`` and the like.

    Raises:
        ForeignError: the weights are absent, malformed, no safetensors, or lie elsewhere.
    """
    _check_shards(Path(path))
    with _told(), quiet_transformers():
        network, info = kind.from_pretrained(
            path,
            config=config,
            dtype=torch.float32,
            output_loading_info=True,
            use_safetensors=True,
            trust_remote_code=False,
            **where,
        )
    return network, sorted(info["missing_keys"]), sorted(info["unexpected_keys"])


def read_preprocessor(kind: Any, path: str | Path, **where: Any) -> Any:
    """A feature extractor of transformers.

    Raises:
        ForeignError: absent, malformed, or of a kind that only code of others knows.
    """
    with _told(), quiet_transformers():
        return kind.from_pretrained(path, trust_remote_code=False, **where)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Without transformers' report of weights that are left out on purpose."""
    before = transformers_logging.get_verbosity()
    bar = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)
        if bar:
            transformers_logging.enable_progress_bar()


@contextmanager
def _told() -> Iterator[None]:
    """What a parser raises of a file that it did not expect may be anything."""
    try:
        yield
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ForeignError(lines[0]) from error


def _check(config: Mapping[str, Any]) -> None:
    for key in ("auto_map", "quantization_config"):
        if config.get(key):
            raise ForeignError(f"its config has {key}, which would run code of others")
    _check_attention(config.get("attn_implementation"))
    if isinstance(inner := config.get("backbone"), Mapping):
        _check(inner)
        _check_attention(inner.get("_attn_implementation"))


def _check_attention(name: object) -> None:
    if name not in _ATTENTIONS:
        raise ForeignError(f"its config wants the attention {name!r}; eager or sdpa is allowed")


def _check_shards(folder: Path) -> None:
    """Weights in parts are files of this folder."""
    if not (folder / INDEX).is_file():
        return
    with _told():
        shards = set(parsed((folder / INDEX).read_bytes())["weight_map"].values())
    for name in shards:
        if not isinstance(name, str) or Path(name).name != name:
            raise ForeignError(f"{INDEX} names {name!r}, which is not in the folder")
