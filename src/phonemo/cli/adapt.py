"""The command adapt, and the --profile and --adapt options of predict and batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated

import typer

from phonemo.cli import progress_bars
from phonemo.cli.options import (
    Activity,
    ChannelChoice,
    Device,
    Jobs,
    Model,
    Quiet,
    channels_of,
    check_writable,
)
from phonemo.errors import PhonemoError, UsageError
from phonemo.files import STANDARD_INPUT, SkippedFiles, find_recordings
from phonemo.loader import load_model

if TYPE_CHECKING:
    from phonemo.audio import Channels
    from phonemo.runtime.adaptation.pool import VectorPool
    from phonemo.runtime.recognizer import EmotionRecognizer

Named = Sequence[tuple[str, PurePath]]
Recordings = Annotated[
    list[str],
    typer.Argument(
        metavar="RECORDING",
        help="Unlabeled recordings from one source: a microphone, a call center, a person. A "
        "folder stands for all recordings in it.",
    ),
]
Output = Annotated[Path, typer.Option("--output", "-o", help="The profile to write (JSON).")]
ProfileFile = Annotated[
    Path | None,
    typer.Option("--profile", help="Apply a profile written by phonemo adapt."),
]
Adapt = Annotated[
    bool,
    typer.Option(
        "--adapt",
        help="Compute a profile from these recordings, then apply it (two passes). With --turns, "
        "each speaker with enough speech gets a separate profile.",
    ),
]


def adapt(
    recordings_: Recordings,
    output: Output,
    model: Model = None,
    vad: Activity = "energy",
    channels: ChannelChoice = "mix",
    device: Device = "cpu",
    jobs: Jobs = None,
    quiet: Quiet = False,
) -> None:
    """Compute a profile of a source from unlabeled recordings.

    The profile contains a count, means and deviations, but no audio and no name. A profile of one
    person is personal data. Recordings that are unusable or contain no speech are skipped and
    counted.
    """
    skipped = SkippedFiles()
    named = find_recordings(recordings_, skipped)
    chosen = channels_of(channels)
    refuse_standard_input(named)
    check_writable(output)
    opened = load_model(model, device=device)
    note_device(opened, device, quiet)
    opened.activity = vad
    pool = pooled(opened, named, jobs, quiet, _print_error, chosen)
    if not quiet:
        for line in (*skipped.notes(), *_skipped_lines(pool, len(named))):
            typer.echo(f"phonemo: {line}", err=True)
    profile = pool.profile()
    profile.save(output)
    typer.echo(
        f"{output}: profile {profile.hash} of {len(named) - pool.silent - pool.failed} recordings "
        f"({profile.count} vectors, {profile.seconds:.1f} s of speech)"
    )


def note_device(opened: EmotionRecognizer, device: str, quiet: bool) -> None:
    """Print the device that ``auto`` stands for, unless quiet."""
    if not quiet and device.strip().lower() == "auto":
        typer.echo(f"phonemo: device auto: {opened.device}", err=True)


def pooled(
    opened: EmotionRecognizer,
    named: Named,
    jobs: int | None,
    quiet: bool,
    failed: Callable[[PhonemoError], None] = lambda error: None,
    channels: Channels = "mix",
) -> VectorPool:
    """Pool the feature vectors of recordings, with a progress bar unless quiet.

    Args:
        opened: the model.
        named: the recordings.
        jobs: recordings processed in parallel.
        quiet: hide progress.
        failed: called with the error of each skipped recording.
        channels: the channels of each recording.

    Raises:
        ModelError: the model does not support profiles.
    """
    from phonemo.runtime.adaptation.pool import VectorPool

    pool = VectorPool(opened.adaptable())
    names = [name for name, _ in named]
    jobs = jobs if len(names) > 1 else 1  # a single recording uses all threads of the model
    running = opened.vectors(names, jobs=jobs, channels=channels)
    with progress_bars.progress_callback("profile", quiet or len(names) < 2) as progress:
        for count, vectors in enumerate(running, start=1):
            pool.take(vectors)
            if isinstance(vectors, PhonemoError):
                failed(vectors)
            progress(count, len(names))
    return pool


def applied(
    opened: EmotionRecognizer,
    named: Named,
    profile: Path | None,
    adapt: bool,
    jobs: int | None,
    quiet: bool,
    channels: Channels = "mix",
) -> EmotionRecognizer:
    """Apply the profile of --profile, or one computed from the recordings for --adapt.

    Skipped recordings are not reported here: each has an error or a warning in the predictions.

    Args:
        opened: the model.
        named: the recordings.
        profile: the --profile file.
        adapt: whether to pool these recordings first.
        jobs: recordings processed in parallel.
        quiet: hide progress.
        channels: the channels of each recording.

    Raises:
        UsageError: the profile cannot be used, or no recording contains speech.
        ModelError: the model does not support profiles.
    """
    if profile is not None:
        opened = opened.with_profile(profile)
    if not adapt:
        return opened
    pool = pooled(opened, named, jobs, quiet, channels=channels)
    return opened.with_profile(pool.profile())


def check_options(named: Named, profile: Path | None, adapt: bool, turns: bool) -> None:
    """Raise UsageError if --profile and --adapt conflict, or if the input cannot be read twice."""
    if adapt:
        refuse_standard_input(named)
    if adapt and profile is not None and not turns:
        raise UsageError(
            "expected --profile or --adapt, got both; drop one, or add --turns to adapt to the "
            "speakers within the profile's source"
        )


def refuse_standard_input(named: Named) -> None:
    """Raise UsageError if standard input (-) is among the recordings."""
    if any(name == STANDARD_INPUT for name, _ in named):
        raise UsageError(
            "- (standard input) can be read only once; save it to a file and pass the file"
        )


def _print_error(error: PhonemoError) -> None:
    typer.echo(f"phonemo: {error}", err=True)


def _skipped_lines(pool: VectorPool, total: int) -> Iterator[str]:
    if pool.silent:
        yield f"{pool.silent} of {total} recordings contain no speech and were skipped"
    if pool.failed:
        yield f"{pool.failed} of {total} recordings are unusable and were skipped"
