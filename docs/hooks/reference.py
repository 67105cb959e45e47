"""What the site makes at build time: two references from the code, and links that leave docs/.

The command line and the config describe themselves; written pages of them would go stale. Links
such as ../README.md lead to files of the repository, which the site does not hold: there they
become the file's path, so that a strict build finds every other broken link.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args

import typer
from pydantic import BaseModel

_LEAVING = re.compile(r"(!?)\[([^\]]*)\]\((?:\.\./)+([^)\s#]+)(?:#[^)\s]*)?\)")
_MADE = {"reference/command-line.md": "commands", "reference/config.md": "config"}


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page with its generated part, and with links that stay inside the site."""
    kind = _MADE.get(page.file.src_uri)
    if kind is not None:
        markdown += "\n" + "\n".join(_commands() if kind == "commands" else _config())
    depth = page.file.src_uri.count("/")
    return _LEAVING.sub(lambda found: _inside(found, depth), markdown)


def _inside(found: re.Match[str], depth: int) -> str:
    """A link that climbs out of docs/ as text; one that climbs within it stays."""
    picture, text, path = found.groups()
    if found[0].count("../") <= depth:
        return found[0]
    return "" if picture else f"{text} (`{path}`)" if text.strip("`") != path else f"`{path}`"


def _commands() -> Iterator[str]:
    from phonemo.cli.main import app

    group = typer.main.get_command(app)
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        context = command.context_class(command, info_name=f"phonemo {name}")
        yield f"## {name}\n\n{(command.help or '').strip()}\n"
        yield f"```\n{command.get_usage(context).removeprefix('Usage: ')}\n```\n"
        rows = [one.get_help_record(context) for one in command.params]
        described = [row for row in rows if row is not None]
        if described:
            yield "| option | meaning |\n| --- | --- |"
            yield from (f"| `{_cell(left)}` | {_cell(right)} |" for left, right in described)
        yield ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _config() -> Iterator[str]:
    from phonemo.config import RunConfig
    from phonemo.server.settings import ServeConfig
    from phonemo.train.experiments.ablation_config import AblationConfig
    from phonemo.train.pretrain.pretrain_config import PretrainConfig
    from phonemo.train.transfer.study_config import TransferConfig

    seen: set[type[BaseModel]] = set()
    for title, kind in (
        ("phonemo train", RunConfig),
        ("phonemo pretrain", PretrainConfig),
        ("phonemo ablate", AblationConfig),
        ("phonemo transfer", TransferConfig),
        ("phonemo serve", ServeConfig),
    ):
        yield f"## {title}\n"
        yield from _section(kind, "", seen)


def _section(kind: type[BaseModel], path: str, seen: set[type[BaseModel]]) -> Iterator[str]:
    """A table of a section's keys, then its sections."""
    if kind in seen:
        yield f"`{path}`: as above.\n"
        return
    seen.add(kind)
    if path:
        yield f"### {path}\n"
    yield f"{(kind.__doc__ or '').strip().splitlines()[0]}\n"
    yield "| key | default | meaning |\n| --- | --- | --- |"
    inner: list[tuple[str, type[BaseModel]]] = []
    for name, field in kind.model_fields.items():
        default = "needed" if field.is_required() else f"`{_cell(_shown(field.get_default()))}`"
        yield f"| `{name}` | {default} | {_cell(field.description or '')} |"
        inner += [(f"{path}.{name}".strip("."), one) for one in _models(field.annotation)]
    yield ""
    for where, one in inner:
        yield from _section(one, where, seen)


def _shown(value: Any) -> str:
    return "its defaults" if isinstance(value, BaseModel) else str(value)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for one in get_args(annotation):
        yield from _models(one)
