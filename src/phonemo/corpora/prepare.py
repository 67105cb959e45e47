"""Turn a corpus release into a manifest: read it, check its audio and compare published counts.

Phonemes come from the release's own annotation, or else from its transcripts by grapheme-to-phoneme
conversion. The audio check reports durations, faults and duplicates.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from phonemo.audio import audio_seconds, load_waveform
from phonemo.corpora import CORPORA
from phonemo.corpora.g2p.convert import phonemize
from phonemo.corpora.manifest import Header, Phonemes, Utterance, write_manifest
from phonemo.corpora.readers.base import CorpusCard, CorpusReading
from phonemo.errors import (
    AudioError,
    CorpusError,
    MissingExtraError,
    PhonemeError,
    UsageError,
    safe_name,
)
from phonemo.version import __version__

#: Shortest utterance that a network with 25 ms frames can process.
SHORTEST_SECONDS = 0.025
#: Seconds that a segment may extend beyond its audio, for rounding in manually created tables.
_SLACK_SECONDS = 0.05
_BLOCK_SAMPLES = 8192
#: The first bytes of a pointer that Git leaves where a large file was not downloaded.
_LFS = b"version https://git-lfs"
_POINTER = "audio: a Git LFS pointer, not the recording; run: git lfs pull"
_SHORT = "audio: shorter than 25 ms"
_UNREADABLE = "audio: cannot be decoded"
#: Code of an AudioError -> fault; other codes give the message as the reason.
_FAULTS = {"empty_audio": "audio: empty", "too_short": _SHORT}


@dataclass(frozen=True)
class Sound:
    """A file's header: its length and shape, or why it is unusable."""

    seconds: float = 0.0
    samples: int = 0
    rate: int = 0
    channels: int = 0
    fault: str | None = None


@dataclass(frozen=True)
class Audit:
    """The usable utterances, their total duration, faults and duplicate recordings."""

    utterances: tuple[Utterance, ...]
    seconds: float
    faults: Mapping[str, int]
    """Reason -> number of unusable utterances."""
    first_faults: Mapping[str, str]
    """Reason -> the first such file."""
    twins: tuple[tuple[str, ...], ...]
    """Groups of files with the same samples."""


def audit(utterances: Sequence[Utterance], root: Path, progress: Callable[[], None]) -> Audit:
    """Check every utterance's audio under ``root``; ``progress`` is called after each."""
    sounds: dict[str, Sound] = {}
    faults: Counter[str] = Counter()
    first_faults: dict[str, str] = {}
    usable: list[Utterance] = []
    seconds = 0.0
    for utterance in utterances:
        sound = sounds.get(utterance.file) or inspect(root / utterance.file)
        sounds[utterance.file] = sound
        fault = sound.fault or _segment_fault(utterance, sound)
        if fault is None:
            usable.append(utterance)
            seconds += _duration(utterance, sound)
        else:
            faults[fault] += 1
            first_faults.setdefault(fault, utterance.file)
        progress()
    twins = _duplicates(root, {utterance.file: sounds[utterance.file] for utterance in usable})
    return Audit(tuple(usable), seconds, dict(faults), first_faults, twins)


def inspect(path: Path) -> Sound:
    """Read a file's header; a fault is returned, not raised, so that faults can be counted."""
    if not path.is_file():
        return Sound(fault="audio: no such file")
    try:
        info = soundfile.info(os.fsencode(path))  # a name may be any bytes
    except (soundfile.SoundFileError, OSError):
        return _decode(path)
    if info.frames == 0:
        return _decode(path)
    if info.frames / info.samplerate < SHORTEST_SECONDS:
        return Sound(fault=_SHORT)
    return Sound(info.frames / info.samplerate, info.frames, info.samplerate, info.channels)


def _decode(path: Path) -> Sound:
    """A file that libsndfile cannot open, or without samples in its header: decode it."""
    if path.stat().st_size == 0:
        return Sound(fault="audio: empty")
    if _is_lfs_pointer(path):
        return Sound(fault=_POINTER)
    try:
        return Sound(audio_seconds(path) or load_waveform(path).seconds)
    except MissingExtraError as error:
        return Sound(fault=f"audio: {error}")
    except AudioError as error:
        return Sound(fault=_FAULTS.get(error.code) or _reason(path, error))


