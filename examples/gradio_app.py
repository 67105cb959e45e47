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


def recognize(
    path: str | None, channels: str = "mix"
) -> tuple[dict[str, float] | str, list[tuple[str, float | None]], Any, str]:
    """Predict a recording, a side or each: scores, phonemes with shares, a plot, a TextGrid.

    Of each side, the scores are the mean, and the plot shows all segments.
    """
    if not path:
        raise gr.Error("No recording yet; record one or choose a file.")
    try:
        prediction = MODEL.predict(
            path, shares=True, timeline=True, channels=parse_channels(channels)
        )
    except PhonemoError as error:
        raise gr.Error(str(error).removeprefix(f"{path}: ")) from error
    return label_of(prediction), tinted(prediction), picture(prediction), saved(path, prediction)


def label_of(prediction: Prediction) -> dict[str, float] | str:
    """What gr.Label shows: the scores, the closest emotion with a "?" in doubt, or no speech."""
    if prediction.label is None:
        return "no speech"
    doubt = {prediction.label: f"{prediction.label}?"} if prediction.unsure else {}
    return {doubt.get(name, name): score for name, score in prediction.scores.items()}


def tinted(prediction: Prediction) -> list[tuple[str, float | None]]:
    """Phonemes with shares relative to the largest: -1 against the emotion, 1 for it."""
    parts = prediction.channels or (prediction,)
    spans = [span for part in parts for span in part.spans or ()]
    largest = max((abs(span.share or 0.0) for span in spans), default=0.0) or 1.0
    return [(f"{span.symbol} ", (span.share or 0.0) / largest) for span in spans]


def picture(prediction: Prediction) -> Any:
    """Plot the scores over time, for each emotion that leads in a segment; a row for each side."""
    from matplotlib.figure import Figure

    parts = prediction.channels or (prediction,)
    figure = Figure(figsize=(8, 2.6 * len(parts)), layout="constrained")
    for axes, part in zip(figure.subplots(len(parts), squeeze=False)[:, 0], parts, strict=True):
        plot_scores(axes, part)
    return figure


def plot_scores(axes: Any, prediction: Prediction) -> None:
    """Plot the scores of a recording or a side of it."""
    labels = {segment.label for segment in prediction.segments} | {prediction.label}
    leading = labels - {None} or set(prediction.scores)
    edges = [segment.start for segment in prediction.segments] + [prediction.seconds]
    for name in sorted(leading):
        scores = [segment.scores[name] for segment in prediction.segments] or [
            prediction.scores[name]
        ]
        axes.stairs(
            scores, edges if len(edges) == len(scores) + 1 else None, label=name, baseline=None
        )
    side = "" if prediction.channel is None else f"channel {prediction.channel}"
    axes.set(xlabel="seconds", ylabel="score", ylim=(0, 1), xlim=(0, max(prediction.seconds, 0.1)))
    axes.set_title(side)
    axes.legend(loc="upper right")


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
                    ["mix", "split", "1", "2"],
                    value="mix",
                    label="Channels (of a call: split shows each of its sides)",
                )
                button = gr.Button("Recognize", variant="primary")
            scores = gr.Label(num_top_classes=5, label="Emotion")
        phonemes = gr.HighlightedText(
            label="Phonemes: red for the emotion, blue against it", show_legend=False
        )
        plot = gr.Plot(label="In time")
        grid = gr.File(label="TextGrid for Praat")
        shown = [scores, phonemes, plot, grid]
        button.click(recognize, [audio, channels], shown, api_name="recognize")
    return app


def main() -> None:
    """Serve the page on this machine."""
    make_app().launch(server_name="127.0.0.1", share=False)


if __name__ == "__main__":
    main()
