"""A generated miniature of IEMOCAP's folder, with the irregularities of the release.

Ten dialogs of six turns: in each session one improvised and one scripted, one per actor with
markers, and both actors speak in both. The special cases are listed in ``ODDITIES``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000
SECONDS = 0.5
SHADOW = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        \xa4"

#: Dialogs of a session: the improvised one, then the scripted one.
DIALOGS = {
    1: ("Ses01F_impro01", "Ses01M_script01_1"),
    2: ("Ses02M_impro02", "Ses02F_script02_2"),
    3: ("Ses03M_impro05a", "Ses03F_script03_1"),
    4: ("Ses04F_impro08", "Ses04M_script01_3"),
    5: ("Ses05F_impro03", "Ses05M_script01_1b"),
}

#: Turns of a dialog and their codes; "rare" is another code in each session.
TURNS = ("F000", "M000", "F001", "M001", "F002", "M002")
CODES = {
    "impro": ("neu", "ang", "hap", "sad", "fru", "xxx"),
    "script": ("ang", "neu", "sad", "hap", "exc", "rare"),
}
#: Code -> valence, activation, dominance as the release writes them, means on a scale from 1 to 5.
ATTRIBUTES = {
    "neu": "3.0000, 2.4000, 2.8000",
    "ang": "1.8000, 4.0000, 3.8000",
    "hap": "4.4000, 3.6000, 3.2000",
    "exc": "4.2000, 4.2000, 3.4000",
    "sad": "1.6000, 1.8000, 2.0000",
    "fru": "2.0000, 3.2000, 3.2000",
}
UNSURE = "2.5000, 3.0000, 1.6667"
#: Code -> a category as the raters' lines write it.
CATEGORIES = {"ang": "Anger", "hap": "Happiness", "exc": "Excited", "sad": "Sadness"}
RARE = {1: "sur", 2: "fea", 3: "dis", 4: "oth", 5: "exc"}

#: Sentences and how SPHINX aligns them: context-dependent stops, TS, reduced vowels.
SENTENCES = (
    ("Excuse me.", "IX K S K Y UW Z M IY"),
    ("It's hot.", "IH TS HH AA TD"),
    ("A cat and a dog.", "AX K AE TD AE N DD AX D AO GD"),
    ("Look, it's better.", "L UH KD IH TS B EH DX AXR"),
    ("Do you have your forms?", "D UW Y UW HH AE V Y AO R F AO R M Z"),
    ("I know.", "AY N OW"),
)

#: Special cases for the tests -> their utterance or dialog.
ODDITIES = {
    "spoken by the other actor": "Ses01F_impro01_M000",
    "tag": "Ses01F_impro01_F001",
    "tag alone": "Ses01F_impro01_M002",
    "empty dominance": "Ses01F_impro01_F000",
    "alignment missing": "Ses02M_impro02_F001",
    "alignment cut off": "Ses04F_impro08_M001",
    "latin-1 transcript": "Ses02F_script02_2_F000",
    "latin-1 evaluation": "Ses04F_impro08",
    "shadow files": "Ses03M_impro05a",
    "contradicted by one rater's own file": "Ses01F_impro01_F000",
}


@dataclass(frozen=True)
class Turn:
    """One turn of a dialog as the miniature's files describe it."""

    dialog: str
    name: str
    code: str
    text: str
    phones: tuple[str, ...]
    start: float

    @property
    def id(self) -> str:
        """The utterance's name."""
        return f"{self.dialog}_{self.name}"


def make_iemocap(root: Path) -> Path:
    """Write the miniature below ``root``; returns its folder ``IEMOCAP_full_release``."""
    release = root / "IEMOCAP_full_release"
    for session, dialogs in DIALOGS.items():
        folder = release / f"Session{session}"
        for dialog in dialogs:
            turns = _turns(session, dialog)
            _write_evaluation(folder, dialog, turns)
            _write_transcript(folder, dialog, turns)
            for turn in turns:
                _write_wav(folder, turn)
                _write_alignment(folder, turn)
    _write_shadows(release / "Session3", ODDITIES["shadow files"])
    _write_one_raters_file(release / "Session1")
    return release


def _turns(session: int, dialog: str) -> tuple[Turn, ...]:
    codes = CODES["script" if "script" in dialog else "impro"]
    turns = []
    for index, (name, code) in enumerate(zip(TURNS, codes, strict=True)):
        text, phones = SENTENCES[(index + session) % len(SENTENCES)]
        text, phones = _odd_words(f"{dialog}_{name}", text, phones)
        code = RARE[session] if code == "rare" else code
        turns.append(Turn(dialog, name, code, text, tuple(phones.split()), start=6.29 + 2 * index))
    return tuple(turns)


def _odd_words(utterance: str, text: str, phones: str) -> tuple[str, str]:
    if utterance == ODDITIES["tag"]:
        return f"[LAUGHTER] {text}", f"+LAUGHTER+ {phones}"
    if utterance == ODDITIES["tag alone"]:
        return "[BREATHING]", "+BREATHING+"
    if utterance == ODDITIES["latin-1 transcript"]:
        return "Café, I know.", "K AX F EY SIL AY N OW"
    return text, phones


