"""Progress bars on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import TaskID

    from phonemo.train.callbacks import RunProgress

ProgressFn = Callable[[int, int], None]


@contextmanager
def progress_callback(what: str, quiet: bool) -> Iterator[ProgressFn]:
    """A progress bar fed with (done, total); hidden when quiet or without a terminal."""
    if quiet:
        yield lambda done, total: None  # without importing rich, an eighth of a cold start
        return
    with bars(quiet) as display:
        task = display.add_task(what, total=None, note="")

        def update(done: int, total: int) -> None:
            display.update(task, completed=done, total=total)

        yield update


@contextmanager
def run_progress(quiet: bool) -> Iterator[RunProgress]:
    """Progress bars for a run's features, folds and steps, and a line per finished fold."""
    from phonemo.train.callbacks import RunProgress

    class ConsoleProgress(RunProgress):
        def recordings(self, done: int, total: int) -> None:
            display.update(copy_task, completed=done, total=total, visible=done < total)

        def features(self, done: int, total: int) -> None:
            display.update(feature_task, completed=done, total=total, visible=True)

        def cell(self, number: int, total: int, name: str) -> None:
            display.update(cell_task, completed=number - 1, total=total, visible=True)
            display.update(step_task, description=name, completed=0, total=None, visible=True)

        def step(self, done: int, total: int, scores: Mapping[str, float]) -> None:
            display.update(step_task, completed=done, total=total, note=_score_note(scores))

        def scores(self, metrics: Mapping[str, Any]) -> None:
            display.advance(cell_task)
            if not quiet:
                display.console.print(
                    _cell_line(metrics), highlight=False, markup=False, soft_wrap=True
                )

    with bars(quiet) as display:
        copy_task = display.add_task("comparing recordings", total=None, visible=False, note="")
        feature_task = display.add_task("frozen layers", total=None, visible=False, note="")
        cell_task = display.add_task("folds x seeds", total=None, visible=False, note="")
        step_task = display.add_task("", total=None, visible=False, note="")
        yield ConsoleProgress()


@contextmanager
def task_progress(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar for each named task of a study, which is shown until it is done."""
    with bars(quiet) as display:
        tasks: dict[str, TaskID] = {}

        def show(task: str, done: int, total: int) -> None:
            if task not in tasks:
                tasks[task] = display.add_task(task, total=None, note="")
            display.update(tasks[task], completed=done, total=total, visible=done < total)

        yield show


def _score_note(scores: Mapping[str, float]) -> str:
    if "ua" in scores:
        return f"validation UA {scores['ua']:.1%}"
    if "ccc" in scores:
        return f"validation CCC {scores['ccc']:.3f}"
    return f"held-out error {scores['loss']:.3f}" if "loss" in scores else ""


@contextmanager
def bars(quiet: bool, left: bool = True) -> Iterator[Any]:
    """Progress bars on standard error; hidden when quiet or without a terminal.

    Args:
        quiet: show nothing.
        left: show the time left; without it, the caller puts it into ``note``.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        *((TimeRemainingColumn(),) if left else ()),
        TextColumn("{task.fields[note]}", markup=False),
    )
    hidden = quiet or not console.is_terminal
    with Progress(*columns, console=console, disable=hidden, transient=True) as progress:
        yield progress


def _cell_line(metrics: Mapping[str, Any]) -> str:
    results = metrics["results"]
    scores = [
        f"{name.upper()} {results[name]['mean']:.1%}" for name in ("ua", "wa") if results[name]
    ]
    rated = results.get("dimensions")
    if rated is not None and rated["mean_ccc"] is not None:
        scores.append(f"mean CCC {rated['mean_ccc']['mean']:.3f}")
    return (
        f"{metrics['fold']} seed {metrics['seed']}: {', '.join(scores) or 'no score'} on "
        f"{metrics['sizes']['test']} utterances "
        f"(epochs: {metrics['epochs']:.0f}{_best_note(metrics['best_validation'])})"
    )


def _best_note(score: float | None) -> str:
    return "" if score is None else f", best validation {score:.3f}"
