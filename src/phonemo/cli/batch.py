"""The command for very many recordings: batch.

What a batch shows: how far it is, how quickly it goes and when it will be over.
"""

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

from phonemo.cli import console
from phonemo.cli.adapt import ProfileFile
from phonemo.cli.options import (
    Activity,
    Address,
    Engine,
    EngineName,
    Model,
    Quiet,
    check_address,
    command_line,
)
from phonemo.cli.predict import InTime, Labels, Phonemes, Threshold, TopK, names_of
from phonemo.errors import UsageError

if TYPE_CHECKING:
    from phonemo.batch.job import Totals
    from phonemo.batch.run import BatchProgress


class PartFormat(StrEnum):
    """Of the files with the answers."""

    jsonl = "jsonl"
    parquet = "parquet"


Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        help="A folder, a pattern ('calls/**/*.wav'), a manifest (.jsonl, .csv, .parquet with a "
        "column file), a list (.txt, or - for standard input) or a recording; an address such as "
        "s3://bucket/folder too.",
    ),
]
Output = Annotated[
    str,
    typer.Option("--output", "-o", help="The batch's folder, or an address; run again to go on."),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", "-j", min=1, help="Recordings at once; default: one a processor."),
]
Kind = Annotated[
    PartFormat,
    typer.Option("--format", help="Of the answers; parquet needs pip install 'phonemo[parquet]'."),
]
PartFiles = Annotated[
    int,
    typer.Option(
        min=1, help="Recordings in a part: what a killed worker loses at most. Hours long: few."
    ),
]
Adapt = Annotated[
    bool,
    typer.Option(
        "--adapt",
        help="First make a profile of a sample of the recordings, then apply it to all; it stays "
        "in OUTPUT. They should be of one source.",
    ),
]
Sample = Annotated[
    int | None,
    typer.Option(
        "--adapt-sample", min=1, help="Recordings of that sample. Default: 300; more gain little."
    ),
]
Retry = Annotated[bool, typer.Option("--retry", help="Hear parts with errors again.")]


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
    timeline: InTime = False,
    labels: Labels = None,
    top_k: TopK = None,
    threshold: Threshold = None,
    vad: Activity = "energy",
    profile: ProfileFile = None,
    adapt: Adapt = False,
    adapt_sample: Sample = None,
    quiet: Quiet = False,
) -> None:
    """Recognize very many recordings, resumable.

    On this machine or on many. Run the same command again to go on where it stopped. Every
    recording has one row in OUTPUT/parts: its answer, or its error. Exit status 0: all answered;
    1: some failed, each with an error in its row; 2: wrong usage.
    """
    check_address(engine, address)
    if adapt_sample is not None and not adapt:
        raise UsageError("--adapt-sample is of --adapt; give --adapt with it")
    from phonemo.batch import job as asking
    from phonemo.batch.adaptation import SAMPLE
    from phonemo.batch.run import Batch, run_batch
    from phonemo.loader import model_digest, resolve_model
    from phonemo.runtime.adaptation.profile import Profile

    model = resolve_model(model)
    asked = asking.BatchOptions(
        model=None if model is None else os.path.abspath(model),
        model_sha256=model_digest(model),
        labels=tuple(names_of(labels)),
        top_k=top_k,
        phonemes=phonemes,
        timeline=timeline,
        activity=vad,
        threshold=threshold,
        format=format.value,
        adapt=(adapt_sample or SAMPLE) if adapt else None,
    )
    wanted = Batch(
        output,
        asked,
        asking.ExecutorOptions(engine.value, workers or _processors(engine), address),
        part_files,
        retry,
        None if profile is None else Profile.load(profile),
    )
    with progress(quiet) as shown:
        _print_summary(run_batch(inputs, wanted, command_line(), shown), output)


def _print_summary(summary: Mapping[str, Any], output: str) -> None:
    for line in lines(summary, output):
        typer.echo(line)
    if summary["files"]["failed"]:
        raise typer.Exit(1)


