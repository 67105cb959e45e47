"""IEMOCAP: five sessions of two actors each, improvised and scripted dialogs in English.

The letter before the turn's number is the speaker: ``Ses01F_impro01_M003`` is spoken by Ses01M. The
letter after the session is the actor with motion-capture markers. ``Utterance.session`` is "1" to
"5", ``dialog`` such as "Ses01F_impro01". A turn with only laughter has the transcript "", since it
has no words; a turn that is missing from the transcriptions has None.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phonemo.corpora.manifest import Phonemes, Utterance
from phonemo.corpora.ratings.scales import to_unit
from phonemo.corpora.readers.base import (
    SHADOW,
    CorpusCard,
    CorpusReading,
    audio_by_stem,
    is_shadow,
    require_folder,
)
from phonemo.corpora.readers.iemocap_files import (
    SCALE,
    Evaluation,
    UtteranceName,
    clean_text,
    parse_name,
    read_alignment,
    read_evaluations,
    read_transcripts,
    repeated,
)
from phonemo.errors import CorpusError

CARD = CorpusCard(
    name="iemocap",
    title="IEMOCAP: interactive emotional dyadic motion capture database",
    language="en",
    licence="IEMOCAP licence of the University of Southern California: research use, on request",
    homepage="https://sail.usc.edu/iemocap/",
    acted=True,
    utterances=10039,
    speakers=10,
    emotions={
        "neutral": 1708,
        "happiness": 595,
        "excited": 1041,
        "anger": 1103,
        "sadness": 1084,
    },
    note=(
        "Half of the standard four classes is scripted, and scripts repeat over sessions: report "
        "scripted and improvised separately (5531 utterances with excited merged into happiness: "
        "2943 improvised, 2588 scripted). Utterances without an agreed emotion have none."
    ),
)

_RELEASE_FOLDER = "IEMOCAP_full_release"
_SESSIONS = tuple(f"Session{number}" for number in range(1, 6))


@dataclass(frozen=True)
class _Texts:
    """The evaluations and transcripts of a session by utterance, and the skipped entries."""

    evaluations: Mapping[str, Evaluation]
    transcripts: Mapping[str, str]
    skipped: Counter[str]


@dataclass(frozen=True)
class _Listing:
    """Files sorted by name, and the skipped ones."""

    files: tuple[Path, ...]
    skipped: Counter[str]


@dataclass(frozen=True)
class _Alignment:
    """An utterance's phonemes, or the reason why there are none."""

    phonemes: Phonemes | None = None
    fault: str | None = None


def read(root: Path, *, frame_offset: int = 0) -> CorpusReading:
    """Read the release from ``IEMOCAP_full_release`` or its parent folder.

    Every recording named like an utterance becomes one, labeled or not. Missing sessions are
    skipped; compare the counts with ``CARD`` if all are required.

    Args:
        root: The folder; ``Utterance.file`` is relative to it.
        frame_offset: Frames of 10 ms added to the times of the forced alignments.

    Raises:
        CorpusError: no session, a session without its folders, or no recordings.
        PhonemeError: an alignment with an unknown phone.
    """
    root = Path(root)
    require_folder(root)
    utterances: list[Utterance] = []
    skipped: Counter[str] = Counter()
    for session in _session_folders(root):
        part = _read_session(root, session, frame_offset)
        utterances.extend(part.utterances)
        skipped.update(part.skipped)
    if not utterances:
        raise CorpusError(
            f"{root}: expected recordings in Session*/sentences/wav; unpack the whole release"
        )
    return CorpusReading(utterances=tuple(utterances), skipped=dict(sorted(skipped.items())))


def _session_folders(root: Path) -> tuple[Path, ...]:
    for base in (root, root / _RELEASE_FOLDER):
        folders = tuple(base / name for name in _SESSIONS if (base / name).is_dir())
        if folders:
            return folders
    raise CorpusError(
        f"{root}: expected folders Session1 ... Session5; pass {_RELEASE_FOLDER} or its parent"
    )


def _read_session(root: Path, session: Path, frame_offset: int) -> CorpusReading:
    texts = _read_texts(session)
    audio = _list_recordings(_require_subfolder(session / "sentences" / "wav"))
    names = {path: parse_name(path.stem) for path in audio.files}
    utterances: list[Utterance] = []
    faults: list[str | None] = []
    for path, name in names.items():
        if name is None:
            faults.append("recording whose name is no utterance's")
            continue
        alignment = _align(session, name.dialog, path.stem, frame_offset)
        faults.append(alignment.fault)
        utterances.append(_utterance(path.relative_to(root), name, texts, alignment.phonemes))
    skipped = Counter(fault for fault in faults if fault is not None)
    skipped.update(
        texts.skipped
        + audio.skipped
        + _count_gaps(texts, {utterance.id for utterance in utterances})
    )
    return CorpusReading(tuple(utterances), skipped)