def _write_evaluation(session: Path, dialog: str, turns: tuple[Turn, ...]) -> None:
    lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
    for turn in turns:
        dominance = " " if turn.id == ODDITIES["empty dominance"] else "2"
        times = f"[{turn.start:.4f} - {turn.start + SECONDS:.4f}]"
        lines += [
            f"{times}\t{turn.id}\t{turn.code}\t[{ATTRIBUTES.get(turn.code, UNSURE)}]",
            f"C-E2:\t{CATEGORIES.get(turn.code, 'Neutral state')};\t()",
            "C-E3:\tNeutral; Anger;\t(très fâché)",
            "C-F1:\tSadness;\t()",
            f"A-E3:\tval 3; act 2; dom  {dominance};\t()",
            "A-E4:\tval 2; act 4; dom  1;\t(calm; dom 5;)",
            "",
        ]
    encoding = "latin-1" if dialog == ODDITIES["latin-1 evaluation"] else "utf-8"
    _write(
        session / "dialog" / "EmoEvaluation" / f"{dialog}.txt", "\n".join(lines).encode(encoding)
    )


def _write_transcript(session: Path, dialog: str, turns: tuple[Turn, ...]) -> None:
    lines = [
        f"{turn.id} [{turn.start:08.4f}-{turn.start + SECONDS:08.4f}]: {turn.text}"
        for turn in turns
    ]
    partner = "M" if dialog[5] == "F" else "F"
    lines.insert(2, f"{dialog}_{partner}XX0 [009.0000-009.4000]: Mmhmm.")
    lines.insert(4, "M: Right.")
    lines += [f"{dialog}_{dialog[5]}XX1 [020.0000-020.5000]: [LAUGHTER]", ""]
    encoding = "latin-1" if ODDITIES["latin-1 transcript"].startswith(dialog) else "utf-8"
    _write(
        session / "dialog" / "transcriptions" / f"{dialog}.txt", "\r\n".join(lines).encode(encoding)
    )


def _write_alignment(session: Path, turn: Turn) -> None:
    """Three frames of silence, three per phone, then silence; with context columns."""
    if turn.id == ODDITIES["alignment missing"]:
        return
    rows = [("SIL", 3)] + [(phone, 3) for phone in turn.phones]
    rows.append(("SIL", round(SECONDS * 100) - sum(frames for _, frames in rows)))
    lines, first = ["     SFrm     EFrm    SegAScr Phone"], 0
    for position, (phone, frames) in enumerate(rows):
        previous, following = rows[position - 1][0], rows[(position + 1) % len(rows)][0]
        context = (
            "" if phone in ("SIL", "+LAUGHTER+", "+BREATHING+") else f" {previous} {following} i"
        )
        lines.append(f"{first:9d}{first + frames - 1:9d}{-31415 - position:11d} {phone}{context}")
        first += frames
    if turn.id != ODDITIES["alignment cut off"]:
        lines += [" Total score:    -314159", ""]
    folder = session / "sentences" / "ForcedAlignment" / turn.dialog
    _write(folder / f"{turn.id}.phseg", "\n".join(lines).encode())
    _write(folder / f"{turn.id}.wdseg", b"    SFrm    EFrm    SegAScr Word\n")


def _write_wav(session: Path, turn: Turn) -> None:
    """A tone whose pitch depends on speaker and emotion, with some seeded noise."""
    count = round(SECONDS * RATE)
    code = sorted({*CODES["impro"], *CODES["script"], *RARE.values()}).index(turn.code)
    pitch = (120 if turn.name[0] == "M" else 210) * (1 + code / 8)
    noise = np.random.default_rng([*turn.id.encode()]).normal(0, 0.01, count)
    wave = 0.3 * np.sin(2 * np.pi * pitch * np.arange(count) / RATE) + noise
    path = session / "sentences" / "wav" / turn.dialog / f"{turn.id}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, RATE, subtype="PCM_16")


def _write_shadows(session: Path, dialog: str) -> None:
    """Write the ``._`` files that macOS creates beside every file."""
    for path in sorted(session.rglob(f"{dialog}*")):
        if path.is_file():
            _write(path.with_name(f"._{path.name}"), SHADOW)
    _write(session / "sentences" / "wav" / f"._{dialog}", SHADOW)


def _write_one_raters_file(session: Path) -> None:
    """The individual raters' files below EmoEvaluation, which must not be read as the result."""
    utterance = ODDITIES["contradicted by one rater's own file"]
    dialog = utterance.rpartition("_")[0]
    line = f"[6.2900 - 6.7900]\t{utterance}\tsad\t[1.0000, 1.0000, 1.0000]\n"
    folder = session / "dialog" / "EmoEvaluation" / "Categorical"
    _write(folder / f"{dialog}_e2_cat.txt", line.encode())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