def _processors(engine: EngineName) -> int | None:
    """Ray knows those of its cluster."""
    from phonemo.runtime.workers import available_cpus

    return available_cpus() if engine is EngineName.local else None


#: The rate is that of the last so many seconds.
_WINDOW_SECONDS = 60.0
#: Where nobody looks, a line is written so often, for the log of a long job.
LINE_SECONDS = 30.0
_SHOWN = 4


class Throughput:
    """How quickly something goes, from its counts.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()

    def update(self, count: int) -> None:
        """So many are done now."""
        now = self._clock()
        if self._seen:  # what a lost worker had done is done again
            count = max(count, self._seen[-1][1])
        self._seen.append((now, count))
        while len(self._seen) > 2 and now - self._seen[1][0] >= _WINDOW_SECONDS:
            self._seen.popleft()

    @property
    def per_second(self) -> float:
        """Of late; 0 while nothing is known."""
        if len(self._seen) < 2:
            return 0.0
        (began, first), (now, last) = self._seen[0], self._seen[-1]
        return (last - first) / (now - began) if now > began else 0.0

    def left(self, total: int) -> float | None:
        """Seconds until all are done; None while nothing is known."""
        rate = self.per_second
        return (total - self._seen[-1][1]) / rate if rate > 0 else None


@contextmanager
def progress(quiet: bool) -> Iterator[BatchProgress]:
    """A bar for a person, a line now and then for a log; neither when quiet."""
    from phonemo.batch.run import BatchProgress

    began, pace = time.monotonic(), Throughput()
    line = began

    class BatchProgressBar(BatchProgress):
        def listing(self, found: int) -> None:
            bars.update(task, description="listing", completed=found, total=None)

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
            note = _note(pace, total, totals, time.monotonic() - began)
            bars.update(task, completed=done, note=note)
            logged(f"{done} of {total} recordings; {note}")

    def logged(text: str) -> None:
        nonlocal line
        if logs and time.monotonic() - line >= LINE_SECONDS:
            line = time.monotonic()
            print(f"phonemo: {text}", file=sys.stderr, flush=True)

    with console.bars(quiet, left=False) as bars:
        logs = not quiet and not bars.console.is_terminal
        task = bars.add_task("listing", total=None, note="")
        yield BatchProgressBar()


def lines(found: Mapping[str, Any], output: str) -> Iterator[str]:
    """What a batch prints at its end."""
    from phonemo.errors import safe_name

    files, now = found["files"], found["now"]
    before = files["planned"] - now["files"]
    again = f" ({before} in earlier runs)" if before else ""
    yield f"{safe_name(output)}: {files['planned']} recordings{again}, {found['audio_hours']:.2f} h"
    if found["labels"]:
        yield f"  {_counted(found['labels'])}"
    if "profile" in found:
        yield f"  {_profile(found['profile'])}"
    if files["failed"]:
        yield f"  failed: {files['failed']} ({_counted(found['errors'])}); their rows say why"
    if files["named_again"]:
        yield f"  named more than once: {files['named_again']}; each is recognized once"
    if files["named_no_more"]:
        yield f"  named no more: {files['named_no_more']}; their rows stay"


def _profile(one: Mapping[str, Any]) -> str:
    """Which profile every row was made with, and of what a first pass made it."""
    if "recordings" not in one:
        return f"profile {one['hash']} ({one['count']} vectors)"
    lost = {"without speech": one["silent"], "that cannot be used": one["failed"]}
    left = " and ".join(f"{count} {kind}" for kind, count in lost.items() if count)
    out = f"; {left} are left out" if left else ""
    return f"profile {one['hash']} of {one['recordings']} recordings ({one['count']} vectors){out}"


def _note(pace: Throughput, total: int, totals: Totals, seconds: float) -> str:
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


def _counted(counts: Mapping[str, int]) -> str:
    first = [f"{name} {count}" for name, count in list(counts.items())[:_SHOWN]]
    more = len(counts) - len(first)
    return ", ".join([*first, *([f"{more} more kinds"] if more > 0 else [])])
