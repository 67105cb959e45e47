"""Where the weights that come with phonemo lie: in the package, or in a clone beside it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from phonemo.errors import CheckpointError

#: Name -> its folder in the package (an installed wheel has it) and in a clone.
_PLACES = {"phonemo-small": ("models/phonemo-small-weights", "models/phonemo-small")}


def weights_of(name: str) -> Path:
    """A model folder by its name, or by its path where it is none of the names.

    Raises:
        CheckpointError: this copy of phonemo lacks the weights of that name.
    """
    if name not in _PLACES or Path(name).is_dir():
        return Path(name)
    package = Path(str(resources.files("phonemo")))
    inside, beside = _PLACES[name]
    for folder in (package / inside, package.parents[1] / beside):
        if (folder / "checkpoint.json").is_file():
            return folder
    raise CheckpointError(
        f"{name}: this copy of phonemo has no weights of it; install the wheel, or name a folder"
    )
