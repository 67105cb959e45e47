"""The align command: the phonemes of a whole manifest, in time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from phonemo.cli import progress_bars
from phonemo.cli.options import Jobs, Quiet
from phonemo.errors import (
    ManifestError,
    ModelError,
    PhonemeError,
    PhonemoError,
    UsageError,
    safe_name,
)
from phonemo.loader import load_model, model_digest, resolve_model

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
    model: Annotated[
        Path | None,
        typer.Option(
            help="A bundle with phonemes (phonemo export), a hub model, or phonemo-small or "
            "phonemo-open (included). Default: phonemo-small."
        ),
    ] = None,
    edges: Annotated[
        Literal["posteriors", "waveform"],
        typer.Option(
            help="Boundaries: from the network's frames, or refined from the waveform.",
        ),
    ] = "waveform",
    jobs: Jobs = None,
    corrected: Annotated[
        Path | None,
        typer.Option(
            metavar="MANIFEST",
            help="Align nothing; read the folder's TextGrids, as corrected in Praat, and write a "
            "manifest with their phonemes and times.",
        ),
    ] = None,
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
    stems, without = _plan(rows)
    if corrected is not None:
        _write_corrected(rows, output, stems, corrected)
        return
    check_folder(output)
    model = resolve_model(model)
    opened = _open_aligner(model, edges)
    settings = {"manifest": sha256_of(manifest), "model": model_digest(model), "edges": edges}
    failed = 0
    with (
        folder_lock(output),
        progress_bars.progress_callback("aligning", quiet) as progress,
    ):
        folder = AlignmentFolder(output, settings, stems)
        left = (one for one in _utterances(rows, opened) if one.id not in folder.done)
        for number, aligned in enumerate(align_utterances(opened, left, jobs), start=1):
            folder.add(aligned)
            progress(len(folder.done) + number, len(stems))
            if aligned.error is not None:
                failed += 1
                typer.echo(f"phonemo: {safe_name(aligned.utterance.id)}: {aligned.error}", err=True)
        totals = folder.finish()
    notes = f"; {without} without phonemes" if without else ""
    notes += f"; {totals.warned} with warnings (alignment.jsonl)" if totals.warned else ""
    notes += f"; {failed} failed" if failed else ""
    typer.echo(
        f"{output}: {totals.utterances} utterances, {totals.phonemes} phonemes, mean confidence "
        f"{totals.confidence:.2f}{notes}"
    )
    if failed:
        raise typer.Exit(1)


def _plan(manifest: ManifestStream) -> tuple[dict[str, str], int]:
    """File names by id, and the number of utterances without phonemes.

    Raises:
        ManifestError: no utterance has any, or two have one id.
    """
    from phonemo.tables.portable_names import file_stems

    ids = [row.id if _has_phonemes(row) else None for row in manifest]
    try:
        stems = file_stems(name for name in ids if name is not None)
    except UsageError as error:
        raise ManifestError(f"{manifest.path}: {error}") from error
    if not stems:
        raise ManifestError(
            f"{manifest.path}: expected utterances with phonemes, got none; prepare the corpus "
            "with transcripts, their language (such as de) and the extra g2p"
        )
    return stems, len(ids) - len(stems)


def _write_corrected(
    manifest: ManifestStream, folder: Path, stems: dict[str, str], target: Path
) -> None:
    """Write the manifest with the phonemes and times of the TextGrids."""
    from phonemo.corpora.corrected_grids import corrected
    from phonemo.corpora.manifest import write_manifest
    from phonemo.files import folder_lock, sha256_of
    from phonemo.runtime.phonemes.alignment_folder import GRIDS, aligned_manifest

    if target.is_dir():
        raise UsageError(f"--corrected {target}: expected a file to write, got a folder")
    if aligned_manifest(folder) != sha256_of(manifest.path):
        raise UsageError(
            f"{folder}: expected an alignment of {manifest.path} as it is now, got one of another "
            "manifest; name the manifest that was aligned"
        )
    grids, counts = folder / GRIDS, Counter[str]()
    header = manifest.header.model_copy(update={"root": str(manifest.root.resolve())})
    with folder_lock(folder):
        write_manifest(target, header, corrected(manifest, grids, stems, counts))
    missing = f"; {counts['without TextGrid']} have no TextGrid and stay as they are"
    typer.echo(
        f"{target}: {counts['with times']} utterances with the times of their TextGrids"
        f"{missing if counts['without TextGrid'] else ''}"
    )


def _has_phonemes(utterance: Utterance) -> bool:
    return utterance.phonemes is not None and bool(utterance.phonemes.symbols)


def _utterances(manifest: ManifestStream, model: OnnxRecognizer) -> Iterator[SpokenUtterance]:
    """The utterances that have phonemes, in the model's alphabet."""
    from phonemo.audio import Excerpt
    from phonemo.corpora.phoneme_inventory import PhonemeInventory
    from phonemo.runtime.phonemes.corpus_alignment import SpokenUtterance

    assert model.card.inventory is not None  # of an aligner
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
    if opened.card.inventory is None:
        raise ModelError("this model has no phoneme head; use a model trained with phonemes")
    return opened.with_phonemes(edges=edges)
