"""Small manifests for the tests of splits and leakage."""

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


def utterance(name: str, speaker: str | None = None, **fields: str | None) -> Utterance:
    """One utterance; fields that are not given are unknown."""
    return Utterance.model_validate(
        {"id": name, "file": f"{name}.wav", "speaker": speaker} | fields
    )


def parallel(speakers: Iterable[str], texts: Iterable[str], takes: int = 2) -> list[Utterance]:
    """Every speaker speaks every text, once angry and once neutral, as in EmoDB."""
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
    """Speakers a, b, c, d; a and b have one near-duplicate (4 of 6 words: 0.67)."""
    texts_of = {
        "a": ["we go home now please", "red"],
        "b": ["we go home now sir", "green"],
        "c": ["blue", "black"],
        "d": ["white", "grey"],
    }
    return [
        utterance(f"{speaker}-{n}", speaker, transcript=text, emotion=("anger", "neutral")[n])
        for speaker, texts in texts_of.items()
        for n, text in enumerate(texts)
    ]


@st.composite
def manifests(draw: st.DrawFn) -> list[Utterance]:
    """Six to eight speakers, two per session, with four or five sentences each, in any order."""
    texts = TEXTS[: draw(st.integers(4, 5))]
    rows = []
    for n in range(draw(st.integers(6, 8))):
        gender = draw(st.sampled_from(["f", "m", None]))
        for t, text in enumerate(texts):
            for take in range(draw(st.integers(1, 2))):
                fields = {
                    "session": f"session {n // 2}",
                    "gender": gender,
                    "transcript": draw(st.sampled_from([text, text.upper(), f"  {text}?!"])),
                    "emotion": draw(st.sampled_from(["anger", "neutral", None])),
                }
                rows.append(utterance(f"u{n}-{t}-{take}", f"s{n}", **fields))
    Random(draw(st.integers(0, 9))).shuffle(rows)
    return rows


def write_folds(folder: Path, folds: Iterable[tuple[Iterable[str], Iterable[str]]]) -> Path:
    """Write fold files in EmoBox's layout, from (train, test) ids."""
    for number, (train, test) in enumerate(folds, start=1):
        path = folder / f"fold_{number}"
        path.mkdir(parents=True)
        for part, ids in (("train", train), ("test", test)):
            rows = [{"key": f"toy-{name}", "wav": f"downloads/toy/wav/{name}.wav"} for name in ids]
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (path / f"toy_{part}_fold_{number}.jsonl").write_text(text, encoding="utf-8")
    return folder


def from_metadata(folder: Path) -> list[Utterance]:
    """The utterances of a shared corpus, from its metadata table."""
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as stream:
        table = list(csv.DictReader(stream))
    columns = ("speaker", "gender", "emotion", "transcript", "language")
    return [
        utterance(Path(row["file"]).stem, **{name: row[name] or None for name in columns})
        for row in table
    ]
