"""Merge manifests; ids, speakers, sessions and dialogs get their corpus as a prefix."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from phonemo.corpora.copies.between import shared_recordings
from phonemo.corpora.copies.digests import Progress
from phonemo.corpora.manifest import (
    Header,
    Manifest,
    ManifestStream,
    Utterance,
    read_manifest,
    stream_manifest,
    write_manifest,
)
from phonemo.errors import LeakageError, ManifestError
from phonemo.version import __version__

#: Separates the corpora of a merged manifest.
_SEPARATOR = "+"

log = logging.getLogger(__name__)


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


def merge(paths: Sequence[Path], output: Path, *, drop_copies: bool = False) -> Manifest:
    """Merge manifests as merge_streams does, and read the result."""
    return read_manifest(merge_streams(paths, output, drop_copies=drop_copies).path)


def merge_streams(
    paths: Sequence[Path],
    output: Path,
    *,
    drop_copies: bool = False,
    progress: Progress | None = None,
) -> ManifestStream:
    """Write one manifest with the utterances of several, prefixed with their corpus.

    Rows are streamed from file to file, after the audio was decoded to find recordings that two
    corpora share: under two corpora's speakers, they could be in train and in test.

    Args:
        paths: two or more manifests of different corpora.
        output: the manifest to write; its audio paths are relative to its folder.
        drop_copies: leave out recordings that an earlier manifest has; the header counts them.
        progress: called with (done, total) recordings that were compared.

    Raises:
        ManifestError: fewer than two manifests, or two of the same corpus.
        LeakageError: two manifests share recordings, and ``drop_copies`` is False.
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
    shared = shared_recordings(manifests, progress)
    if shared.unread:
        log.warning(
            "%d recordings are silent or cannot be decoded: copies are unknown", shared.unread
        )
    if shared.repeated and not drop_copies:
        raise LeakageError(
            f"{len(shared.repeated)} recordings are in two of the manifests, such as "
            f"{', '.join(shared.pairs)}; leave them out with --drop-copies, or merge one of the two"
        )
    every = ((manifest, utterance) for manifest in manifests for utterance in manifest)
    rows = (
        named_apart(*pair) for number, pair in enumerate(every) if number not in shared.repeated
    )
    folder = output.resolve().parent
    header = _merge_headers([manifest.header for manifest in manifests], len(shared.repeated))
    write_manifest(output, header, (_relative_to(folder, utterance) for utterance in rows))
    return stream_manifest(output)


def _merge_headers(headers: Sequence[Header], copies: int) -> Header:
    return Header(
        corpus=_SEPARATOR.join(header.corpus for header in headers),
        root=".",
        partial=any(header.partial for header in headers),
        skipped={
            f"{header.corpus}: {reason}": count
            for header in headers
            for reason, count in header.skipped.items()
        }
        | ({"copies of recordings of an earlier corpus": copies} if copies else {}),
        phonemo=__version__,
    )


def _relative_to(folder: Path, utterance: Utterance) -> Utterance:
    """Make the file relative to the manifest's folder, so that both can be moved together."""
    path = Path(os.path.relpath(utterance.file, folder)).as_posix()
    return utterance.model_copy(update={"file": path})