def _reason(path: Path, error: AudioError) -> str:
    """What the file is, without its name, so that faults with the same reason are counted."""
    message = str(error).removeprefix(f"{safe_name(path)}: ")
    got = message.rpartition(", got ")[2]
    return f"audio: cannot be decoded ({got})" if got != str(error) else _UNREADABLE


def _is_lfs_pointer(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(_LFS)) == _LFS


def _segment_fault(utterance: Utterance, sound: Sound) -> str | None:
    if utterance.channel is not None and utterance.channel > (sound.channels or utterance.channel):
        return "channel: beyond the channels of its audio"
    end = utterance.end if utterance.end is not None else sound.seconds
    if end > sound.seconds + _SLACK_SECONDS:
        return "segment: ends behind the end of its audio"
    if _duration(utterance, sound) < SHORTEST_SECONDS:
        return "segment: shorter than 25 ms"
    return None


def _duration(utterance: Utterance, sound: Sound) -> float:
    end = min(utterance.end if utterance.end is not None else sound.seconds, sound.seconds)
    return end - (utterance.start or 0.0)


def _duplicates(root: Path, sounds: Mapping[str, Sound]) -> tuple[tuple[str, ...], ...]:
    """Files with the same samples.

    Decoding a whole corpus would take minutes, so only files of the same shape are opened, and only
    those with the same first block are decoded to the end.
    """
    groups = _group_by(sounds, lambda file: _shape(sounds[file]))
    for blocks in (1, None):
        groups = [
            same for group in groups for same in _group_by(group, partial(_digest, root, blocks))
        ]
    return tuple(tuple(group) for group in groups)


def _group_by(files: Iterable[str], key: Callable[[str], Hashable]) -> list[list[str]]:
    """Group the files that share a key with another file; None never matches."""
    groups: dict[Hashable, list[str]] = {}
    for file in sorted(files):
        groups.setdefault(key(file), []).append(file)
    return [group for name, group in groups.items() if name is not None and len(group) > 1]


def _shape(sound: Sound) -> tuple[int, int, int] | None:
    """None for audio that libsndfile does not read, whose samples are not compared here."""
    return (sound.samples, sound.rate, sound.channels) if sound.samples else None


def _digest(root: Path, blocks: int | None, file: str) -> str | None:
    """A hash of the samples in the first blocks; None if all are silent or cannot be decoded.

    Audio that is damaged after its header is reported in training, not here.
    """
    digest = hashlib.sha256()
    varies = blocks is not None  # the first block may be silent
    try:
        for block in itertools.islice(_blocks(root / file), blocks):
            digest.update(block.tobytes())
            varies = varies or bool(block.min() != block.max())
    except (soundfile.SoundFileError, OSError):
        return None
    return digest.hexdigest() if varies else None


def _blocks(path: Path) -> Iterator[NDArray[np.float32]]:
    with soundfile.SoundFile(os.fsencode(path)) as sound:
        while len(block := sound.read(_BLOCK_SAMPLES, dtype="float32", always_2d=True)):
            yield block


Progress = Callable[[int, int], None]
Text = tuple[str, str]

#: The key that counts utterances without emotion, speaker or phonemes.
NONE = "(none)"

#: Number of warnings of one kind that are listed.
_MAX_LISTED = 3


@dataclass(frozen=True)
class Prepared:
    """Statistics of a prepared manifest."""

    header: Header
    output: Path
    utterances: int
    hours: float
    emotions: Mapping[str, int]
    """Emotion -> utterances; "(none)" counts those without one."""
    speakers: Mapping[str, int]
    """Speaker -> utterances; "(none)" counts those without one."""
    skipped: Mapping[str, int]
    """Reason -> skipped entries of the release, including audio faults."""
    phoneme_sources: Mapping[str, int]
    """Annotation or backend -> utterances; "(none)" counts those without phonemes."""
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """How the release was understood: its layout, renamed emotions, unused columns."""


