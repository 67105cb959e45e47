"""The models that a server offers, and the profiles that can be applied to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from phonemo.errors import CheckpointError
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.recognizer import EmotionRecognizer
from phonemo.runtime.vad import detector_of
from phonemo.server.api_errors import ApiError
from phonemo.server.models.phoneme_options import PhonemeRecognizers
from phonemo.server.models.profile_store import ProfileStore, open_profiles, with_sent
from phonemo.server.settings import ServeConfig


class ModelRegistry:
    """Models and profiles by name; empty before ``load``.

    Args:
        config: server config.
        workers: number of recordings that are recognized at the same time.
    """

    def __init__(self, config: ServeConfig, workers: int) -> None:
        self.models: dict[str, EmotionRecognizer] = {}
        """By name; the first is the default."""
        self.profile_store = ProfileStore({}, {})
        """The operator's profiles."""
        self.phoneme_options = PhonemeRecognizers()
        self._config, self._workers = config, workers

    async def load(self, open_all: Callable[[], Mapping[str, EmotionRecognizer]]) -> None:
        """Open the models and the operator's profiles.

        Args:
            open_all: returns name -> model; runs in a thread.

        Raises:
            PhonemoError: a model cannot be opened.
            UsageError: a profile of the config cannot be offered.
        """
        models = await asyncio.to_thread(open_all)
        self.models = {name: self._prepare(recognizer) for name, recognizer in models.items()}
        profiles = await asyncio.to_thread(open_profiles, self._config.profiles, self.models)
        self.profile_store = ProfileStore(profiles, self.models)

    def find(self, name: str | None) -> tuple[str, EmotionRecognizer]:
        """Return a model with its name, the default one for None.

        Raises:
            ApiError: no such model (404).
        """
        chosen = name or next(iter(self.models))
        if chosen not in self.models:
            known = ", ".join(self.models)
            message = "no such model; GET /v1/models lists them: " + known
            raise ApiError(404, "model_not_found", message, "model")
        return chosen, self.models[chosen]

    def adapted(
        self, model: str, profile: str | None, profile_json: str | Mapping[str, Any] | None
    ) -> EmotionRecognizer:
        """Return a model, with the profile that a request names or contains applied.

        Args:
            model: name of a served model.
            profile: name of one of the operator's profiles.
            profile_json: content of a profile, as JSON or as its plain data.

        Raises:
            ApiError: both are given (400), no such profile (400), or it cannot be applied (422).
        """
        if profile is not None and profile_json is not None:
            message = "profile and profile_json: one profile is applied; leave one of them out"
            raise ApiError(400, "invalid_value", message, "profile_json")
        if profile is not None:
            return self.profile_store.named(model, profile)
        if profile_json is not None:
            return with_sent(self.models[model], profile_json)
        return self.models[model]

    def _prepare(self, recognizer: EmotionRecognizer) -> EmotionRecognizer:
        detector_of(self._config.activity)
        recognizer.activity = self._config.activity
        return recognizer.for_jobs(self._workers)[0]


def open_models(config: ServeConfig) -> dict[str, EmotionRecognizer]:
    """Open the models of a config, or the packaged default, by the names in their cards.

    Raises:
        CheckpointError: a model is missing or broken, or two have the same name.
        DeviceError: the config's device is missing, or a model does not open there.
        MissingExtraError: one is a model folder and torch is not installed.
    """
    from phonemo.loader import load_model

    models: dict[str, EmotionRecognizer] = {}
    for path in config.models or (None,):
        recognizer = load_model(path, device=config.device)
        name = name_of(recognizer, path)
        if name in models:
            raise CheckpointError(f"{path}: a model named {name} is served already")
        models[name] = recognizer
    return models


def name_of(recognizer: EmotionRecognizer, path: str | Path | None) -> str:
    """Return the name in a bundle's card, or the folder's name for a model without a card."""
    if isinstance(recognizer, OnnxRecognizer):
        return recognizer.card.name
    return Path(path or "model").absolute().name
