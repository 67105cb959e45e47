"""The command batch: options, progress (count, throughput, time left) and summary."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phonemo.cli import progress_bars
from phonemo.cli.adapt import ProfileFile
from phonemo.cli.options import (
    Activity,
    Address,
    ChannelChoice,
    Device,
    Engine,
    EngineName,
    Model,
    Quiet,
    channels_of,
    check_address,
    command_line,
)
from phonemo.cli.predict import (
    Decoding,
    Edges,
    InTime,
    Labels,
    Phonemes,
    Threshold,
    TopK,
    names_of,
)
from phonemo.errors import UsageError

if TYPE_CHECKING:
    from phonemo.batch.job import Totals
    from phonemo.batch.run import BatchProgress


class PartFormat(StrEnum):
    """Format of the output parts."""

    jsonl = "jsonl"
    parquet = "parquet"


Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        help="A folder, a pattern ('calls/**/*.wav'), a table (.csv, .tsv, .json, .jsonl or "
        ".parquet with a 'file' column; other columns are carried into the rows), a list (.txt, "
        "or - for standard input), a recording, or an address such as s3://bucket/folder.",
    ),
]
Output = Annotated[
    str,
    typer.Option("--output", "-o", help="Output folder or address; run again to resume."),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", "-j", min=1, help="Processes. Default: one per CPU; one on a card."),
]
Kind = Annotated[
    PartFormat,
    typer.Option("--format", help="Output format; parquet needs pip install 'phonemo[parquet]'."),
]
PartFiles = Annotated[
    int,
    typer.Option(
        min=1,
        help="Recordings per part, the most that a killed worker loses. Use few for recordings "
        "that last hours.",
    ),
]
Adapt = Annotated[
    bool,
    typer.Option(
        "--adapt",
        help="Compute a profile from a sample of the recordings and apply it to all of them. The "
        "recordings should come from one source. The profile is kept in OUTPUT.",
    ),
]
Sample = Annotated[
    int | None,
    typer.Option(
        "--adapt-sample", min=1, help="Size of that sample. Default: 300; more adds little."
    ),
]
Retry = Annotated[bool, typer.Option("--retry", help="Process parts with errors again.")]


def batch(
    inputs: Inputs,
    output: Output,
    engine: Engine = EngineName.local,
    workers: Workers = None,
    address: Address = None,
    format: Kind = PartFormat.jsonl,
    part_files: PartFiles = 100,
    retry: Retry = False,
    model: Model = None,
    phonemes: Phonemes = False,
    decoding: Decoding = None,
    edges: Edges = None,
    timeline: InTime = False,
    labels: Labels = None,
    top_k: TopK = None,
    threshold: Threshold = None,
    vad: Activity = "energy",
    channels: ChannelChoice = "mix",
    profile: ProfileFile = None,
    adapt: Adapt = False,
    adapt_sample: Sample = None,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Recognize emotion in very many recordings.

    Runs on one machine or on a cluster; run the same command again to resume. Every recording gets
    one row in OUTPUT/parts with its prediction or its error, with --channels split one for each
    channel. Exit status 0: all recordings
    succeeded; 1: some failed, each with an error in its row; 2: wrong usage.
    """
    check_address(engine, address)
    if adapt_sample is not None and not adapt:
        raise UsageError("--adapt-sample requires --adapt; add --adapt")
    from phonemo.batch import job
    from phonemo.batch.adaptation import SAMPLE
    from phonemo.batch.run import Batch, run_batch
    from phonemo.loader import model_digest, resolve_model
    from phonemo.runtime.adaptation.profile import Profile
    from phonemo.runtime.device import parse_device
    from phonemo.runtime.phonemes.decoder import DEFAULT_EDGES

    model = resolve_model(model)
    options = job.BatchOptions(
        model=None if model is None else os.path.abspath(model),
        model_sha256=model_digest(model),
        labels=tuple(names_of(labels)),
        top_k=top_k,
        phonemes=phonemes,
        decoding=decoding,
        edges=None if edges == DEFAULT_EDGES else edges,
        timeline=timeline,
        device=parse_device(device),
        activity=vad,
        channels=channels_of(channels),
        threshold=threshold,
        format=format.value,
        adapt=(adapt_sample or SAMPLE) if adapt else None,
    )
    request = Batch(
        output,
        options,
        job.ExecutorOptions(engine.value, workers, address),
        part_files,
        retry,
        None if profile is None else Profile.load(profile),
    )
    with progress(quiet) as reporter:
        _print_summary(run_batch(inputs, request, command_line(), reporter), output)


def _print_summary(summary: Mapping[str, Any], output: str) -> None:
    for line in lines(summary, output):
        typer.echo(line)
    if summary["files"]["failed"]:
        raise typer.Exit(1)


#: Window over which the rate is averaged.
_WINDOW_SECONDS = 60.0
#: Interval between log lines when standard error is not a terminal.
LINE_SECONDS = 30.0
_MAX_KINDS = 4


