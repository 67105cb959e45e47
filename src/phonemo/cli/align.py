"""The align command: the phonemes of a whole manifest, in time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from phonemo.cli import progress_bars
from phonemo.cli.options import Jobs, Model, Quiet
from phonemo.errors import ManifestError, ModelError, PhonemeError, PhonemoError, UsageError
from phonemo.loader import load_model, model_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from phonemo.corpora.manifest import ManifestStream, Utterance
    from phonemo.runtime.onnx_recognizer import OnnxRecognizer
    from phonemo.runtime.phonemes.corpus_alignment import SpokenUtterance


def align(
    manifest: Annotated[Path, typer.Argument(help="A manifest with phonemes (phonemo prepare).")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the table and the TextGrids.")
    ],
    model: Model = None,
    edges: Annotated[
        Literal["posteriors", "waveform"],
        typer.Option(
            help="Boundaries: from the network's frames, or refined from the waveform.",
        ),
    ] = "waveform",
    jobs: Jobs = None,
    quiet: Quiet = False,
) -> None:
    """Align the phonemes of every utterance of a manifest.

    Writes phonemes.csv, a row for each phoneme; grids/, a TextGrid for each utterance; and
    alignment.jsonl. Run the command again to resume. Exit status 1: some utterances could not be
    aligned, each with an error in its row.
    """
    from phonemo.corpora.manifest import stream_manifest
    from phonemo.files import folder_lock, sha256_of
    from phonemo.runtime.phonemes.alignment_folder import AlignmentFolder, check_folder
    from phonemo.runtime.phonemes.corpus_alignment import align_utterances

    rows = stream_manifest(manifest)
    total, without = _count(rows)
    opened = _open_aligner(model, edges)
    settings = {"manifest": sha256_of(manifest), "model": model_digest(model), "edges": edges}
    check_folder(output)
    failed = 0
    with (
        folder_lock(output),
        progress_bars.progress_callback("aligning", quiet) as progress,
    ):
        folder = AlignmentFolder(output, settings)
        left = (one for one in _utterances(rows, opened) if one.id not in folder.done)
        for number, aligned in enumerate(align_utterances(opened, left, jobs), start=1):
            folder.add(aligned)
            progress(len(folder.done) + number, total)
            if aligned.error is not None:
                failed += 1
                typer.echo(f"phonemo: {aligned.utterance.id}: {aligned.error}", err=True)
        utterances, phonemes, confidence = folder.finish()
    notes = f"; {without} without phonemes" if without else ""
    notes += f"; {failed} failed" if failed else ""
    typer.echo(
        f"{output}: {utterances} utterances, {phonemes} phonemes, mean confidence "
        f"{confidence:.2f}{notes}"
    )
    if failed:
        raise typer.Exit(1)


def _count(manifest: ManifestStream) -> tuple[int, int]:
    """Numbers of utterances with and without phonemes.

    Raises:
        ManifestError: none has any, or two would be written to one file.
    """
    from phonemo.runtime.phonemes.corpus_alignment import check_file_names

    without = sum(not _has_phonemes(row) for row in manifest)
    try:
        count = check_file_names(row.id for row in manifest if _has_phonemes(row))
    except UsageError as error:
        raise ManifestError(f"{manifest.path}: {error}") from error
    if not count:
        raise ManifestError(
            f"{manifest.path}: expected utterances with phonemes, got none; prepare the corpus "
            "with transcripts and the extra g2p"
        )
    return count, without


def _has_phonemes(utterance: Utterance) -> bool:
    return utterance.phonemes is not None and bool(utterance.phonemes.symbols)


def _utterances(manifest: ManifestStream, model: OnnxRecognizer) -> Iterator[SpokenUtterance]:
    """The utterances that have phonemes, in the model's alphabet."""
    from phonemo.audio import Excerpt
    from phonemo.corpora.phoneme_inventory import PhonemeInventory
    from phonemo.runtime.phonemes.corpus_alignment import SpokenUtterance

    if model.card.inventory is None:
        raise ModelError("this model has no phoneme head; use a model trained with phonemes")
    inventory = PhonemeInventory.from_json(model.card.inventory.model_dump())
    for row in filter(_has_phonemes, manifest):
        phonemes: tuple[str, ...] | PhonemoError
        try:
            target = inventory.encode(row.phonemes, row.transcript, row.emotion) or ()
            phonemes = inventory.decode(target)
        except PhonemeError as error:
            phonemes = error
        excerpt = Excerpt(manifest.audio_path(row), row.start, row.end, row.channel)
        facts = (row.speaker, row.emotion, row.transcript)
        yield SpokenUtterance(row.id, row.file, excerpt, phonemes, *facts)


def _open_aligner(model: Path | None, edges: str) -> OnnxRecognizer:
    from phonemo.runtime.onnx_recognizer import OnnxRecognizer

    opened = load_model(model)
    if not isinstance(opened, OnnxRecognizer):
        raise UsageError(f"expected a bundle, got {model}; run: phonemo export {model} -o bundle/")
    opened.phoneme_decoder = opened.phoneme_decoder.chosen(None, edges)
    return opened
