"""The commands for data of one's own: init-corpus, finetune and page."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phonemo.cli import console
from phonemo.cli.options import Quiet, check_writable, typed
from phonemo.errors import UsageError
from phonemo.loader import needs_torch

if TYPE_CHECKING:
    from phonemo.corpora.prepare import Prepared
    from phonemo.train.experiments.profiles import OwnProfiles

#: By whose profile is applied, in words.
_PROFILES = {"none": "without", "fold": "of all tested recordings", "speaker": "of each speaker"}


class Strategy(StrEnum):
    """What learns."""

    logistic = "logistic"
    top_k = "top_k"


def init_corpus(
    folder: Annotated[Path, typer.Argument(help="Recordings, in a folder for each emotion.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Default: FOLDER/manifest.jsonl."),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(help="A table in FOLDER with columns file and emotion, instead of names."),
    ] = None,
    speaker: Annotated[
        str | None, typer.Option(help="Who speaks, in a file's name: '{speaker}_*'.")
    ] = None,
    emotion_level: Annotated[
        int | None, typer.Option(help="Which level of folders names the emotion; 1 is outermost.")
    ] = None,
    language: Annotated[str | None, typer.Option(help="ISO 639-1 code, as en.")] = None,
    quiet: Quiet = False,
) -> None:
    """Make a manifest of your own recordings.

    Emotions and speakers are in the names of folders, or in a table. What cannot be used is left
    out and told.
    """
    output = output or folder / "manifest.jsonl"
    check_writable(output)
    if csv is not None and (speaker or emotion_level or language):
        raise UsageError("--csv has columns for speaker, emotion and language; leave the options")
    with console.counter("reading", quiet) as progress:
        made = _made(folder, output, csv, speaker, emotion_level, language, progress)
    for line in console.prepared_lines(made):
        typer.echo(line)
    for line in _advice(made):
        typer.echo(line)


def finetune(
    manifest: Annotated[Path, typer.Argument(help="As init-corpus or prepare wrote it.")],
    start: Annotated[
        str,
        typer.Option("--from", help="phonemo-small, phonemo-open, a model folder, or a backbone."),
    ] = "phonemo-small",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The run folder; default: runs/NAME.")
    ] = None,
    strategy: Annotated[
        Strategy,
        typer.Option(help="logistic: a head on the network as it is; top_k: its top learns too."),
    ] = Strategy.logistic,
    threads: Annotated[int, typer.Option(min=1, help="Of the processor.")] = 2,
    audio: Annotated[
        bool, typer.Option(help="Let the page hold the voices of the hardest clips.")
    ] = True,
    quiet: Quiet = False,
) -> None:
    """Fine-tune a model to your manifest, with a report.

    Every fold first, which says how good it is on people it has not heard; then a model that
    has heard all. Run it again to go on where it stopped.
    """
    needs_torch("fine-tuning")
    from phonemo.evaluation.html.report import write_page
    from phonemo.evaluation.report import summary_lines
    from phonemo.train.experiments.finetune import finetune as learn
    from phonemo.train.experiments.finetune import plan

    made = plan(manifest, output or _home(manifest), start, strategy.value, threads)
    for note in made.notes:
        typer.echo(f"phonemo: {note}", err=True)
    with console.run_progress(quiet) as progress:
        found = learn(made.config, typed(), progress)
    page = write_page(made.config.output, audio=audio)
    for line in (*summary_lines(found.metrics), *_profile_lines(found.profiles)):
        typer.echo(line)
    typer.echo(f"  report: {page}")
    typer.echo(f"  model: {found.bundle or found.model}")
    typer.echo(f"  next: phonemo predict my.wav --model {found.bundle or found.model}")


def page(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: report.html in the run.")
    ] = None,
    audio: Annotated[bool, typer.Option(help="Hold the voices of the hardest clips.")] = True,
) -> None:
    """Write a run's results as one page of HTML."""
    from phonemo.evaluation.html.report import write_page

    if output is not None:
        check_writable(output)
    typer.echo(str(write_page(run, output, audio)))


def _home(manifest: Path) -> Path:
    """Named after the manifest, or after its folder where it has the usual name."""
    named = manifest.stem if manifest.stem != "manifest" else manifest.absolute().parent.name
    kept = "".join(
        one if one.isascii() and (one.isalnum() or one in "._-") else "-" for one in named
    )
    return Path("runs") / (kept.strip("-._") or "mine")


def _made(
    folder: Path,
    output: Path,
    csv: Path | None,
    speaker: str | None,
    level: int | None,
    language: str | None,
    progress: object,
) -> Prepared:
    from phonemo.corpora.prepare import prepare, prepare_reading
    from phonemo.corpora.readers.folders import CARD, read_folders

    told = progress if callable(progress) else None
    if csv is not None:
        return prepare("csv", csv, output, allow_partial=True, progress=told)
    root = folder.resolve()
    reading, _ = read_folders(root, emotion_level=level, speaker=speaker, language=language)
    return prepare_reading(CARD, reading, root, output, allow_partial=True, progress=told)


def _profile_lines(found: OwnProfiles) -> list[str]:
    """How far the heads were drawn towards the start's, and what profiles add."""
    lines = []
    done = found.prior.get("model")
    if done is not None:
        strength = (
            "endless, its head as it is" if done["strength"] is None else f"{done['strength']:g}"
        )
        how = f"picked by {done['picked_by']} speakers left out" if done["picked_by"] else "set"
        fresh = f"; learnt anew: {', '.join(done['fresh'])}" if done["fresh"] else ""
        lines = [
            f"  prior: the start's head for {', '.join(done['shared'])}{fresh}; strength "
            f"{strength}, {how}; standardised by {done['standardised_by']}"
        ]
    told = [f"{_PROFILES[name]} {100 * one.ua:.1f} %" for name, one in found.scores.items()]
    return [*lines, f"  UA with unlabelled profiles: {', '.join(told)}"] if told else lines


def _advice(made: Prepared) -> list[str]:
    """What stands in the way of a number that means something, and what to type next."""
    known = [name for name in made.speakers if name != "(none)"]
    lines = []
    if "(none)" in made.speakers or len(known) < 3:
        lines.append(
            f"  warning: {len(known)} known speakers: no score will be of unseen people; put each "
            "speaker into a folder, or say --speaker '{speaker}_*'"
        )
    few = [name for name, count in made.emotions.items() if name != "(none)" and count < 6]
    if few:
        lines.append(f"  warning: fewer than 6 utterances, left out by finetune: {', '.join(few)}")
    return [*lines, f"  next: phonemo finetune {made.output}"]