def _utterance(
    file: Path, name: UtteranceName, texts: _Texts, phonemes: Phonemes | None
) -> Utterance:
    evaluation = texts.evaluations.get(file.stem)
    text = texts.transcripts.get(file.stem)
    return Utterance(
        id=file.stem,
        file=file.as_posix(),
        speaker=name.speaker,
        gender=name.gender,
        session=name.session,
        dialog=name.dialog,
        language="en",
        transcript=clean_text(text).text if text is not None else None,
        style=name.style,
        emotion=evaluation.emotion if evaluation is not None else None,
        phonemes=phonemes,
        **_ratings(evaluation),
    )


def _ratings(evaluation: Evaluation | None) -> dict[str, Any]:
    """The fields that raters filled; a value outside the scale is unknown."""
    if evaluation is None:
        return {}
    values = {name: to_unit(value, SCALE) for name, value in evaluation.rated().items()}
    fields: dict[str, Any] = {**values, "votes": dict(evaluation.votes) or None}
    return fields | ({"scale": SCALE} if values else {})


def _align(session: Path, dialog: str, utterance: str, frame_offset: int) -> _Alignment:
    path = session / "sentences" / "ForcedAlignment" / dialog / f"{utterance}.phseg"
    if not path.is_file():
        return _Alignment(fault="alignment missing (kept, no phonemes)")
    phonemes = read_alignment(path, frame_offset)
    if phonemes is None:
        return _Alignment(fault="alignment broken off or malformed (kept, no phonemes)")
    if not phonemes.symbols:
        return _Alignment(fault="alignment of fillers alone (kept, no phonemes)")
    return _Alignment(phonemes=phonemes)


def _read_texts(session: Path) -> _Texts:
    evaluated = _list_texts(_require_subfolder(session / "dialog" / "EmoEvaluation"))
    transcribed = _list_texts(session / "dialog" / "transcriptions")
    marks = [read_evaluations(path) for path in evaluated.files]
    words = [read_transcripts(path) for path in transcribed.files]
    evaluations = [evaluation for mark in marks for evaluation in mark.evaluations]
    turns = [turn for word in words for turn in word.turns]
    skipped = Counter(
        {
            "stray line in an evaluation": sum(mark.strays for mark in marks),
            "stray line in a transcript": sum(word.strays for word in words),
            "turn evaluated again": repeated([evaluation.utterance for evaluation in evaluations]),
            "turn transcribed again": repeated([name for name, _ in turns]),
        }
    )
    return _Texts(
        evaluations={evaluation.utterance: evaluation for evaluation in reversed(evaluations)},
        transcripts=dict(reversed(turns)),
        skipped=skipped + evaluated.skipped + transcribed.skipped,
    )


def _count_gaps(texts: _Texts, recorded: set[str]) -> Counter[str]:
    """Count mismatches of text files and recordings, missing emotions and removed tags."""
    evaluated, transcribed = set(texts.evaluations), set(texts.transcripts)
    tags = sum(clean_text(texts.transcripts[name]).tags for name in transcribed & recorded)
    read = [texts.evaluations[name] for name in evaluated & recorded]
    undecided = [name for name in evaluated & recorded if texts.evaluations[name].emotion is None]
    return Counter(
        {
            "evaluation without a recording": len(evaluated - recorded),
            "turn without a recording": len(transcribed - recorded),
            "recording without an evaluation (kept, no emotion)": len(recorded - evaluated),
            "recording without a transcript (kept)": len(recorded - transcribed),
            "emotion not agreed on (kept, no emotion)": len(undecided),
            "rating outside 1 to 5 (kept, without it)": sum(one.outside() for one in read),
            "tag taken out of a transcript": tags,
        }
    )


def _list_texts(folder: Path) -> _Listing:
    """The text files directly in a folder; the individual raters' files are in subfolders."""
    files = sorted(folder.glob("*.txt"))
    texts = tuple(path for path in files if not is_shadow(path))
    return _Listing(texts, Counter({SHADOW: len(files) - len(texts)}))


def _list_recordings(folder: Path) -> _Listing:
    skipped: Counter[str] = Counter()
    dialogs = [path for path in sorted(folder.iterdir()) if path.is_dir()]
    recordings = [path for dialog in dialogs for path in audio_by_stem(dialog, skipped).values()]
    return _Listing(tuple(recordings), skipped)


def _require_subfolder(folder: Path) -> Path:
    if not folder.is_dir():
        raise CorpusError(f"{folder}: no such folder; unpack the whole release of IEMOCAP")
    return folder
