"""The command predict."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phonemo.cli import adapt as cli_adapt
from phonemo.cli import progress_bars
from phonemo.cli.options import Activity, ChannelChoice, Device, Jobs, Model, channels_of
from phonemo.cli.output import (
    DIMENSIONED,
    SUMMARIZED,
    WITH_DIMENSIONS,
    Answer,
    Format,
    OutputOptions,
    Writer,
    iter_predictions,
    output_paths,
    writer_of,
)
from phonemo.errors import AudioError, PhonemoError, UsageError, safe_name
from phonemo.files import NO_RECORDINGS, STANDARD_INPUT, SkippedFiles, find_recordings
from phonemo.labels import LabelSet, mapping_note
from phonemo.loader import load_model

if TYPE_CHECKING:
    from phonemo.annotations.turns import TurnFile
    from phonemo.runtime.recognizer import EmotionRecognizer


# Not Path: results name each file as typed, and Path would normalize ./a and http://b.
Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE",
        help="wav, flac, mp3, ogg, opus, m4a and others; a folder stands for all recordings in "
        "it, - for standard input.",
    ),
]
FormatName = Annotated[
    Format | None,
    typer.Option(
        metavar="FORMAT",
        help="table, jsonl, json, csv, phonemes (a table of them), srt, vtt, textgrid (for Praat), "
        "rttm or audacity (a label track). Default: table on a terminal, jsonl elsewhere.",
    ),
]
OutputDir = Annotated[
    Path | None,
    typer.Option(help="Folder for one file per recording; not for table, jsonl, csv and phonemes."),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace existing files in that folder.")
]
InTime = Annotated[
    bool,
    typer.Option(
        "--timeline",
        help="Emotions over time, also for short recordings: smoothed 3 s windows.",
    ),
]
Turns = Annotated[
    Path | None,
    typer.Option(
        help="Who speaks when: .rttm, .TextGrid, .csv, .srt, .vtt, or the .json of Whisper, "
        "WhisperX, faster-whisper or pyannote. Each turn is recognized separately, and each word."
    ),
]
Phonemes = Annotated[
    bool,
    typer.Option(
        "--phonemes", help="Add the time of each phoneme and its contribution to the emotion."
    ),
]
Said = Annotated[
    str | None,
    typer.Option(
        metavar="PHONEMES",
        help="Phonemes spoken in a single recording, e.g. 'd a s': they are aligned and get times "
        "and shares instead of the recognized phonemes.",
    ),
]
Decoding = Annotated[
    str | None,
    typer.Option(
        metavar="<name>",
        help="Phoneme decoding: best-path; beam-search; english, for English speech; or "
        "language-model, the default of bundles with one.",
    ),
]
Edges = Annotated[
    str | None,
    typer.Option(
        metavar="posteriors|waveform",
        help="Phoneme boundaries: from the network's frames, or refined from the waveform.",
    ),
]
Summary = Annotated[
    bool,
    typer.Option(
        "--summary",
        help="Add a summary of each recording by channel or speaker: shares of emotions and "
        "speech, strongest moments, trend. With --format table, json or jsonl.",
    ),
]
ShownDimensions = Annotated[
    bool,
    typer.Option(
        "--dimensions",
        help="Show arousal and valence, 0 to 1, in a table, csv or textgrid; JSON always has them. "
        "A shipped model derives them from the emotions' scores.",
    ),
]
Labels = Annotated[
    str | None,
    typer.Option(help="Choose only among these emotions: anger,happiness,neutral,sadness"),
]
TopK = Annotated[int | None, typer.Option(min=1, help="Number of highest scores to show.")]


def _reject_nan(value: float | None) -> float | None:
    if value is not None and math.isnan(value):  # typer versions disagree on nan in ranges
        raise typer.BadParameter("expected a number from 0 to 1, got nan")
    return value


Threshold = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=1,
        callback=_reject_nan,
        help="Below this score a prediction is unsure. Default: the model's threshold.",
    ),
]
QuietCount = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Hide progress and the count of failed files."),
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
    decoding: Decoding = None,
    edges: Edges = None,
    summary: Summary = False,
    dimensions: ShownDimensions = False,
    labels: Labels = None,
    top_k: TopK = None,
    threshold: Threshold = None,
    vad: Activity = "energy",
    channels: ChannelChoice = "mix",
    profile: cli_adapt.ProfileFile = None,
    adapt: cli_adapt.Adapt = False,
    device: Device = "cpu",
    jobs: Jobs = None,
    quiet: QuietCount = False,
) -> None:
    """Recognize the emotion of each recording, with times.

    Recordings of up to 30 s are processed in one pass, longer ones in windows, as a timeline. Exit
    status 0: all files succeeded; 1: some failed, each with an error in its line; 2: wrong usage.
    """
    skipped = SkippedFiles()
    named = find_recordings(files, skipped)
    if said is not None and channels.strip().lower() == "split":
        raise UsageError("--said cannot be combined with --channels split; name one channel")
    if said is not None and decoding is not None:
        raise UsageError("--said gives the phonemes and --decoding recognizes them; drop one")
    options = OutputOptions(
        names_of(labels),
        top_k,
        phonemes or said is not None or format is Format.phonemes,
        timeline or (summary and turns is None and said is None),
        _load_turns(turns, timeline or said is not None),
        jobs,
        _parse_phonemes(said, named, model, timeline),
        by_speaker=adapt and turns is not None,
        channels=channels_of(channels),
        summary=summary,
    )
    cli_adapt.check_options(named, profile, adapt, turns is not None)
    on_terminal = _check_streams(named)
    output_format = format or (Format.table if on_terminal else Format.jsonl)
    _check_summary(summary, output_format)
    _check_place(dimensions, output_format)
    targets = output_paths(named, output_format, output_dir, overwrite)
    for note in skipped.notes():
        typer.echo(f"phonemo: {note}", err=True)
    opened = load_model(model, device=device)
    cli_adapt.note_device(opened, device, quiet)
    options = _with_dimensions(options, opened, dimensions, output_format)
    known = LabelSet(tuple(opened.labels))
    if options.labels:
        options = replace(options, labels=_resolved(known, options.labels))
        known = known.restrict(options.labels)  # fails before any file is read
    _configure(opened, vad, threshold)
    opened = opened.with_phonemes(decoding, edges)
    hidden = quiet or len(named) < 2 or on_terminal
    opened = cli_adapt.applied(
        opened, named, profile, adapt and turns is None, jobs, quiet, options.channels
    )
    has_profile = profile is not None or adapt
    failed = 0
    with (
        progress_bars.progress_callback("recognizing", hidden) as progress,
        writer_of(output_format, known.names, options, targets, has_profile) as write,
    ):
        for count, (name, result) in enumerate(iter_predictions(opened, named, options), start=1):
            failed += not _write_result(write, name, _folder_error(name, skipped) or result)
            progress(count, len(named))
    _exit_if_failed(failed, 0 if quiet else len(named))


def _exit_if_failed(failed: int, count: int) -> None:
    """Exit with status 1 if a recording failed; of several, ``count`` tells how many."""
    if failed:
        if count > 1:
            typer.echo(f"phonemo: {failed} of {count} failed; details in their lines", err=True)
        raise typer.Exit(1)


def _check_summary(summary: bool, output_format: Format) -> None:
    if summary and output_format not in SUMMARIZED:
        raise UsageError(
            f"--summary: expected --format {', '.join(SUMMARIZED)}, got {output_format}, "
            "which has no place for it"
        )


def _check_place(dimensions: bool, output_format: Format) -> None:
    if dimensions and output_format not in DIMENSIONED:
        raise UsageError(
            f"--dimensions: expected --format {', '.join(DIMENSIONED)}, got {output_format}, "
            "which has no place for them"
        )


def _with_dimensions(
    options: OutputOptions, opened: EmotionRecognizer, dimensions: bool, output_format: Format
) -> OutputOptions:
    """Show the model's dimensions on request, and always in JSON."""
    if dimensions and opened.dimensions is None:
        raise UsageError(
            "--dimensions: expected a model with a head for dimensions, or with emotions that have "
            f"published norms, got {', '.join(opened.labels)}; leave it out"
        )
    names = opened.dimensions.names if dimensions and opened.dimensions else ()
    shown = dimensions or output_format in WITH_DIMENSIONS
    return replace(options, dimensions=shown, dimension_names=names)


