"""The upper end of a network by itself: from frames to the emotion, with frames left out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from phonemo.errors import CheckpointError
from phonemo.runtime.adaptation import Affine
from phonemo.runtime.graph import MAP, map_of, map_width, names_of, open_session, run_session

Floats = npt.NDArray[np.float32]
Kept = npt.NDArray[np.bool_]

#: (1, frame, feature) float32 and (batch, frame) bool; MAP too where model.onnx takes it.
HEAD_INPUTS = ("features", "kept")
#: (batch, emotion).
HEAD_OUTPUT = "emotion_logits"


class Head:
    """An opened head.onnx.

    Args:
        model: the content of the file.
        threads: how many threads a run may use; None leaves it to onnxruntime.

    Raises:
        CheckpointError: onnxruntime cannot open it, or it has other inputs or outputs.
    """

    def __init__(self, model: bytes, threads: int | None = None) -> None:
        self._session = open_session(model, threads)
        given, gives = names_of(self._session)
        #: features of the vector that a profile maps; None where the head takes no map
        self.width = map_width(self._session)
        if given - set(MAP) != set(HEAD_INPUTS) or set(gives) != {HEAD_OUTPUT}:
            raise CheckpointError(
                f"the head takes {', '.join(sorted(given))} and gives {', '.join(sorted(gives))}; "
                f"{', '.join(HEAD_INPUTS)} and {HEAD_OUTPUT} are wanted: export the model again"
            )

    def logits(self, features: Floats, kept: Kept, affine: Affine | None = None) -> Floats:
        """The emotion when only some frames count.

        Args:
            features: of one clip, (frame, feature).
            kept: (batch, frame), False where a frame is left out.
            affine: a profile's map.

        Returns:
            (batch, emotion).

        Raises:
            ModelError: onnxruntime fails.
        """
        feed = dict(zip(HEAD_INPUTS, (features[None], kept), strict=True))
        feed |= map_of(affine, self.width)
        found: Floats
        (found,) = run_session(self._session, [HEAD_OUTPUT], feed, f"{kept.shape[1]} frames")
        return found
