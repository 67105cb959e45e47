"""The corpus commands: corpora, prepare, merge, inspect and init-corpus."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phonemo.cli.options import Quiet, check_writable, protocol_of
from phonemo.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from phonemo.corpora.prepare import Prepared
from phonemo.cli import console, progress_bars


def corpora() -> None:
    """List the supported corpora."""
    from phonemo.corpora import CORPORA

    for name, corpus in CORPORA.items():
        card = corpus.card
        counts = f"{card.utterances} utterances" if card.utterances else "any number"
        typer.echo(f"{name:<16}{card.title} ({card.language or 'any language'}; {counts})")
        home = f"; {card.homepage}" if card.homepage else ""
        typer.echo(f"{'':<16}licence: {card.licence}{home}")


def prepare(
    corpus: Annotated[str, typer.Argument(help="A name listed by `phonemo corpora`.")],
    root: Annotated[Path, typer.Argument(help="Folder of the release; for csv, the table.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The manifest to write.")],
    allow_partial: Annotated[
        bool,
        typer.Option(
            "--allow-partial", help="Accept an incomplete release; the manifest is marked partial."
        ),
    ] = False,
    g2p: Annotated[bool, typer.Option(help="Convert transcripts to phonemes.")] = True,
    quiet: Quiet = False,
) -> None:
    """Read a corpus into a manifest, one JSON row per utterance."""
    from phonemo.corpora.prepare import prepare as prepare_corpus

    check_writable(output)
    with progress_bars.progress_callback("reading", quiet) as progress:
        made = prepare_corpus(
            corpus, root, output, allow_partial=allow_partial, g2p=g2p, progress=progress
        )
    for line in console.prepared_lines(made):
        typer.echo(line)


def merge(
    manifests: Annotated[list[Path], typer.Argument(help="Manifests of different corpora.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The manifest to write.")],
    drop_copies: Annotated[
        bool,
        typer.Option("--drop-copies", help="Leave out recordings that an earlier manifest has."),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Merge several manifests into one.

    Ids and speakers are prefixed with the name of their corpus. A recording in two manifests is an
    error.
    """
    from phonemo.corpora.merge import merge_streams

    check_writable(output)
    with progress_bars.progress_callback("comparing recordings", quiet) as progress:
        merged = merge_streams(manifests, output, drop_copies=drop_copies, progress=progress)
    speakers = Counter(row.speaker for row in merged)
    counts = f"{speakers.total()} utterances, {len(set(speakers) - {None})} speakers"
    typer.echo(f"{output}: {counts} of {merged.header.corpus}")


def inspect(
    manifest: Annotated[Path, typer.Argument(help="A manifest.")],
    protocol: Annotated[
        str,
        typer.Option(
            help="speaker, session, sentence, speaker-sentence, given (the manifest's split), "
            "given-leaky, published, published-leaky or random-leaky."
        ),
    ] = "speaker",
    folds: Annotated[
        int | None, typer.Option(help="Number of folds to group the units into.")
    ] = None,
    folder: Annotated[
        str | None, typer.Option(help="Folder of fold files, for published and published-leaky.")
    ] = None,
    validation_units: Annotated[int, typer.Option(help="Units in the validation part.")] = 1,
    drop_near_duplicates: Annotated[
        float | None,
        typer.Option(
            help="Drop training texts at least this similar to a test text (Jaccard, 0 to 1)."
        ),
    ] = None,
    copies: Annotated[
        bool,
        typer.Option(help="Decode the audio and compare recordings, also resampled or re-encoded."),
    ] = True,
    quiet: Quiet = False,
) -> None:
    """Show the overlap of train and test; leaks are errors.

    Leaks are speakers or recordings in both. Near-copies of recordings are reported.
    """
    from phonemo.corpora import leakage, leakage_text
    from phonemo.corpora.copies.groups import NO_COPIES, find_copies
    from phonemo.corpora.manifest import read_manifest
    from phonemo.corpora.ratings.rating_audit import rating_lines
    from phonemo.corpora.splits import make_split

    settings = protocol_of(
        name=protocol,
        folds=folds,
        folder=folder,
        validation_units=validation_units,
        drop_near_duplicates=drop_near_duplicates,
    )
    source = read_manifest(manifest)
    utterances = source.utterances
    rows = [row for row in utterances if row.emotion]
    if protocol.startswith("published") or not rows:  # published folds list every utterance
        rows = list(utterances)
    if len(rows) < len(utterances):
        left_out = f"{len(utterances) - len(rows)} of {len(utterances)} utterances"
        typer.echo(f"phonemo: {left_out} have no emotion and were skipped", err=True)
    compared = NO_COPIES
    if copies:
        with progress_bars.progress_callback("comparing recordings", quiet) as progress:
            compared = find_copies(source, rows, progress)
    split = make_split(rows, settings, compared)
    report = leakage.measure_leakage(rows, split, compared)
    for line in (*leakage_text.lines(report), *rating_lines(utterances)):
        typer.echo(line)
    leakage.assert_no_leakage(report, settings)