def names_of(labels: str | None) -> list[str]:
    """Parse the emotions of --labels; an empty list if it was not given."""
    names = [name.strip() for name in labels.split(",")] if labels is not None else []
    if not all(names):
        raise UsageError(
            f"--labels {labels!r}: expected emotions separated by commas, such as anger,neutral"
        )
    return names


def _resolved(known: LabelSet, words: Sequence[str]) -> list[str]:
    """The labels that the words of --labels stand for; other spellings are printed."""
    other = known.spelled(words)
    if other:
        typer.echo(f"phonemo: --labels: {mapping_note(other)}", err=True)
    return [other.get(word, word) for word in words]


def _configure(opened: EmotionRecognizer, vad: str, threshold: float | None) -> None:
    from phonemo.runtime.vad import detector_of

    detector_of(vad)  # fails before any file is read
    opened.activity = vad
    if threshold is not None:
        opened.abstain_below = threshold


def _folder_error(name: str, skipped: SkippedFiles) -> PhonemoError | None:
    """The error of a folder without recordings, which says what it holds; None for a file."""
    if not os.path.isdir(name):
        return None
    others = skipped.describe(name)
    actual = f"a folder with {others}" if others else "a folder without files"
    message = f"{safe_name(name)}: {NO_RECORDINGS}, got {actual}"
    return AudioError("unsupported_audio", message)


def _write_result(write: Writer, name: str, result: Answer) -> bool:
    """Write one result; return whether it is a prediction that was written."""
    try:
        write(name, result)
    except PhonemoError as error:
        typer.echo(f"phonemo: {error}", err=True)
        return False
    return not isinstance(result, PhonemoError)


def _parse_phonemes(
    said: str | None, named: Sequence[object], model: Path | None, timeline: bool
) -> Sequence[str] | None:
    """Parse and check the phonemes of --said."""
    if said is None:
        return None
    from phonemo.runtime.bundle import is_bundle
    from phonemo.runtime.bundle import named as folder_of

    if len(named) != 1 or timeline:
        raise UsageError("--said: expected one recording and no --timeline; pass a single file")
    if model is not None and not is_bundle(folder_of(model)):
        raise UsageError(
            f"--said: expected a bundle, got {model}; run: phonemo export {model} -o bundle/"
        )
    return said.split()


def _load_turns(path: Path | None, timeline: bool) -> TurnFile | None:
    """Read the turns before any recording, so that an error is reported once."""
    if path is None:
        return None
    if timeline:
        raise UsageError("--turns cannot be combined with --timeline or --said; drop one")
    from phonemo.annotations.turns import open_turns

    return open_turns(path)


def _check_streams(named: Sequence[tuple[str, object]]) -> bool:
    """Check the standard streams; return whether standard output is a terminal.

    Raises:
        UsageError: a required stream is closed.
    """
    if sys.stdout is None:
        raise UsageError("standard output is closed; redirect it, e.g. > predictions.jsonl")
    if sys.stdin is None and any(name == STANDARD_INPUT for name, _ in named):
        raise UsageError("- (standard input) is closed; pass a file instead")
    return sys.stdout.isatty()
