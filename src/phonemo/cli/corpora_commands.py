"""Corpora on the command line: corpora, prepare, merge, inspect, init-corpus."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phonemo.cli.options import Quiet, check_writable, protocol_of
from phonemo.errors import UsageError

if TYPE_CHECKING:
    from phonemo.corpora.prepare import Prepared
from phonemo.cli import console


def corpora() -> None:
    """List the corpora that can be prepared."""
    from phonemo.corpora import CORPORA

    for name, corpus in CORPORA.items():
        card = corpus.card
        counts = f"{card.utterances} utterances" if card.utterances else "any number"
        typer.echo(f"{name:<16}{card.title} ({card.language or 'any language'}; {counts})")
        typer.echo(f"{'':<16}licence: {card.licence}")


def prepare(
    corpus: Annotated[str, typer.Argument(help="A name that `phonemo corpora` lists.")],
    root: Annotated[Path, typer.Argument(help="The release's folder; for csv, the table.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The manifest to write.")],
    allow_partial: Annotated[
        bool,
        typer.Option(
            "--allow-partial", help="Accept a part of the release; the manifest will say so."
        ),
    ] = False,
    g2p: Annotated[bool, typer.Option(help="Turn transcripts into phonemes.")] = True,
    quiet: Quiet = False,
) -> None:
    """Read a corpus into a manifest: one JSON row an utterance."""
    from phonemo.corpora.prepare import prepare as prepare_corpus

    check_writable(output)
    with console.progress_callback("reading", quiet) as progress:
        made = prepare_corpus(
            corpus, root, output, allow_partial=allow_partial, g2p=g2p, progress=progress
        )
    for line in console.prepared_lines(made):
        typer.echo(line)


def merge(
    manifests: Annotated[list[Path], typer.Argument(help="Manifests of different corpora.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The manifest to write.")],
) -> None:
    """Write several manifests as one.

    Ids and speakers are named with their corpus.
    """
    from phonemo.corpora.merge import merge_streams

    check_writable(output)
    merged = merge_streams(manifests, output)
    spoken = Counter(one.speaker for one in merged)
    counts = f"{spoken.total()} utterances, {len(set(spoken) - {None})} speakers"
    typer.echo(f"{output}: {counts} of {merged.header.corpus}")


def inspect(
    manifest: Annotated[Path, typer.Argument(help="A manifest.")],
    protocol: Annotated[
        str,
        typer.Option(
            help="speaker, session, sentence, speaker-sentence, published, published-leaky or "
            "random-leaky."
        ),
    ] = "speaker",
    folds: Annotated[int | None, typer.Option(help="Group the units into so many folds.")] = None,
    folder: Annotated[
        str | None, typer.Option(help="Folder of published fold files, for the published ones.")
    ] = None,
    validation_units: Annotated[int, typer.Option(help="Units in the validation part.")] = 1,
    drop_near_duplicates: Annotated[
        float | None,
        typer.Option(help="Drop from train what is this near to a test text (0 to 1, Jaccard)."),
    ] = None,
) -> None:
    """Show what train and test share; a speaker leak is an error."""
    from phonemo.corpora import leakage
    from phonemo.corpora.manifest import read_manifest
    from phonemo.corpora.splits import make_split

    settings = protocol_of(
        name=protocol,
        folds=folds,
        folder=folder,
        validation_units=validation_units,
        drop_near_duplicates=drop_near_duplicates,
    )
    everything = read_manifest(manifest).utterances
    rows = [one for one in everything if one.emotion]
    if protocol.startswith("published") or not rows:  # published files name every utterance
        rows = list(everything)
    if len(rows) < len(everything):
        left_out = f"{len(everything) - len(rows)} of {len(everything)} utterances"
        typer.echo(f"phonemo: {left_out} have no emotion and are left out", err=True)
    split = make_split(rows, settings)
    report = leakage.measure_leakage(rows, split)
    for line in leakage.lines(report):
        typer.echo(line)
    leakage.assert_no_leakage(report, settings)


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
    with console.progress_callback("reading", quiet) as progress:
        made = _made(folder, output, csv, speaker, emotion_level, language, progress)
    for line in console.prepared_lines(made):
        typer.echo(line)
    for line in _advice(made):
        typer.echo(line)


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
