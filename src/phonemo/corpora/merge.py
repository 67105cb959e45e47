"""Several manifests as one: names that were unique in their corpus stay so beside the others'."""

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

#: Between the corpora of a manifest that was merged.
_JOINED = "+"


def named_apart(manifest: Manifest | ManifestStream, one: Utterance) -> Utterance:
    """An utterance whose id, speaker, session and dialog begin with its corpus.

    Those of a manifest that was merged do so already. Its file is absolute, so that it can stand
    in any manifest.
    """
    corpus = manifest.header.corpus
    update: dict[str, str] = {}
    if _JOINED not in corpus:
        names = {name: getattr(one, name) for name in ("id", "speaker", "session", "dialog")}
        update = {name: f"{corpus}/{value}" for name, value in names.items() if value is not None}
    path = manifest.audio_path(one).resolve().as_posix()
    return one.model_copy(update={**update, "file": path})


def by_corpus(corpus: str, utterances: Iterable[Utterance]) -> dict[str, list[Utterance]]:
    """Utterances by their corpus, with the names that they have there.

    Args:
        corpus: of their manifest's header; "a+b" where it was merged.
        utterances: any of that manifest.
    """
    corpora = corpus.split(_JOINED)
    found: dict[str, list[Utterance]] = {}
    for one in utterances:
        name, _, rest = one.id.partition("/")
        if len(corpora) > 1 and name in corpora:
            speaker = one.speaker and one.speaker.removeprefix(f"{name}/")
            found.setdefault(name, []).append(
                one.model_copy(update={"id": rest, "speaker": speaker})
            )
        else:
            found.setdefault(corpus, []).append(one)
    return found


def merge(paths: Sequence[Path], output: Path) -> Manifest:
    """Write one manifest with all utterances of several, and read it; see merge_streams."""
    return read_manifest(merge_streams(paths, output).path)


def merge_streams(paths: Sequence[Path], output: Path) -> ManifestStream:
    """Write one manifest with all utterances of several, each named with its corpus.

    The rows go from file to file; none is held.

    Args:
        paths: two manifests or more, each of another corpus.
        output: the manifest to write; its audio paths are relative to its folder.

    Raises:
        ManifestError: fewer than two, or two of one corpus, whose names would clash.
    """
    if len(paths) < 2:
        raise ManifestError(f"{len(paths)} manifest to merge; two or more are wanted")
    manifests = [stream_manifest(path) for path in paths]
    names = [one for manifest in manifests for one in manifest.header.corpus.split(_JOINED)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ManifestError(f"two manifests are of the corpus {twice!r}; merge one of them")
    rows = (named_apart(manifest, one) for manifest in manifests for one in manifest)
    folder = output.resolve().parent
    header = _header([manifest.header for manifest in manifests])
    write_manifest(output, header, (_from(folder, one) for one in rows))
    return stream_manifest(output)


def _header(headers: Sequence[Header]) -> Header:
    return Header(
        corpus=_JOINED.join(one.corpus for one in headers),
        root=".",
        partial=any(one.partial for one in headers),
        skipped={
            f"{one.corpus}: {reason}": count
            for one in headers
            for reason, count in one.skipped.items()
        },
        phonemo=__version__,
    )


def _from(folder: Path, one: Utterance) -> Utterance:
    """Its file as it is found from the manifest's own folder, so that both can move together."""
    path = Path(os.path.relpath(one.file, folder)).as_posix()
    return one.model_copy(update={"file": path})
