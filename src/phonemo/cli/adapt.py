"""Adaptation on the command line: the command adapt, and predict's --profile and --adapt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated

import typer

from phonemo.cli import console
from phonemo.cli.options import Activity, Jobs, Model, Quiet, check_writable
from phonemo.errors import PhonemoError, UsageError
from phonemo.files import STANDARD_INPUT, find_recordings
from phonemo.loader import load_model

if TYPE_CHECKING:
    from phonemo.runtime.adaptation.pool import VectorPool
    from phonemo.runtime.recognizer import EmotionRecognizer

Named = Sequence[tuple[str, PurePath]]
Recordings = Annotated[
    list[str],
    typer.Argument(
        metavar="RECORDING",
        help="Unlabelled recordings of one source: a microphone, a call centre, a person. A "
        "folder stands for all in it.",
    ),
]
Output = Annotated[Path, typer.Option("--output", "-o", help="The profile to write, a JSON file.")]
ProfileFile = Annotated[
    Path | None,
    typer.Option("--profile", help="Apply a profile that phonemo adapt wrote."),
]
Adapt = Annotated[
    bool,
    typer.Option(
        "--adapt",
        help="First make a profile of these recordings, then apply it: two passes. With --turns, "
        "each speaker with enough speech is adapted alone.",
    ),
]


def adapt(
    recordings_: Recordings,
    output: Output,
    model: Model = None,
    vad: Activity = "energy",
    jobs: Jobs = None,
    quiet: Quiet = False,
) -> None:
    """Write a source's profile from unlabelled recordings.

    It holds a count, means and deviations: no audio and no name. One of a person is personal data.
    Recordings that cannot be used or hold no speech are left out and counted.
    """
    named = find_recordings(recordings_)
    refuse_standard_input(named)
    check_writable(output)
    opened = load_model(model)
    opened.activity = vad
    pool = pooled(opened, named, jobs, quiet, _print_result)
    if not quiet:
        for line in _left_out(pool, len(named)):
            typer.echo(f"phonemo: {line}", err=True)
    profile = pool.profile()
    profile.save(output)
    typer.echo(
        f"{output}: profile {profile.hash} of {len(named) - pool.silent - pool.failed} recordings "
        f"({profile.count} vectors, {profile.seconds:.1f} s of speech)"
    )


def pooled(
    opened: EmotionRecognizer,
    named: Named,
    jobs: int | None,
    quiet: bool,
    failed: Callable[[PhonemoError], None] = lambda error: None,
) -> VectorPool:
    """The pool of recordings, with a progress bar unless quiet.

    Args:
        opened: the model.
        named: the recordings.
        jobs: recordings at once.
        quiet: no progress.
        failed: is given each error of a recording that is left out.

    Raises:
        ModelError: the model takes no profile.
    """
    from phonemo.runtime.adaptation.pool import VectorPool

    pool = VectorPool(opened.adaptable())
    names = [name for name, _ in named]
    jobs = jobs if len(names) > 1 else 1  # a lone one by all threads, as it was opened
    with console.progress_callback("profile", quiet or len(names) < 2) as progress:
        for count, found in enumerate(opened.vectors(names, jobs=jobs), start=1):
            pool.take(found)
            if isinstance(found, PhonemoError):
                failed(found)
            progress(count, len(names))
    return pool


def applied(
    opened: EmotionRecognizer,
    named: Named,
    profile: Path | None,
    adapt: bool,
    jobs: int | None,
    quiet: bool,
) -> EmotionRecognizer:
    """The model with the profile of --profile, or of the recordings themselves for --adapt.

    Nothing is said of recordings that are left out: each has an error or a warning of its own in
    the predictions that follow.

    Args:
        opened: the model.
        named: the recordings.
        profile: the file of --profile.
        adapt: whether these recordings are pooled first.
        jobs: recordings at once.
        quiet: no progress.

    Raises:
        UsageError: the profile cannot be used, or no recording holds speech.
        ModelError: the model takes no profile.
    """
    if profile is not None:
        opened = opened.with_profile(profile)
    if not adapt:
        return opened
    return opened.with_profile(pooled(opened, named, jobs, quiet).profile())


def check_options(named: Named, profile: Path | None, adapt: bool, turns: bool) -> None:
    """Raise UsageError where --profile and --adapt make no sense together or for the input."""
    if adapt:
        refuse_standard_input(named)
    if adapt and profile is not None and not turns:
        raise UsageError(
            "--profile and --adapt: the recordings are adapted by one of them; leave one out, or "
            "give --turns, for speakers within the profile's source"
        )


def refuse_standard_input(named: Named) -> None:
    """Raise UsageError for - among the recordings."""
    if any(name == STANDARD_INPUT for name, _ in named):
        raise UsageError(
            "- is standard input, which can be read once only; save it and name the file"
        )


def _print_result(error: PhonemoError) -> None:
    typer.echo(f"phonemo: {error}", err=True)


def _left_out(pool: VectorPool, total: int) -> Iterator[str]:
    if pool.silent:
        yield f"{pool.silent} of {total} recordings hold no speech and are left out"
    if pool.failed:
        yield f"{pool.failed} of {total} recordings cannot be used and are left out"
