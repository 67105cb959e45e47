"""A release's folder in, a manifest out: read, open the audio, hold against the published counts.

Phonemes come from the release's own annotation where it has one, and otherwise from its
transcripts by grapheme-to-phoneme conversion.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from phonemo.corpora import CORPORA
from phonemo.corpora.audit import Audit, audit
from phonemo.corpora.card import Card, Reading
from phonemo.corpora.g2p import phonemise
from phonemo.corpora.manifest import Header, Phonemes, Utterance, write_manifest
from phonemo.errors import CorpusError, MissingExtraError, PhonemeError, UsageError
from phonemo.version import __version__

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
class _Spoken:
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
    card: Card,
    reading: Reading,
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
    tick = _ticker(progress, len(reading.utterances) + len(texts))
    checked = audit(reading.utterances, folder, tick)
    faults = (*_audio_faults(checked), *_count_faults(card, checked.utterances))
    if not checked.utterances or (faults and not allow_partial):
        raise _complaint(corpus, root, faults, reading.skipped, bool(checked.utterances))
    spoken = _spoken(texts, tick)
    header = Header(
        corpus=corpus,
        root=str(folder),
        partial=bool(faults),
        skipped={**reading.skipped, **checked.faults},
        phonemo=__version__,
    )
    sources: Counter[str] = Counter()
    write_manifest(output, header, _filled(checked.utterances, spoken.phonemes, sources))
    warnings = (*faults, *_twin_warnings(checked), *spoken.warnings)
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


def _spoken(texts: Sequence[Text], tick: Callable[[], None]) -> _Spoken:
    """The phonemes of texts; one that cannot be converted gives one warning a reason."""
    phonemes: dict[Text, Phonemes] = {}
    refused: dict[str, list[str]] = {}
    for text in texts:
        try:
            phonemes[text] = phonemise(*text)
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
    return _Spoken(phonemes, _shortened(warnings, "reasons for missing phonemes"))


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


def _count_faults(card: Card, utterances: Sequence[Utterance]) -> list[str]:
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


def _complaint(
    corpus: str, root: Path, faults: Sequence[str], skipped: Mapping[str, int], usable: bool
) -> CorpusError:
    left_out = ", ".join(f"{reason} ({count})" for reason, count in skipped.items())
    return CorpusError(
        f"{corpus} in {root}: {'; '.join(faults)}"
        + (f"; left out while reading: {left_out}" if left_out else "")
        + "; complete the folder"
        + (", or take it as it is with --allow-partial" if usable else "")
    )


def _twin_warnings(checked: Audit) -> tuple[str, ...]:
    warnings = [f"the same recording: {', '.join(group)}" for group in checked.twins]
    return _shortened(warnings, "groups of identical recordings")


def _shortened(warnings: Sequence[str], what: str) -> tuple[str, ...]:
    if len(warnings) <= _NAMED:
        return tuple(warnings)
    return (*warnings[:_NAMED], f"and {len(warnings) - _NAMED} more {what}")


def _ticker(progress: Progress | None, total: int) -> Callable[[], None]:
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
