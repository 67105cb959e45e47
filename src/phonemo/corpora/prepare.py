"""A release's folder in, a manifest out: read, open the audio, hold against the published counts.

Phonemes come from the release's own annotation where it has one, and otherwise from its
transcripts by grapheme-to-phoneme conversion.

What the audio of a corpus says before anything is trained on it: length, faults, duplicates.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import soundfile

from phonemo.corpora import CORPORA
from phonemo.corpora.g2p.convert import phonemize
from phonemo.corpora.manifest import Header, Phonemes, Utterance, write_manifest
from phonemo.corpora.readers.base import CorpusCard, CorpusReading
from phonemo.errors import CorpusError, MissingExtraError, PhonemeError, UsageError
from phonemo.version import __version__

#: Shortest utterance that a network with 25 ms frames can hear.
SHORTEST_SECONDS = 0.025
#: How far a table's end may lie behind the end of the audio: rounding in hand-made tables.
_SLACK_SECONDS = 0.05
_BLOCK_SAMPLES = 8192


@dataclass(frozen=True)
class Sound:
    """A file's header: its length and shape, or the fault that makes it useless."""

    seconds: float = 0.0
    samples: int = 0
    rate: int = 0
    channels: int = 0
    fault: str | None = None


@dataclass(frozen=True)
class Audit:
    """Which utterances can be heard, for how long, and which files are the same recording."""

    utterances: tuple[Utterance, ...]
    seconds: float
    faults: Mapping[str, int]
    """Reason -> utterances left out for it."""
    first_faults: Mapping[str, str]
    """Reason -> the first such file, to look at."""
    twins: tuple[tuple[str, ...], ...]
    """Groups of files with the same samples."""


def audit(utterances: Sequence[Utterance], root: Path, progress: Callable[[], None]) -> Audit:
    """Open every utterance's audio under ``root``; ``progress`` is called after each."""
    sounds: dict[str, Sound] = {}
    faults: Counter[str] = Counter()
    first_faults: dict[str, str] = {}
    heard: list[Utterance] = []
    seconds = 0.0
    for utterance in utterances:
        sound = sounds.get(utterance.file) or inspect(root / utterance.file)
        sounds[utterance.file] = sound
        fault = sound.fault or _segment_fault(utterance, sound)
        if fault is None:
            heard.append(utterance)
            seconds += _length(utterance, sound)
        else:
            faults[fault] += 1
            first_faults.setdefault(fault, utterance.file)
        progress()
    twins = _duplicates(root, {utterance.file: sounds[utterance.file] for utterance in heard})
    return Audit(tuple(heard), seconds, dict(faults), first_faults, twins)


def inspect(path: Path) -> Sound:
    """Read a file's header; a fault is returned, not raised, so that all can be counted."""
    if not path.is_file():
        return Sound(fault="audio: no such file")
    try:
        info = soundfile.info(str(path))
    except (soundfile.SoundFileError, OSError):
        return Sound(fault="audio: cannot be opened")
    seconds = info.frames / info.samplerate
    if info.frames == 0:
        return Sound(fault="audio: empty")
    if seconds < SHORTEST_SECONDS:
        return Sound(fault="audio: shorter than 25 ms")
    return Sound(seconds, info.frames, info.samplerate, info.channels)


def _segment_fault(utterance: Utterance, sound: Sound) -> str | None:
    end = utterance.end if utterance.end is not None else sound.seconds
    if end > sound.seconds + _SLACK_SECONDS:
        return "segment: ends behind the end of its audio"
    if _length(utterance, sound) < SHORTEST_SECONDS:
        return "segment: shorter than 25 ms"
    return None


def _length(utterance: Utterance, sound: Sound) -> float:
    end = min(utterance.end if utterance.end is not None else sound.seconds, sound.seconds)
    return end - (utterance.start or 0.0)


def _duplicates(root: Path, sounds: Mapping[str, Sound]) -> tuple[tuple[str, ...], ...]:
    """Files with the same samples.

    To decode a whole corpus for this would take minutes, so only files of the same shape are
    opened, and of those only files that begin alike are decoded to their end.
    """
    groups = _grouped(sounds, lambda file: _shape(sounds[file]))
    for blocks in (1, None):
        groups = [
            same for group in groups for same in _grouped(group, partial(_digest, root, blocks))
        ]
    return tuple(tuple(group) for group in groups)


