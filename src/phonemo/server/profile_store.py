"""Profiles for requests: those that the operator offers by name, and those that a client sends.

The operator's folder is read once, when the server starts. A client gives a name, which is looked
up among these, or the content of a profile; no path of a client is ever opened. What a client
sends lives as long as its request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phonemo.errors import UsageError, safe_name
from phonemo.runtime.adaptation.profile import Profile
from phonemo.runtime.recognizer import EmotionRecognizer
from phonemo.server.api_errors import ApiError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MOST = 1000
_NAMES_TOLD = 20


class ProfileStore:
    """The profiles of the operator, each applied to every model that it is of.

    Args:
        profiles: by name, as ``open_profiles`` gives them.
        models: by name.
    """

    def __init__(
        self, profiles: Mapping[str, Profile], models: Mapping[str, EmotionRecognizer]
    ) -> None:
        self.profiles = dict(profiles)
        self._adapted = {
            (model, name): listener.with_profile(profile)
            for name, profile in profiles.items()
            for model, listener in models.items()
            if fits(profile, listener)
        }

    def models_of(self, name: str) -> list[str]:
        """The models that a profile can be applied to."""
        return [model for model, profile in self._adapted if profile == name]

    def named(self, model: str, name: str) -> EmotionRecognizer:
        """A model with one of the profiles.

        Raises:
            Refusal: no such profile (400), or it is of another model (422).
        """
        if name not in self.profiles:
            raise ApiError(400, "profile_not_found", self._absent(), "profile")
        if (model, name) not in self._adapted:
            message = f"{name} is no profile of the model {model}; GET /v1/profiles tells which are"
            raise ApiError(422, "profile_mismatch", message, "profile")
        return self._adapted[model, name]

    def _absent(self) -> str:
        names = list(self.profiles)
        if not names:
            return "no such profile: this server offers none; send one as profile_json"
        known = ", ".join(names[:_NAMES_TOLD]) + (", ..." if len(names) > _NAMES_TOLD else "")
        return f"no such profile; GET /v1/profiles lists them: {known}"


def open_profiles(
    folder: str | None, models: Mapping[str, EmotionRecognizer]
) -> dict[str, Profile]:
    """The profiles in a folder, by the stems of their files' names.

    Args:
        folder: of files NAME.json; None is no profile.
        models: those that are served, by name.

    Raises:
        UsageError: no such folder or none in it, a name that is not allowed, a file that is no
            profile or is one of a model that is not served.
    """
    if folder is None:
        return {}
    if not Path(folder).is_dir():
        raise UsageError(
            f"{safe_name(folder)}: no such folder; make one of profiles: phonemo adapt"
        )
    paths = sorted(Path(folder).glob("*.json"))
    if not 1 <= len(paths) <= _MOST:
        found = f"{safe_name(folder)}: {len(paths)} files NAME.json"
        raise UsageError(f"{found}, 1 to {_MOST} are expected; phonemo adapt writes profiles")
    return {path.stem: _open_profile(path, models) for path in paths}


def with_sent(listener: EmotionRecognizer, sent: str | Mapping[str, Any]) -> EmotionRecognizer:
    """A model with a profile that a client sent.

    Args:
        listener: the model.
        sent: the content of the profile's file: JSON, or its plain data.

    Raises:
        Refusal: it is no profile, one of another model, or the model takes none (422).
    """
    check_adaptable(listener)
    try:
        if isinstance(sent, str):
            profile = Profile.parse(sent, "profile_json")
        else:
            profile = Profile.from_dict(sent, "profile_json")
    except UsageError as error:
        raise ApiError(422, "invalid_profile", str(error), "profile_json") from error
    try:
        return listener.with_profile(profile)
    except UsageError as error:
        raise ApiError(422, "profile_mismatch", str(error), "profile_json") from error


def check_adaptable(listener: EmotionRecognizer) -> None:
    """Refusal (422) for a model that takes no profile."""
    if listener.reference is None:
        message = "this model takes no profile; GET /v1/profiles lists the models that take one"
        raise ApiError(422, "profile_unsupported", message, "model")


def fits(profile: Profile, listener: EmotionRecognizer) -> bool:
    """Whether a profile is of a model."""
    if listener.reference is None:
        return False
    try:
        profile.check(listener.reference)
    except UsageError:
        return False
    return True


def _open_profile(path: Path, models: Mapping[str, EmotionRecognizer]) -> Profile:
    if not _NAME.fullmatch(path.stem):
        raise UsageError(
            f"{safe_name(path)}: the name of a profile that is served is up to 64 letters, digits, "
            "dots, dashes and underscores, the first a letter or digit; rename it"
        )
    profile = Profile.load(path)
    if all(listener.reference is None for listener in models.values()):
        raise UsageError(
            f"{safe_name(path)}: no model that is served takes a profile ({', '.join(models)}); "
            "serve one with a linear head, or leave out profiles"
        )
    if not any(fits(profile, listener) for listener in models.values()):
        raise UsageError(
            f"{safe_name(path)}: a profile of model {profile.model[:12]}, which is not among those "
            f"that are served ({', '.join(models)}); make it again with one of them: phonemo adapt"
        )
    return profile
