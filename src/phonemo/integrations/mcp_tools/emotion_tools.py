"""What the tools do, without the protocol: paths in, results out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from phonemo.annotations.prediction import Prediction
from phonemo.errors import AudioError, PhonemoError, UsageError, safe_name
from phonemo.integrations.mcp_tools.recording_roots import (
    RecordingRoots,
    RootedFile,
    open_regular,
)
from phonemo.integrations.mcp_tools.tool_results import (
    ComparedRecording,
    Comparison,
    EmotionTimeline,
    ModelDescription,
    ModelList,
    RecognizedEmotion,
    comparison_result,
    emotion_result,
    timeline_result,
)
from phonemo.runtime.bundle import open_bundle, packaged, packaged_names
from phonemo.runtime.recognizer import EmotionRecognizer

MOST_COMPARED = 20


@dataclass(frozen=True)
class EmotionTools:
    """Recognizes recordings inside some folders.

    Args:
        recognizer: the recognizer, with its limit of seconds.
        model: name of its model.
        most_bytes: size of the largest file.
    """

    recognizer: EmotionRecognizer
    model: str
    most_bytes: int

    def recognize(self, roots: RecordingRoots, path: str) -> RecognizedEmotion:
        """The emotion of a recording; PhonemoError if it cannot be used."""
        return emotion_result(*self._predict(roots, path, timeline=False))

    def timeline(self, roots: RecordingRoots, path: str) -> EmotionTimeline:
        """The emotions of a recording over time; PhonemoError if it cannot be used."""
        return timeline_result(*self._predict(roots, path, timeline=True))

    def compare(
        self,
        roots: RecordingRoots,
        paths: Sequence[str],
        advance: Callable[[int], None] = lambda done: None,
    ) -> Comparison:
        """Several recordings side by side; one that cannot be used does not affect the others.

        Args:
            roots: where they are.
            paths: 2 to ``MOST_COMPARED``.
            advance: is called with the number of recordings that are done.

        Raises:
            UsageError: another number of paths.
            PhonemoError: none of them can be used; the error is that of the first.
        """
        if not 2 <= len(paths) <= MOST_COMPARED:
            raise UsageError(
                f"expected 2 to {MOST_COMPARED} paths to compare, got {len(paths)}; pass more or "
                "fewer"
            )
        items: list[ComparedRecording] = []
        first: PhonemoError | None = None
        for path in paths:
            try:
                emotion = self.recognize(roots, path)
                items.append(ComparedRecording(file=emotion.file, emotion=emotion, error=None))
            except PhonemoError as error:
                first = first or error
                name = safe_name(path)
                items.append(ComparedRecording(file=name, emotion=None, error=str(error)))
            advance(len(items))
        if first is not None and not any(item.emotion for item in items):
            raise first
        return comparison_result(items)

    def models(self) -> ModelList:
        """The models that ship with phonemo."""
        return ModelList(models=[self._described(name) for name in packaged_names()])

    def _predict(self, roots: RecordingRoots, path: str, timeline: bool) -> tuple[str, Prediction]:
        file = roots.find(path, self.most_bytes)
        try:
            with open_regular(file) as stream:
                return file.name, self.recognizer.predict(stream, timeline=timeline)
        except AudioError as error:
            raise AudioError(error.code, _for_client(error, file)) from error

    def _described(self, name: str) -> ModelDescription:
        card = open_bundle(packaged(name)).card
        return ModelDescription(
            name=name,
            in_use=name == self.model,
            labels=list(card.labels),
            license=card.licence,
            unsure_below=round(card.abstain_below, 4),
        )


def _for_client(error: AudioError, file: RootedFile) -> str:
    """The message with the name that the client knows, and the option that is of this command."""
    text = str(error).replace(safe_name(file.path), file.name)
    return text.replace("raise max_seconds", "start phonemo mcp with a higher --max-minutes")


def model_name(model: str | None, recognizer: EmotionRecognizer) -> str:
    """The name of a model for descriptions."""
    card = getattr(recognizer, "card", None)
    return str(card.name) if card is not None else Path(model or "").name
