"""A Gradio page: record or upload speech; see the emotions, and the phonemes that carried them.

    pip install 'phonemo[gradio]'
    python examples/gradio_app.py            # http://127.0.0.1:7860/

It listens on this machine only, has no share link, sends no analytics, and deletes uploads after an
hour. For many users, or an API with limits, use ``phonemo serve``.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr

import phonemo
from phonemo.annotations.prediction import Prediction
from phonemo.annotations.writers import textgrid
from phonemo.audio import AudioLimits, parse_channels
from phonemo.errors import PhonemoError

LONGEST_SECONDS = 60.0
HOUR = 3600
NOTE = (
    "A label is how listeners describe a voice, not what a person feels: do not judge people by "
    "it. phonemo-small is CC BY-NC-SA 4.0; it was trained on acted German, English and Polish."
)

MODEL = phonemo.load()
MODEL.limits = AudioLimits(max_seconds=LONGEST_SECONDS)


def hear(
    path: str | None, channels: str = "mix"
) -> tuple[dict[str, float], list[tuple[str, float | None]], Any, str]:
    """Predict a recording or one side of it: scores, phonemes with shares, a plot, a TextGrid."""
    if not path:
        raise gr.Error("No recording yet; record one or choose a file.")
    try:
        prediction = MODEL.predict(
            path, shares=True, timeline=True, channels=parse_channels(channels)
        )
    except PhonemoError as error:
        raise gr.Error(str(error).removeprefix(f"{path}: ")) from error
    return prediction.scores, tinted(prediction), picture(prediction), saved(path, prediction)


def tinted(prediction: Prediction) -> list[tuple[str, float | None]]:
    """Phonemes with shares relative to the largest: -1 against the emotion, 1 for it."""
    shares = [span.share or 0.0 for span in prediction.spans or ()]
    largest = max((abs(share) for share in shares), default=0.0) or 1.0
    spans = zip(prediction.spans or (), shares, strict=True)
    return [(f"{span.symbol} ", share / largest) for span, share in spans]


def picture(prediction: Prediction) -> Any:
    """Plot the scores over time, for each emotion that leads in a segment."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 2.6), layout="constrained")
    axes = figure.add_subplot()
    leading = {segment.label for segment in prediction.segments} | {prediction.label}
    edges = [segment.start for segment in prediction.segments] + [prediction.seconds]
    for name in sorted(leading):
        scores = [segment.scores[name] for segment in prediction.segments] or [
            prediction.scores[name]
        ]
        axes.stairs(
            scores, edges if len(edges) == len(scores) + 1 else None, label=name, baseline=None
        )
    axes.set(xlabel="seconds", ylabel="score", ylim=(0, 1), xlim=(0, max(prediction.seconds, 0.1)))
    axes.legend(loc="upper right")
    return figure


def saved(path: str, prediction: Prediction) -> str:
    """Write a TextGrid for Praat to a new folder."""
    target = Path(tempfile.mkdtemp(prefix="phonemo-")) / f"{Path(path).stem}.TextGrid"
    target.write_text(textgrid(Path(path).name, prediction), encoding="utf-8")
    return str(target)


def make_app() -> gr.Blocks:
    """Build the page."""
    with gr.Blocks(title="phonemo", analytics_enabled=False, delete_cache=(HOUR, HOUR)) as app:
        gr.Markdown(
            f"# phonemo\nWhich emotion does it sound like, and which phonemes carried it?\n\n{NOTE}"
        )
        with gr.Row():
            with gr.Column():
                audio = gr.Audio(
                    type="filepath",
                    sources=["microphone", "upload"],
                    label="Recording",
                    buttons=["download"],  # no share button
                )
                channels = gr.Radio(
                    ["mix", "1", "2"], value="mix", label="Channel (of a call: one of its sides)"
                )
                button = gr.Button("Recognize", variant="primary")
            scores = gr.Label(num_top_classes=5, label="Emotion")
        phonemes = gr.HighlightedText(
            label="Phonemes: red for the emotion, blue against it", show_legend=False
        )
        plot = gr.Plot(label="In time")
        grid = gr.File(label="TextGrid for Praat")
        button.click(hear, [audio, channels], [scores, phonemes, plot, grid], api_name="hear")
    return app


def main() -> None:
    """Serve the page on this machine."""
    make_app().launch(server_name="127.0.0.1", share=False)


if __name__ == "__main__":
    main()
