"""The command that most people came for: predict."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phonemo.cli import adapt as cli_adapt
from phonemo.cli import console
from phonemo.cli.options import Activity, Jobs, Model
from phonemo.cli.output import (
    Answer,
    Format,
    PredictOptions,
    Writer,
    iter_predictions,
    output_paths,
    writer_of,
)
from phonemo.errors import PhonemoError, UsageError
from phonemo.files import STANDARD_INPUT, find_recordings
from phonemo.labels import LabelSet
from phonemo.loader import load_model

if TYPE_CHECKING:
    from phonemo.runtime.recognizer import EmotionRecognizer


# Not Path: the answer names each file as it was typed, and Path would tidy ./a and http://b.
Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE",
        help="wav, flac, mp3, ogg or aiff; a folder stands for all in it, - for standard input.",
    ),
]
FormatName = Annotated[
    Format | None,
    typer.Option(
        metavar="FORMAT",
        help="table, jsonl, json, csv, srt, vtt, textgrid (for Praat), rttm or audacity (a "
        "label track). Default: table on a terminal, jsonl elsewhere.",
    ),
]
OutputDir = Annotated[
    Path | None,
    typer.Option(help="Folder for a file of each recording; not for table, jsonl and csv."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files in that folder.")]
InTime = Annotated[
    bool,
    typer.Option(
        "--timeline", help="Emotions in time for short recordings too: 3 s windows, smoothed."
    ),
]
Turns = Annotated[
    Path | None,
    typer.Option(
        help="Who speaks when: .rttm, .TextGrid or .csv; every turn is recognized by itself."
    ),
]
Phonemes = Annotated[
    bool,
    typer.Option("--phonemes", help="When each phoneme was said and what it adds to the emotion."),
]
Said = Annotated[
    str | None,
    typer.Option(
        metavar="PHONEMES",
        help="What is said in the one recording, as 'd a s': its times and shares, not the "
        "recognized phonemes.",
    ),
]
Labels = Annotated[
    str | None,
    typer.Option(help="Choose among these emotions only: anger,happiness,neutral,sadness"),
]
TopK = Annotated[int | None, typer.Option(min=1, help="Give the highest scores only, so many.")]


def _finite(value: float | None) -> float | None:
    if value is not None and math.isnan(value):  # which no version of typer's ranges agrees on
        raise typer.BadParameter("expected a number from 0 to 1, got nan")
    return value


Threshold = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        callback=_finite,
        help="Below this score an answer is unsure; default: the model's.",
    ),
]
QuietCount = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="No progress, and no count of failed files."),
]


def predict(
    files: Files,
    model: Model = None,
    format: FormatName = None,
    output_dir: OutputDir = None,
    overwrite: Overwrite = False,
    timeline: InTime = False,
    turns: Turns = None,
    phonemes: Phonemes = False,
    said: Said = None,
    labels: Labels = None,
    top_k: TopK = None,
    threshold: Threshold = None,
    vad: Activity = "energy",
    profile: cli_adapt.ProfileFile = None,
    adapt: cli_adapt.Adapt = False,
    jobs: Jobs = None,
    quiet: QuietCount = False,
) -> None:
    """Say which emotion each recording carries, and when.

    Recordings of up to 30 s are heard whole; longer ones in windows, as a timeline. Exit status 0:
    all files answered; 1: some failed, each with an error in its line; 2: wrong usage.
    """
    named = find_recordings(files)
    asked = PredictOptions(
        names_of(labels),
        top_k,
        phonemes or said is not None,
        timeline,
        _turns_of(turns, timeline or said is not None),
        jobs,
        _given_phonemes(said, named, model, timeline),
        by_speaker=adapt and turns is not None,
    )
    cli_adapt.check_options(named, profile, adapt, turns is not None)
    looked_at = _streams_are_open(named)
    wanted = format or (Format.table if looked_at else Format.jsonl)
    targets = output_paths(named, wanted, output_dir, overwrite)
    opened = load_model(model)
    known = LabelSet(tuple(opened.labels))
    if asked.labels:
        known = known.restrict(asked.labels)  # a wrong one is told before any file
    _set(opened, vad, threshold)
    hidden = quiet or len(named) < 2 or looked_at
    opened = cli_adapt.applied(opened, named, profile, adapt and turns is None, jobs, quiet)
    failed = 0
    with (
        console.progress_callback("recognizing", hidden) as progress,
        writer_of(
            wanted, known.names, asked.shares, targets, profile is not None or adapt
        ) as write,
    ):
        for count, (name, found) in enumerate(iter_predictions(opened, named, asked), start=1):
            failed += not _write_answer(write, name, found)
            progress(count, len(named))
    if failed:
        if not quiet and len(named) > 1:
            typer.echo(f"phonemo: {failed} of {len(named)} failed; their lines say why", err=True)
        raise typer.Exit(1)


def names_of(labels: str | None) -> list[str]:
    """The emotions of an option --labels; none where it was not given."""
    names = [name.strip() for name in labels.split(",")] if labels is not None else []
    if not all(names):
        raise UsageError(f"--labels {labels!r}: emotions with commas between, as anger,neutral")
    return names


def _set(opened: EmotionRecognizer, vad: str, threshold: float | None) -> None:
    from phonemo.runtime.vad import detector_of

    detector_of(vad)  # a wrong one is told before any file
    opened.activity = vad
    if threshold is not None:
        opened.abstain_below = threshold


def _write_answer(write: Writer, name: str, found: Answer) -> bool:
    """Whether there was an answer and it could leave; what could not does the others no harm."""
    try:
        write(name, found)
    except PhonemoError as error:
        typer.echo(f"phonemo: {error}", err=True)
        return False
    return not isinstance(found, PhonemoError)


def _given_phonemes(
    said: str | None, named: Sequence[object], model: Path | None, timeline: bool
) -> Sequence[str] | None:
    """The phonemes of --said, where it makes sense."""
    if said is None:
        return None
    from phonemo.runtime.bundle import is_bundle
    from phonemo.runtime.bundle import named as folder_of

    if len(named) != 1 or timeline:
        raise UsageError("--said is for one recording, without --timeline; name one")
    if model is not None and not is_bundle(folder_of(model)):
        raise UsageError(f"--said wants a bundle; phonemo export {model} -o bundle/ makes one")
    return said.split()


def _turns_of(path: Path | None, timeline: bool) -> Any:
    """The file is read before any recording, so that a bad one is told once."""
    if path is None:
        return None
    if timeline:
        raise UsageError("--turns goes with neither --timeline nor --said; leave one out")
    from phonemo.annotations.turns import open_turns

    return open_turns(path)


def _streams_are_open(named: Sequence[tuple[str, object]]) -> bool:
    """Whether a person looks at standard output.

    Raises:
        UsageError: a stream that is needed is closed.
    """
    if sys.stdout is None:
        raise UsageError("standard output is closed; give it somewhere to go, as > answers.jsonl")
    if sys.stdin is None and any(name == STANDARD_INPUT for name, _ in named):
        raise UsageError("- is standard input, and that is closed; name a file")
    return sys.stdout.isatty()