def init_corpus(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Folder of recordings with one subfolder per emotion, or a known corpus."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Default: FOLDER/manifest.jsonl."),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(
            help="Table in FOLDER with columns file and emotion, used instead of folder names."
        ),
    ] = None,
    speaker: Annotated[
        str | None, typer.Option(help="Pattern of the speaker in file names: '{speaker}_*'.")
    ] = None,
    emotion_level: Annotated[
        int | None, typer.Option(help="Folder level that names the emotion; 1 is outermost.")
    ] = None,
    language: Annotated[str | None, typer.Option(help="ISO 639-1 code, e.g. en.")] = None,
    quiet: Quiet = False,
) -> None:
    """Create a manifest of your own recordings.

    Emotions, speakers and splits come from folder names, from the file names of known corpora
    (RAVDESS, TESS, CREMA-D, SAVEE, EmoDB, EMOVO, URDU, nEMO, ESD), from metadata.csv, or from a
    table. Whatever is skipped is counted.
    """
    output = output or folder / "manifest.jsonl"
    check_writable(output)
    if csv is not None and (speaker or emotion_level or language):
        raise UsageError(
            "--csv has columns for speaker, emotion and language; drop the other options"
        )
    with progress_bars.progress_callback("reading", quiet) as progress:
        made = _prepare_folder(folder, output, csv, speaker, emotion_level, language, progress)
    for line in console.prepared_lines(made):
        typer.echo(line)
    for line in _advice(made):
        typer.echo(line)


def _prepare_folder(
    folder: Path,
    output: Path,
    csv: Path | None,
    speaker: str | None,
    level: int | None,
    language: str | None,
    progress: object,
) -> Prepared:
    from phonemo.corpora.prepare import prepare, prepare_reading
    from phonemo.corpora.readers.formats.audiofolder import read_recordings
    from phonemo.corpora.readers.formats.folders import CARD

    callback = progress if callable(progress) else None

    def make(g2p: bool) -> Prepared:
        if csv is not None:
            return prepare("csv", csv, output, allow_partial=True, g2p=g2p, progress=callback)
        return prepare_reading(
            CARD, reading, root, output, allow_partial=True, g2p=g2p, progress=callback
        )

    root = folder.resolve()
    if csv is None:
        reading = read_recordings(root, emotion_level=level, speaker=speaker, language=language)
    try:
        return make(g2p=True)
    except MissingExtraError as error:  # phonemes are optional here, unlike in prepare
        made = make(g2p=False)
        return replace(made, warnings=(*made.warnings, f"no phonemes: {error}"))


def _advice(made: Prepared) -> list[str]:
    """Warnings about unreliable scores, and the next command."""
    known = [name for name in made.speakers if name != "(none)"]
    lines = []
    if "(none)" in made.speakers or len(known) < 3:
        lines.append(
            f"  warning: {len(known)} known speakers, so scores cannot be speaker-independent; put "
            "each speaker into a folder, or pass --speaker '{speaker}_*'"
        )
    few = [name for name, count in made.emotions.items() if name != "(none)" and count < 6]
    if few:
        lines.append(f"  warning: fewer than 6 utterances, skipped by finetune: {', '.join(few)}")
    return [*lines, f"  next: phonemo finetune {made.output}"]
