"""A page on gradio: speak or give a file; see the emotions, and which phonemes carried them.

    pip install 'phonemo[gradio]'
    python examples/gradio_app.py            # http://127.0.0.1:7860/

It listens on this machine alone, has no share link, sends no analytics, and drops uploads after an
hour. For many users, and for an API with limits, there is ``phonemo serve``.
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
from phonemo.audio import AudioLimits
from phonemo.errors import PhonemoError

LONGEST_SECONDS = 60.0
HOUR = 3600
NOTE = (
    "A label is what listeners agree to call a voice, not what a person feels: do not judge people "
    "by it. phonemo-small is CC BY-NC-SA 4.0; it learnt from acted German, English and Polish."
)

MODEL = phonemo.load()
MODEL.limits = AudioLimits(max_seconds=LONGEST_SECONDS)


def hear(path: str | None) -> tuple[dict[str, float], list[tuple[str, float | None]], Any, str]:
    """A recording to scores, phonemes with their shares, a picture and a TextGrid."""
    if not path:
        raise gr.Error("No recording yet: speak, or choose a file.")
    try:
        found = MODEL.predict(path, shares=True, timeline=True)
    except PhonemoError as error:
        raise gr.Error(str(error).removeprefix(f"{path}: ")) from error
    return found.scores, tinted(found), picture(found), saved(path, found)


def tinted(found: Prediction) -> list[tuple[str, float | None]]:
    """Phonemes, each with its share of the largest: -1 speaks against the emotion, 1 for it."""
    shares = [one.share or 0.0 for one in found.spans or ()]
    largest = max((abs(one) for one in shares), default=0.0) or 1.0
    spans = zip(found.spans or (), shares, strict=True)
    return [(f"{one.symbol} ", share / largest) for one, share in spans]


def picture(found: Prediction) -> Any:
    """The scores over time, a line for each emotion that ever leads."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 2.6), layout="constrained")
    axes = figure.add_subplot()
    leading = {one.label for one in found.segments} | {found.label}
    edges = [one.start for one in found.segments] + [found.seconds]
    for name in sorted(leading):
        scores = [one.scores[name] for one in found.segments] or [found.scores[name]]
        axes.stairs(
            scores, edges if len(edges) == len(scores) + 1 else None, label=name, baseline=None
        )
    axes.set(xlabel="seconds", ylabel="score", ylim=(0, 1), xlim=(0, max(found.seconds, 0.1)))
    axes.legend(loc="upper right")
    return figure


def saved(path: str, found: Prediction) -> str:
    """A TextGrid for Praat, in a folder of its own."""
    target = Path(tempfile.mkdtemp(prefix="phonemo-")) / f"{Path(path).stem}.TextGrid"
    target.write_text(textgrid(Path(path).name, found), encoding="utf-8")
    return str(target)


def make_app() -> gr.Blocks:
    """The page."""
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
                    buttons=["download"],  # no button that would share it elsewhere
                )
                button = gr.Button("Hear it", variant="primary")
            scores = gr.Label(num_top_classes=5, label="Emotion")
        phonemes = gr.HighlightedText(
            label="Phonemes: red speaks for it, blue against", show_legend=False
        )
        plot = gr.Plot(label="In time")
        grid = gr.File(label="TextGrid for Praat")
        button.click(hear, audio, [scores, phonemes, plot, grid], api_name="hear")
    return app


def main() -> None:
    """Serve it on this machine."""
    make_app().launch(server_name="127.0.0.1", share=False)


if __name__ == "__main__":
    main()
