"""Profiles for requests: the operator's, by name, and those that clients send.

The operator's folder is read once, when the server starts. A client sends the name of one of
these, or the content of a profile, which is dropped with the request; no client path is opened.
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
_MAX_PROFILES = 1000
_MAX_NAMES_SHOWN = 20


class ProfileStore:
    """The operator's profiles, each applied to the models that it fits.

    Args:
        profiles: by name, from ``open_profiles``.
        models: by name.
    """

    def __init__(
        self, profiles: Mapping[str, Profile], models: Mapping[str, EmotionRecognizer]
    ) -> None:
        self.profiles = dict(profiles)
        self._adapted = {
            (model, name): recognizer.with_profile(profile)
            for name, profile in profiles.items()
            for model, recognizer in models.items()
            if fits(profile, recognizer)
        }

    def models_of(self, name: str) -> list[str]:
        """Return the models that a profile can be applied to."""
        return [model for model, profile in self._adapted if profile == name]

    def named(self, model: str, name: str) -> EmotionRecognizer:
        """Return a model with one of the profiles applied.

        Raises:
            ApiError: no such profile (400), or it belongs to another model (422).
        """
        if name not in self.profiles:
            raise ApiError(400, "profile_not_found", self._missing_profile(), "profile")
        if (model, name) not in self._adapted:
            message = f"{name} is not a profile of the model {model}; GET /v1/profiles lists those"
            raise ApiError(422, "profile_mismatch", message, "profile")
        return self._adapted[model, name]

    def _missing_profile(self) -> str:
        names = list(self.profiles)
        if not names:
            return "no such profile: this server has none; send one as profile_json"
        shown = names[:_MAX_NAMES_SHOWN] + ["..."] * (len(names) > _MAX_NAMES_SHOWN)
        return f"no such profile; GET /v1/profiles lists them: {', '.join(shown)}"


def open_profiles(
    folder: str | None, models: Mapping[str, EmotionRecognizer]
) -> dict[str, Profile]:
    """Open the profiles in a folder, by the stems of their file names.

    Args:
        folder: contains NAME.json files; None means no profiles.
        models: served models by name.

    Raises:
        UsageError: the folder is missing or empty, a name is not allowed, or a file is invalid or
            a profile of a model that is not served.
    """
    if folder is None:
        return {}
    if not Path(folder).is_dir():
        raise UsageError(f"{safe_name(folder)}: no such folder; create profiles with phonemo adapt")
    paths = sorted(Path(folder).glob("*.json"))
    if not 1 <= len(paths) <= _MAX_PROFILES:
        expected = f"{safe_name(folder)}: expected 1 to {_MAX_PROFILES} files NAME.json"
        raise UsageError(f"{expected}, got {len(paths)}; phonemo adapt writes profiles")
    return {path.stem: _open_profile(path, models) for path in paths}


def with_sent(recognizer: EmotionRecognizer, sent: str | Mapping[str, Any]) -> EmotionRecognizer:
    """Return a model with a profile from a client applied.

    Args:
        recognizer: the model.
        sent: content of a profile file, as JSON or as its plain data.

    Raises:
        ApiError: invalid, of another model, or the model does not support profiles (422).
    """
    check_adaptable(recognizer)
    try:
        if isinstance(sent, str):
            profile = Profile.parse(sent, "profile_json")
        else:
            profile = Profile.from_dict(sent, "profile_json")
    except UsageError as error:
        raise ApiError(422, "invalid_profile", str(error), "profile_json") from error
    try:
        return recognizer.with_profile(profile)
    except UsageError as error:
        raise ApiError(422, "profile_mismatch", str(error), "profile_json") from error


def check_adaptable(recognizer: EmotionRecognizer) -> None:
    """Raise ApiError (422) for a model that does not support profiles."""
    if recognizer.reference is None:
        message = "this model does not support profiles; GET /v1/profiles lists those that do"
        raise ApiError(422, "profile_unsupported", message, "model")


def fits(profile: Profile, recognizer: EmotionRecognizer) -> bool:
    """Whether a profile belongs to a model."""
    if recognizer.reference is None:
        return False
    try:
        profile.check(recognizer.reference)
    except UsageError:
        return False
    return True


def _open_profile(path: Path, models: Mapping[str, EmotionRecognizer]) -> Profile:
    if not _NAME.fullmatch(path.stem):
        raise UsageError(
            f"{safe_name(path)}: expected a name of up to 64 letters, digits, dots, dashes and "
            "underscores that starts with a letter or digit; rename the file"
        )
    profile = Profile.load(path)
    if all(recognizer.reference is None for recognizer in models.values()):
        raise UsageError(
            f"{safe_name(path)}: no served model supports profiles ({', '.join(models)}); "
            "serve one with a linear head, or leave out profiles"
        )
    if not any(fits(profile, recognizer) for recognizer in models.values()):
        raise UsageError(
            f"{safe_name(path)}: expected a profile of a served model ({', '.join(models)}), got "
            f"one of {profile.model[:12]}; create it again with phonemo adapt"
        )
    return profile