@dataclass(frozen=True)
class _Phonemized:
    phonemes: Mapping[Text, Phonemes]
    warnings: tuple[str, ...]


def prepare(
    corpus: str,
    root: str | Path,
    output: str | Path,
    *,
    allow_partial: bool = False,
    g2p: bool = True,
    progress: Progress | None = None,
) -> Prepared:
    """Read a corpus and write its manifest.

    Args:
        corpus: a name in CORPORA.
        root: the release's folder (for csv the table or its folder).
        output: the manifest to write, atomically.
        allow_partial: accept missing or unusable audio and unmet published counts; the manifest is
            then marked as partial.
        g2p: convert transcripts to phonemes if the release has no annotation.
        progress: called with (done, total) over the files opened and the texts converted.

    Raises:
        UsageError: unknown corpus, or an output that is a folder.
        CorpusError: unknown layout, published counts not met, or unusable audio.
        MissingExtraError: text is to be converted and the g2p extra is not installed.
    """
    _check_request(corpus, Path(output))
    root = Path(root).resolve()
    reading = CORPORA[corpus].read(root)
    return prepare_reading(
        CORPORA[corpus].card,
        reading,
        root,
        output,
        allow_partial=allow_partial,
        g2p=g2p,
        progress=progress,
    )


def prepare_reading(
    card: CorpusCard,
    reading: CorpusReading,
    root: Path,
    output: str | Path,
    *,
    allow_partial: bool = False,
    g2p: bool = True,
    progress: Progress | None = None,
) -> Prepared:
    """Check a corpus reading and write its manifest; errors are those of ``prepare``.

    Args:
        card: the corpus's card.
        reading: its utterances.
        root: the release's folder, or a file in the folder that paths are relative to.
        output: the manifest.
        allow_partial: as for ``prepare``.
        g2p: as for ``prepare``.
        progress: as for ``prepare``.
    """
    corpus, output = card.name, Path(output)
    folder = root.parent if root.is_file() else root
    texts = _texts_to_convert(reading.utterances) if g2p else ()
    tick = _progress_counter(progress, len(reading.utterances) + len(texts))
    checked = audit(reading.utterances, folder, tick)
    faults = (*_audio_faults(checked), *_count_faults(card, checked.utterances))
    if not checked.utterances or (faults and not allow_partial):
        raise _corpus_error(corpus, root, faults, reading.skipped, bool(checked.utterances))
    phonemized = _phonemize(texts, tick)
    header = Header(
        corpus=corpus,
        root=str(folder),
        partial=bool(faults),
        skipped={**reading.skipped, **checked.faults},
        phonemo=__version__,
    )
    sources: Counter[str] = Counter()
    write_manifest(output, header, _with_phonemes(checked.utterances, phonemized.phonemes, sources))
    warnings = (
        *faults,
        *reading.warnings,
        *_duplicate_warnings(checked),
        *phonemized.warnings,
    )
    made = _summarize(header, output, checked, sources, warnings)
    return replace(made, notes=reading.notes)


def _check_request(corpus: str, output: Path) -> None:
    if corpus not in CORPORA:
        raise UsageError(f"unknown corpus {corpus!r}; known: {', '.join(CORPORA)}")
    if output.is_dir():
        raise UsageError(
            f"{output}: expected a file to write, got a folder; give a name such as manifest.jsonl"
        )


def _texts_to_convert(utterances: Iterable[Utterance]) -> tuple[Text, ...]:
    """The distinct texts, with their languages, of utterances without annotated phonemes."""
    texts = {_text_of(utterance): None for utterance in utterances if utterance.phonemes is None}
    return tuple(text for text in texts if text is not None)


def _text_of(utterance: Utterance) -> Text | None:
    """Transcript and language; None if either is missing (laughter has the transcript "")."""
    if not utterance.transcript or utterance.language is None:
        return None
    return utterance.transcript, utterance.language


