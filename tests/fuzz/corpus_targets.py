"""The files of corpora: a user's table, tables of releases, IEMOCAP's and EmoDB's own formats."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

from phonemo.corpora.g2p.alphabets import ARPABET, IPA
from phonemo.corpora.manifest import Phonemes, Utterance
from phonemo.corpora.published_folds import read_folds
from phonemo.corpora.readers import (
    cremad,
    msp_podcast,
    nemo,
    rakshak,
    ravdess,
    speechocean762,
)
from phonemo.corpora.readers import emodb as emodb_release
from phonemo.corpora.readers import iemocap as release
from phonemo.corpora.readers.base import CorpusReading, read_text
from phonemo.corpora.readers.emodb_labels import lablaut_phonemes
from phonemo.corpora.readers.formats import (
    audformat_database,
    audiofolder,
    lhotse_cuts,
    textgrid_folder,
)
from phonemo.corpora.readers.formats import csv as tables
from phonemo.corpora.readers.iemocap_files import (
    clean_text,
    read_alignment,
    read_evaluations,
    read_transcripts,
)
from tests.fuzz.judging import cut, scratch, told, written

#: Corpus -> its reader, its texts in the order of an input's parts, and sounds, of which only the
#: names count.
_RELEASES: dict[bytes, tuple[Callable[[Path], CorpusReading], Sequence[str], Sequence[str]]] = {
    b"nemo": (nemo.read, ["data.tsv"], ["samples/a_fear_1.wav", "samples/b.wav"]),
    b"cremad": (cremad.read, ["VideoDemographics.csv"], ["AudioWAV/1001_DFA_ANG_XX.wav"]),
    b"kaldi": (
        speechocean762.read,
        ["train/text", "train/utt2spk", "train/spk2gender", "train/wav.scp", "resource/text-phone"],
        ["WAVE/SPEAKER0001/000010011.WAV"],
    ),
    b"reduced": (
        speechocean762.read,
        ["metadata.csv", "phones.csv"],
        ["WAVE/SPEAKER0001/000010011.WAV"],
    ),
    b"lhotse": (lhotse_cuts.read, ["cuts.jsonl"], ["a.wav"]),
    b"audformat": (audformat_database.read, ["db.yaml", "db.moods.csv"], ["a.wav"]),
    b"msp": (
        msp_podcast.read,
        [
            "Labels/labels_consensus.csv",
            "Labels/labels_detailed.csv",
            "Partitions.txt",
            "Transcripts/MSP-PODCAST_0001_0008.txt",
        ],
        ["Audios/MSP-PODCAST_0001_0008.wav", "Audios/MSP-PODCAST_0001_0009.wav"],
    ),
    b"folders": (
        audiofolder.read_recordings,
        ["metadata.csv", "a.TextGrid"],
        ["angry/a.wav", "sad/b.wav"],
    ),
    b"praat": (textgrid_folder.read, ["a.TextGrid"], ["a.wav"]),
    b"iemocap": (
        release.read,
        [
            "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt",
            "Session1/dialog/transcriptions/Ses01F_impro01.txt",
            "Session1/sentences/ForcedAlignment/Ses01F_impro01/Ses01F_impro01_F000.phseg",
        ],
        ["Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav"],
    ),
}
_EMPTY = ("test/text", "test/utt2spk", "test/spk2gender", "test/wav.scp")
_ALPHABETS = {"arpabet": set(ARPABET), "ipa": set(IPA)}


def csv_table(data: bytes) -> None:
    """A table of one's own."""
    found = told(tables.read, written("table/table.csv", data))
    if found is not None:
        _check_rows(found.utterances)


def corpus_tables(data: bytes) -> None:
    """Which corpus, then its texts."""
    name, rest = cut(data, 2)
    read, texts, _ = _RELEASES.get(name, _RELEASES[b"nemo"])
    root = _laid_out(name if name in _RELEASES else b"nemo")
    for path, text in zip(texts, cut(rest, len(texts)), strict=True):
        (root / path).write_bytes(text)
    found = told(read, root)
    if found is not None:
        _check_rows(found.utterances)


@cache
def _laid_out(name: bytes) -> Path:
    """A release's folder without its texts."""
    root = scratch() / name.decode()
    _, texts, sounds = _RELEASES[name]
    for path in (*texts, *sounds, *(_EMPTY if name == b"kaldi" else ())):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def folder_names(data: bytes) -> None:
    """A folder whose files and folders have the names of the input's lines."""
    root = scratch() / "names"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for line in data.split(b"\n")[:12]:
        parts = [
            one for one in line.replace(b"\0", b"").split(b"/") if one not in (b"", b".", b"..")
        ]
        path = os.path.join(os.fsencode(root), *(one[:80] for one in parts[:4]))
        with contextlib.suppress(FileExistsError, NotADirectoryError, IsADirectoryError):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "ab"):
                pass
    for reader in (
        audiofolder.read_recordings,
        nemo.read,
        ravdess.read,
        rakshak.read,
        emodb_release.read,
    ):
        found = told(reader, root)
        if found is not None:
            assert len({one.id for one in found.utterances}) == len(found.utterances)


def iemocap(data: bytes) -> None:
    """Which of the formats, then a file of it; or a release of one utterance."""
    kind, text = cut(data, 2)
    if kind == b"release":
        corpus_tables(b"iemocap" + data[len(kind) :])
        return
    path = written("iemocap.txt", text)
    if kind == b"evaluation":
        found = told(read_evaluations, path)
        assert found is None or all(one.utterance for one in found.evaluations)
    elif kind == b"transcript":
        for _, words in read_transcripts(path).turns:
            assert clean_text(words).text == " ".join(clean_text(words).text.split())
    else:
        _check_phonemes(told(read_alignment, path))


def emodb(data: bytes) -> None:
    """A label file."""
    _check_phonemes(told(lablaut_phonemes, read_text(written("a.lablaut", data))))


def published(data: bytes) -> None:
    """The two parts of a fold."""
    for part, text in zip(("train", "test"), cut(data, 2), strict=True):
        written(f"folds/fold_1/x_{part}_fold_1.jsonl", text)
    found = told(read_folds, scratch() / "folds")
    assert found is None or [one.name for one in found] == ["fold-1"]


def _check_rows(utterances: Sequence[Utterance]) -> None:
    assert len({one.id for one in utterances}) == len(utterances)
    for one in utterances:
        assert Utterance.model_validate_json(one.model_dump_json()) == one
        _check_phonemes(one.phonemes)


def _check_phonemes(found: Phonemes | None) -> None:
    if found is None:
        return
    assert set(found.symbols) <= _ALPHABETS[found.alphabet]
    if found.times is not None:
        assert all(0 <= start <= end for start, end in found.times)
        if found.alphabet == "ipa":  # an alignment's rows may come in any order
            assert _is_ordered(time for pair in found.times for time in pair)


def _is_ordered(times: Iterable[float]) -> bool:
    values = list(times)
    return values == sorted(values)
