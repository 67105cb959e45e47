"""What names a model on a hub, told apart from a folder on this disk."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

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


def hub_name(text: str | os.PathLike[str], bare: bool = False) -> HubName | None:
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