def _phonemize(texts: Sequence[Text], tick: Callable[[], None]) -> _Phonemized:
    """Convert texts to phonemes; failures give one warning per reason."""
    phonemes: dict[Text, Phonemes] = {}
    refused: dict[str, list[str]] = {}
    for text in texts:
        try:
            phonemes[text] = phonemize(*text)
        except MissingExtraError as error:
            if error.extra == "espeak":  # other languages are prepared all the same
                refused.setdefault(f"language {text[1]!r}: {error}", []).append(text[0])
                tick()
                continue
            what = "converting transcripts to phonemes (skip it with --no-g2p)"
            raise MissingExtraError(what, "g2p") from error
        except PhonemeError as error:
            refused.setdefault(str(error), []).append(text[0])
        tick()
    warnings = [
        f"no phonemes for {len(sources)} {'texts' if len(sources) > 1 else 'text'}: {reason}"
        for reason, sources in refused.items()
    ]
    return _Phonemized(phonemes, _shorten(warnings, "reasons for missing phonemes"))


def _with_phonemes(
    utterances: Iterable[Utterance], phonemes: Mapping[Text, Phonemes], sources: Counter[str]
) -> Iterator[Utterance]:
    """Yield the utterances with the phonemes of their texts, and count the sources."""
    for utterance in utterances:
        text = _text_of(utterance)
        if utterance.phonemes is None and text is not None and text in phonemes:
            utterance = utterance.model_copy(update={"phonemes": phonemes[text]})
        sources[NONE if utterance.phonemes is None else utterance.phonemes.source] += 1
        yield utterance


def _audio_faults(checked: Audit) -> list[str]:
    return [
        f"{reason} ({count}, first {safe_name(checked.first_faults[reason])})"
        for reason, count in checked.faults.items()
    ]


def _count_faults(card: CorpusCard, utterances: Sequence[Utterance]) -> list[str]:
    """Differences from the published counts; emotions without a published count are ignored."""
    counts = Counter(utterance.emotion for utterance in utterances)
    speakers = len({utterance.speaker for utterance in utterances} - {None})
    pairs: list[tuple[str, int, int | None]] = [
        ("utterances", len(utterances), card.utterances),
        ("speakers", speakers, card.speakers),
    ]
    pairs += [(name, counts[name], published) for name, published in (card.emotions or {}).items()]
    return [
        f"{name}: expected {published} as published, got {actual}"
        for name, actual, published in pairs
        if published is not None and actual != published
    ]


def _corpus_error(
    corpus: str, root: Path, faults: Sequence[str], skipped: Mapping[str, int], usable: bool
) -> CorpusError:
    left_out = ", ".join(f"{reason} ({count})" for reason, count in skipped.items())
    return CorpusError(
        f"{corpus} in {root}: {'; '.join(faults)}"
        + (f"; skipped while reading: {left_out}" if left_out else "")
        + "; complete the folder"
        + (" or accept it with --allow-partial" if usable else "")
    )


def _duplicate_warnings(checked: Audit) -> tuple[str, ...]:
    warnings = [f"identical recordings: {', '.join(group)}" for group in checked.twins]
    return _shorten(warnings, "groups of identical recordings")


def _shorten(warnings: Sequence[str], what: str) -> tuple[str, ...]:
    if len(warnings) <= _MAX_LISTED:
        return tuple(warnings)
    return (*warnings[:_MAX_LISTED], f"and {len(warnings) - _MAX_LISTED} more {what}")


def _progress_counter(progress: Progress | None, total: int) -> Callable[[], None]:
    steps = itertools.count(1)

    def tick() -> None:
        if progress is not None:
            progress(next(steps), total)

    return tick


def _tally(names: Iterable[str | None]) -> dict[str, int]:
    return dict(sorted(Counter(NONE if name is None else name for name in names).items()))


def _summarize(
    header: Header,
    output: Path,
    checked: Audit,
    sources: Mapping[str, int],
    warnings: tuple[str, ...],
) -> Prepared:
    return Prepared(
        header=header,
        output=output,
        utterances=len(checked.utterances),
        hours=checked.seconds / 3600,
        emotions=_tally(utterance.emotion for utterance in checked.utterances),
        speakers=_tally(utterance.speaker for utterance in checked.utterances),
        skipped=header.skipped,
        phoneme_sources=dict(sorted(sources.items())),
        warnings=warnings,
    )
