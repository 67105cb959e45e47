"""Where the weights that come with phonemo lie: in the package, or in a clone beside it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from phonemo.errors import CheckpointError

#: Name -> its folder in the package (an installed wheel has it) and in a clone.
_PLACES = {
    name: (f"models/{name}-weights", f"models/{name}") for name in ("phonemo-small", "phonemo-open")
}


def weights_of(name: str) -> Path:
    """A model folder by its name, or by its path where it is none of the names.

    Raises:
        CheckpointError: this copy of phonemo lacks the weights of that name.
    """
    if name not in _PLACES or Path(name).is_dir():
        return Path(name)
    found = found_weights(name)
    if found is None:
        raise CheckpointError(
            f"{name}: this copy of phonemo has no weights of it; install the wheel, or name a "
            "folder"
        )
    return found


def found_weights(name: str) -> Path | None:
    """The model folder of a name; None where this copy of phonemo has none."""
    package = Path(str(resources.files("phonemo")))
    inside, beside = _PLACES.get(name, ("", ""))
    places = (package / inside, package.parents[1] / beside) if inside else ()
    return next((one for one in places if (one / "checkpoint.json").is_file()), None)