class Throughput:
    """Recent throughput, from a running count of finished items.

    Args:
        clock: returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()

    def update(self, count: int) -> None:
        """Record the number of items finished."""
        now = self._clock()
        if self._seen:  # the count drops when a lost worker's items are repeated
            count = max(count, self._seen[-1][1])
        self._seen.append((now, count))
        while len(self._seen) > 2 and now - self._seen[1][0] >= _WINDOW_SECONDS:
            self._seen.popleft()

    @property
    def per_second(self) -> float:
        """Items per second in the recent window; 0 while unknown."""
        if len(self._seen) < 2:
            return 0.0
        (began, first), (now, last) = self._seen[0], self._seen[-1]
        return (last - first) / (now - began) if now > began else 0.0

    def left(self, total: int) -> float | None:
        """Estimate the seconds until total items are finished; None while unknown."""
        rate = self.per_second
        return (total - self._seen[-1][1]) / rate if rate > 0 else None


@contextmanager
def progress(quiet: bool) -> Iterator[BatchProgress]:
    """A progress bar on a terminal, periodic lines in a log; neither when quiet."""
    from phonemo.batch.run import BatchProgress

    began, pace = time.monotonic(), Throughput()
    line = began

    class BatchProgressBar(BatchProgress):
        def listing(self, count: int) -> None:
            bars.update(task, description="listing", completed=count, total=None)

        def note(self, text: str) -> None:
            bars.console.print(f"phonemo: {text}", highlight=False, markup=False, soft_wrap=True)

        def sampled(self, done: int, total: int) -> None:
            bars.update(task, description="profile", completed=done, total=total)
            logged(f"{done} of {total} recordings for the profile")

        def begin(self, done: int, total: int) -> None:
            nonlocal began
            began = time.monotonic()
            pace.update(done)
            bars.update(task, description="recognizing", completed=done, total=total)
            if done and not quiet:
                bars.console.print(f"{done} of {total} were recognized before", highlight=False)

        def advance(self, done: int, total: int, totals: Totals) -> None:
            pace.update(done)
            note = _progress_note(pace, total, totals, time.monotonic() - began)
            bars.update(task, completed=done, note=note)
            logged(f"{done} of {total} recordings; {note}")

    def logged(text: str) -> None:
        nonlocal line
        if logs and time.monotonic() - line >= LINE_SECONDS:
            line = time.monotonic()
            print(f"phonemo: {text}", file=sys.stderr, flush=True)

    with progress_bars.bars(quiet, left=False) as bars:
        logs = not quiet and not bars.console.is_terminal
        task = bars.add_task("listing", total=None, note="")
        yield BatchProgressBar()


def lines(summary: Mapping[str, Any], output: str) -> Iterator[str]:
    """The summary that a batch prints at its end."""
    from phonemo.errors import safe_name

    files, now = summary["files"], summary["now"]
    before = files["planned"] - now["files"]
    earlier = f" ({before} in earlier runs)" if before else ""
    total = f"{files['planned']} recordings{earlier}"
    yield f"{safe_name(output)}: {total}, {summary['audio_hours']:.2f} h"
    if summary["labels"]:
        yield f"  {_format_counts(summary['labels'])}"
    if "profile" in summary:
        yield f"  {_profile_line(summary['profile'])}"
    if files["failed"]:
        errors = _format_counts(summary["errors"])
        yield f"  failed: {files['failed']} ({errors}); details in their rows"
    if files["named_again"]:
        yield f"  named more than once: {files['named_again']}; each is recognized once"
    if files["named_no_more"]:
        yield f"  no longer named: {files['named_no_more']}; their rows are kept"


def _profile_line(profile: Mapping[str, Any]) -> str:
    """The profile of every row, and the sample it was computed from."""
    if "recordings" not in profile:
        return f"profile {profile['hash']} ({profile['count']} vectors)"
    counts = {"without speech": profile["silent"], "unusable": profile["failed"]}
    skipped = " and ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    suffix = f"; skipped: {skipped}" if skipped else ""
    sample = f"{profile['recordings']} recordings ({profile['count']} vectors){suffix}"
    return f"profile {profile['hash']} of {sample}"


def _progress_note(pace: Throughput, total: int, totals: Totals, seconds: float) -> str:
    parts = [f"{pace.per_second:.1f} a second"]
    if totals.audio_seconds and seconds > 0:
        parts.append(f"{totals.audio_seconds / seconds:.0f} x real time")
    if (left := pace.left(total)) is not None:
        parts.append(f"{_clock(left)} left")
    if totals.failed:
        parts.append(f"{totals.failed} failed")
    return ", ".join(parts)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


def _format_counts(counts: Mapping[str, int]) -> str:
    first = [f"{name} {count}" for name, count in list(counts.items())[:_MAX_KINDS]]
    more = len(counts) - len(first)
    return ", ".join([*first, *([f"{more} more kinds"] if more > 0 else [])])
