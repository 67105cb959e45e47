"""Merge manifests; ids, speakers, sessions and dialogs get their corpus as a prefix."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from phonemo.corpora.manifest import (
    Header,
    Manifest,
    ManifestStream,
    Utterance,
    read_manifest,
    stream_manifest,
    write_manifest,
)
from phonemo.errors import ManifestError
from phonemo.version import __version__

#: Separates the corpora of a merged manifest.
_SEPARATOR = "+"


def named_apart(manifest: Manifest | ManifestStream, one: Utterance) -> Utterance:
    """Prefix an utterance's id, speaker, session and dialog with its corpus.

    Those of a merged manifest already have the prefix. The file becomes absolute, so that the
    utterance can be part of any manifest.
    """
    corpus = manifest.header.corpus
    update: dict[str, str] = {}
    if _SEPARATOR not in corpus:
        names = {name: getattr(one, name) for name in ("id", "speaker", "session", "dialog")}
        update = {name: f"{corpus}/{value}" for name, value in names.items() if value is not None}
    path = manifest.audio_path(one).resolve().as_posix()
    return one.model_copy(update={**update, "file": path})


def by_corpus(corpus: str, utterances: Iterable[Utterance]) -> dict[str, list[Utterance]]:
    """Group utterances by corpus, with their original ids and speakers.

    Args:
        corpus: the corpus in the manifest's header; "a+b" if it was merged.
        utterances: utterances of that manifest.
    """
    corpora = corpus.split(_SEPARATOR)
    groups: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        name, _, utterance_id = utterance.id.partition("/")
        if len(corpora) > 1 and name in corpora:
            speaker = utterance.speaker and utterance.speaker.removeprefix(f"{name}/")
            groups.setdefault(name, []).append(
                utterance.model_copy(update={"id": utterance_id, "speaker": speaker})
            )
        else:
            groups.setdefault(corpus, []).append(utterance)
    return groups


def merge(paths: Sequence[Path], output: Path) -> Manifest:
    """Merge manifests as merge_streams does, and read the result."""
    return read_manifest(merge_streams(paths, output).path)


def merge_streams(paths: Sequence[Path], output: Path) -> ManifestStream:
    """Write one manifest with the utterances of several, prefixed with their corpus.

    Rows are streamed from file to file.

    Args:
        paths: two or more manifests of different corpora.
        output: the manifest to write; its audio paths are relative to its folder.

    Raises:
        ManifestError: fewer than two manifests, or two of the same corpus.
    """
    if len(paths) < 2:
        raise ManifestError(f"expected at least two manifests to merge, got {len(paths)}")
    manifests = [stream_manifest(path) for path in paths]
    names = [
        corpus for manifest in manifests for corpus in manifest.header.corpus.split(_SEPARATOR)
    ]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise ManifestError(f"two manifests are of the corpus {repeated!r}; merge only one of them")
    rows = (named_apart(manifest, utterance) for manifest in manifests for utterance in manifest)
    folder = output.resolve().parent
    header = _merge_headers([manifest.header for manifest in manifests])
    write_manifest(output, header, (_relative_to(folder, utterance) for utterance in rows))
    return stream_manifest(output)


def _merge_headers(headers: Sequence[Header]) -> Header:
    return Header(
        corpus=_SEPARATOR.join(header.corpus for header in headers),
        root=".",
        partial=any(header.partial for header in headers),
        skipped={
            f"{header.corpus}: {reason}": count
            for header in headers
            for reason, count in header.skipped.items()
        },
        phonemo=__version__,
    )


def _relative_to(folder: Path, utterance: Utterance) -> Utterance:
    """Make the file relative to the manifest's folder, so that both can be moved together."""
    path = Path(os.path.relpath(utterance.file, folder)).as_posix()
    return utterance.model_copy(update={"file": path})