def _grouped(files: Iterable[str], key: Callable[[str], Hashable]) -> list[list[str]]:
    """The files that share their key with another one; None is shared with nobody."""
    groups: dict[Hashable, list[str]] = {}
    for file in sorted(files):
        groups.setdefault(key(file), []).append(file)
    return [group for name, group in groups.items() if name is not None and len(group) > 1]


def _shape(sound: Sound) -> tuple[int, int, int]:
    return sound.samples, sound.rate, sound.channels


def _digest(root: Path, blocks: int | None, file: str) -> str | None:
    """A hash of the samples in the first blocks; None where they cannot be decoded.

    What cannot be decoded behind its header is training's to complain about, not this hash's.
    """
    digest = hashlib.sha256()
    try:
        for block in itertools.islice(_blocks(root / file), blocks):
            digest.update(block)
    except (soundfile.SoundFileError, OSError):
        return None
    return digest.hexdigest()


def _blocks(path: Path) -> Iterator[bytes]:
    with soundfile.SoundFile(str(path)) as sound:
        while len(block := sound.read(_BLOCK_SAMPLES, dtype="float32", always_2d=True)):
            yield block.tobytes()


Progress = Callable[[int, int], None]
Text = tuple[str, str]

#: The key that counts what has no emotion, speaker or phonemes.
NONE = "(none)"

#: How many warnings of one kind are written out.
_NAMED = 3


@dataclass(frozen=True)
class Prepared:
    """What went into a manifest, counted."""

    header: Header
    output: Path
    utterances: int
    hours: float
    emotions: Mapping[str, int]
    """Emotion -> utterances; "(none)" counts those without one."""
    speakers: Mapping[str, int]
    """Speaker -> utterances; "(none)" counts those without one."""
    skipped: Mapping[str, int]
    """Reason -> entries of the release left out for it; audio faults among them."""
    phoneme_sources: Mapping[str, int]
    """Annotation or backend -> utterances; "(none)" counts those without phonemes."""
    warnings: tuple[str, ...]


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
        root: the release's folder (for csv the table itself, or its folder).
        output: the manifest to write; it is written whole or not at all.
        allow_partial: accept missing or unusable audio and unmet published counts; the manifest
            then says that it is partial.
        g2p: turn transcripts into phonemes where the release has no annotation.
        progress: called with (done, total) over the files opened and the texts converted.

    Raises:
        UsageError: unknown corpus, or an output that is a folder.
        CorpusError: another layout, published counts not met, or audio that cannot be used.
        MissingExtraError: phonemes are wanted from text and the g2p extra is not installed.
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
    """Check what was read of a release and write its manifest; arguments and errors of prepare.

    Args:
        card: of the corpus.
        reading: its utterances.
        root: the release's folder, or a file in the folder that paths are relative to.
        output: the manifest.
        allow_partial: as there.
        g2p: as there.
        progress: as there.
    """
    corpus, output = card.name, Path(output)
    folder = root.parent if root.is_file() else root
    texts = _texts(reading.utterances) if g2p else ()
    tick = _progress_counter(progress, len(reading.utterances) + len(texts))
    checked = audit(reading.utterances, folder, tick)
    faults = (*_audio_faults(checked), *_count_faults(card, checked.utterances))
    if not checked.utterances or (faults and not allow_partial):
        raise _corpus_error(corpus, root, faults, reading.skipped, bool(checked.utterances))
    spoken = _phonemize(texts, tick)
    header = Header(
        corpus=corpus,
        root=str(folder),
        partial=bool(faults),
        skipped={**reading.skipped, **checked.faults},
        phonemo=__version__,
    )
    sources: Counter[str] = Counter()
    write_manifest(output, header, _filled(checked.utterances, spoken.phonemes, sources))
    warnings = (*faults, *_duplicate_warnings(checked), *spoken.warnings)
    return _counted(header, output, checked, sources, warnings)


def _check_request(corpus: str, output: Path) -> None:
    if corpus not in CORPORA:
        raise UsageError(f"unknown corpus {corpus!r}; known: {', '.join(CORPORA)}")
    if output.is_dir():
        raise UsageError(f"{output}: a folder; name the manifest to write, such as manifest.jsonl")


