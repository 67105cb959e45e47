"""Small manifests for the tests of splits and leakage: ids and what is known of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from random import Random

from hypothesis import strategies as st

from phonemo.corpora.manifest import Utterance

TEXTS = (
    "Kids are talking by the door.",
    "Dogs are sitting by the door.",
    "It's eleven o'clock!",
    "Tomorrow nobody will be here",
    "We carried all of it upstairs",
    "Seven hours from now, it begins.",
    "The fridge is under a cloth",
)


def utterance(name: str, speaker: str | None = None, **known: str | None) -> Utterance:
    """One utterance; what is not named is unknown."""
    return Utterance.model_validate({"id": name, "file": f"{name}.wav", "speaker": speaker} | known)


def parallel(speakers: Iterable[str], texts: Iterable[str], takes: int = 2) -> list[Utterance]:
    """Every speaker says every text, once in anger and once neutrally: EmoDB's design."""
    texts = tuple(texts)
    return [
        utterance(
            f"{speaker}-{t}-{take}",
            speaker,
            gender="f" if speaker.startswith("f") else "m",
            transcript=text,
            emotion=("anger", "neutral")[take % 2],
        )
        for speaker in speakers
        for t, text in enumerate(texts)
        for take in range(takes)
    ]


def scripted() -> list[Utterance]:
    """Speakers a, b, c, d; a and b nearly say the same once (4 of 6 words: 0.67)."""
    said = {
        "a": ["we go home now please", "red"],
        "b": ["we go home now sir", "green"],
        "c": ["blue", "black"],
        "d": ["white", "grey"],
    }
    return [
        utterance(f"{who}-{n}", who, transcript=text, emotion=("anger", "neutral")[n])
        for who, texts in said.items()
        for n, text in enumerate(texts)
    ]


@st.composite
def manifests(draw: st.DrawFn) -> list[Utterance]:
    """Six to eight speakers, two to a session; each says four or five sentences, in any order."""
    texts = TEXTS[: draw(st.integers(4, 5))]
    rows = []
    for n in range(draw(st.integers(6, 8))):
        gender = draw(st.sampled_from(["f", "m", None]))
        for t, text in enumerate(texts):
            for take in range(draw(st.integers(1, 2))):
                known = {
                    "session": f"session {n // 2}",
                    "gender": gender,
                    "transcript": draw(st.sampled_from([text, text.upper(), f"  {text}?!"])),
                    "emotion": draw(st.sampled_from(["anger", "neutral", None])),
                }
                rows.append(utterance(f"u{n}-{t}-{take}", f"s{n}", **known))
    Random(draw(st.integers(0, 9))).shuffle(rows)
    return rows


def write_folds(folder: Path, folds: Iterable[tuple[Iterable[str], Iterable[str]]]) -> Path:
    """Fold files as EmoBox publishes them, from (train, test) ids."""
    for number, (train, test) in enumerate(folds, start=1):
        place = folder / f"fold_{number}"
        place.mkdir(parents=True)
        for part, ids in (("train", train), ("test", test)):
            rows = [{"key": f"toy-{one}", "wav": f"downloads/toy/wav/{one}.wav"} for one in ids]
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (place / f"toy_{part}_fold_{number}.jsonl").write_text(text, encoding="utf-8")
    return folder


def from_metadata(folder: Path) -> list[Utterance]:
    """The utterances of a shared corpus, from the table that lies beside it."""
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as stream:
        table = list(csv.DictReader(stream))
    known = ("speaker", "gender", "emotion", "transcript", "language")
    return [
        utterance(Path(row["file"]).stem, **{name: row[name] or None for name in known})
        for row in table
    ]