def _texts(utterances: Iterable[Utterance]) -> tuple[Text, ...]:
    """The distinct texts, with their languages, of utterances that no annotation covers."""
    wanted = {_text(one): None for one in utterances if one.phonemes is None}
    return tuple(text for text in wanted if text is not None)


def _text(utterance: Utterance) -> Text | None:
    """The words and their language; None without either (laughter is a transcript of no words)."""
    if not utterance.transcript or utterance.language is None:
        return None
    return utterance.transcript, utterance.language


def _phonemize(texts: Sequence[Text], tick: Callable[[], None]) -> _Phonemized:
    """The phonemes of texts; one that cannot be converted gives one warning a reason."""
    phonemes: dict[Text, Phonemes] = {}
    refused: dict[str, list[str]] = {}
    for text in texts:
        try:
            phonemes[text] = phonemize(*text)
        except MissingExtraError as error:
            what = "turning transcripts into phonemes (--no-g2p leaves it out)"
            raise MissingExtraError(what, "g2p") from error
        except PhonemeError as error:
            refused.setdefault(str(error), []).append(text[0])
        tick()
    warnings = [
        f"no phonemes for {len(sources)} {'texts' if len(sources) > 1 else 'text'}: {reason}"
        for reason, sources in refused.items()
    ]
    return _Phonemized(phonemes, _shortened(warnings, "reasons for missing phonemes"))


def _filled(
    utterances: Iterable[Utterance], phonemes: Mapping[Text, Phonemes], sources: Counter[str]
) -> Iterator[Utterance]:
    """The utterances with the phonemes of their texts, one by one; counts where those are from."""
    for one in utterances:
        text = _text(one)
        if one.phonemes is None and text is not None and text in phonemes:
            one = one.model_copy(update={"phonemes": phonemes[text]})
        sources[NONE if one.phonemes is None else one.phonemes.source] += 1
        yield one


def _audio_faults(checked: Audit) -> list[str]:
    return [
        f"{reason} ({count}, first {checked.first_faults[reason]})"
        for reason, count in checked.faults.items()
    ]


def _count_faults(card: CorpusCard, utterances: Sequence[Utterance]) -> list[str]:
    """Where the release's published counts are not met. Emotions it does not count are free."""
    found = Counter(one.emotion for one in utterances)
    speakers = len({one.speaker for one in utterances} - {None})
    pairs: list[tuple[str, int, int | None]] = [
        ("utterances", len(utterances), card.utterances),
        ("speakers", speakers, card.speakers),
    ]
    pairs += [(name, found[name], wanted) for name, wanted in (card.emotions or {}).items()]
    return [
        f"{name}: {have} found, {wanted} published"
        for name, have, wanted in pairs
        if wanted is not None and have != wanted
    ]


def _corpus_error(
    corpus: str, root: Path, faults: Sequence[str], skipped: Mapping[str, int], usable: bool
) -> CorpusError:
    left_out = ", ".join(f"{reason} ({count})" for reason, count in skipped.items())
    return CorpusError(
        f"{corpus} in {root}: {'; '.join(faults)}"
        + (f"; left out while reading: {left_out}" if left_out else "")
        + "; complete the folder"
        + (", or take it as it is with --allow-partial" if usable else "")
    )


def _duplicate_warnings(checked: Audit) -> tuple[str, ...]:
    warnings = [f"the same recording: {', '.join(group)}" for group in checked.twins]
    return _shortened(warnings, "groups of identical recordings")


def _shortened(warnings: Sequence[str], what: str) -> tuple[str, ...]:
    if len(warnings) <= _NAMED:
        return tuple(warnings)
    return (*warnings[:_NAMED], f"and {len(warnings) - _NAMED} more {what}")


def _progress_counter(progress: Progress | None, total: int) -> Callable[[], None]:
    steps = itertools.count(1)

    def tick() -> None:
        if progress is not None:
            progress(next(steps), total)

    return tick


def _tally(names: Iterable[str | None]) -> dict[str, int]:
    return dict(sorted(Counter(NONE if name is None else name for name in names).items()))


def _counted(
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
        emotions=_tally(one.emotion for one in checked.utterances),
        speakers=_tally(one.speaker for one in checked.utterances),
        skipped=header.skipped,
        phoneme_sources=dict(sorted(sources.items())),
        warnings=warnings,
    )
