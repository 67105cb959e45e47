"""Parsed data with edited fields: what JSON files hold once parsed, and other tools' results.

An input is a name, a cut, and edits (see tests.fuzz.structures); an unknown name is the first one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from phonemo import labels
from phonemo.annotations.turn_objects import convert_turns
from phonemo.annotations.turns import Turn
from phonemo.batch.job import BatchCard, PartStats, read_card
from phonemo.batch.job_profile import PROFILE, read_profile
from phonemo.batch.plan import BatchItem, read_part
from phonemo.batch.run import _read_tally
from phonemo.batch.stores import Store, open_store
from phonemo.labels import EMOTIONS
from phonemo.loader import load_model
from phonemo.runtime.adaptation.profile import Profile
from tests.annotations.transcript_files import WHISPER, WHISPER_CPP, WHISPERX
from tests.fuzz.judging import check_scores, cut, scratch, told, written
from tests.fuzz.structures import edited
from tests.tiny_bundle import ADAPTABLE, RATE, make_clip

_CLIP = make_clip(RATE // 10, 120.0)
_TURNS = [[0, 1.5, "Ann"], {"start": 1.5, "end": 2.0, "speaker": "Ben", "text": "no"}]


@cache
def _adaptable() -> Any:
    return load_model(ADAPTABLE, threads=1)


@cache
def valid_profile() -> dict[str, Any]:
    """The content of a profile of the golden bundle that can be adapted."""
    reference = _adaptable().reference
    width = len(reference.centre)
    return {
        **{"format": 1, "model": reference.digest, "count": 40, "seconds": 60.5},
        **{"mean": [0.25] * width, "deviation": [1.5] * width},
    }


def profile(data: bytes) -> None:
    """A profile's file, as bytes."""
    _apply(told(Profile.parse, data))


def profile_fields(data: bytes) -> None:
    """A profile's content, edited."""
    _apply(told(Profile.from_dict, edited(valid_profile(), data)))


def _apply(found: Profile | None) -> None:
    if found is None:
        return
    assert Profile.parse(found.text()) == Profile.parse(Profile.parse(found.text()).text())
    adapted = told(_adaptable().with_profile, found)
    if adapted is not None:
        check_scores(adapted.predict(_CLIP, rate=RATE).scores)


# What a batch's folder holds when the command is run again ------------------------------------


@cache
def _job() -> dict[str, Any]:
    options = {"model_sha256": "0" * 64, "labels": ["anger", "neutral"], "top_k": 1}
    planned = {"parts": 1, "files": 2, "named": 2, "repeated": 0, "sha": "0" * 32}
    made = Profile.from_dict(valid_profile())
    applied = {"hash": made.hash, "count": made.count, "seconds": made.seconds}
    card = BatchCard.model_validate(
        {
            "command": "phonemo batch",
            "phonemo": "0.1.0",
            "options": options,
            "planned": planned,
            "profile": applied,
        }
    )
    stats = PartStats(
        part=0, files=2, failed=1, labels={"anger": 1}, errors={"too_short": 1}, phonemo="0.1.0"
    )
    item = BatchItem("a.wav", "/a.wav", "1", 0.5, 2.0, 1, (("agent", "7"),))
    return {
        "card": card.model_dump(by_alias=True),
        "tally": stats.model_dump(),
        "plan": [json.loads(item.to_line()), json.loads(BatchItem("b.wav", "/b.wav").to_line())],
        "profile": valid_profile(),
    }


def job_folder(data: bytes) -> None:
    """The bytes of batch.json, a part of the plan, a tally and profile.json."""
    card, plan, tally, profile = cut(data, 4)
    _resume(card, plan, tally, profile)


def job_fields(data: bytes) -> None:
    """Their contents, edited."""
    job = edited(_job(), data)
    if not isinstance(job, dict):
        return
    lines = job.get("plan")
    rows = lines if isinstance(lines, list) else [lines]
    texts = [_text(job.get("card")), "\n".join(map(_text, rows)), _text(job.get("tally"))]
    _resume(*(one.encode() for one in (*texts, _text(job.get("profile")))))


def _resume(card: bytes, plan: bytes, tally: bytes, profile: bytes) -> None:
    store = _store()
    files = {"batch.json": card, "plan/part-000000.jsonl": plan, PROFILE: profile}
    for name, content in (files | {"tally/part-000000.json": tally}).items():
        written(f"job/{name}", content)
    found = told(read_card, store)
    if found is not None and found.profile is not None:
        told(read_profile, store, found.profile.hash)
    for item in told(read_part, store, 0) or ():
        assert BatchItem.of_line(item.to_line()) == item
        assert len(item.key) == 16
    told(_read_tally, store, 0)


@cache
def _store() -> Store:
    folder = scratch() / "job"
    folder.mkdir()
    return open_store(str(folder))


# Turns ----------------------------------------------------------------------------------------

_TRANSCRIPTS: dict[bytes, Any] = {
    b"whisper": WHISPER,
    b"whisperx": WHISPERX,
    b"cpp": WHISPER_CPP,
    b"turns": _TURNS,
    b"chunks": {"chunks": [{"timestamp": [0, 1.5], "text": " a"}], "text": " a"},
}


def turn_objects(data: bytes) -> None:
    """Python objects of transcribers, with tuples for lists where the name's length is odd."""
    name, edits = cut(data, 2)
    given = edited(_TRANSCRIPTS.get(name, WHISPER), edits)
    for turn in told(convert_turns, _with_tuples(given) if len(name) % 2 else given) or ():
        assert isinstance(turn, Turn)
        assert turn.text is None or turn.text.encode() is not None


def transcript_fields(data: bytes) -> None:
    """The same as the JSON of a file."""
    from tests.fuzz.text_targets import check_turns

    name, edits = cut(data, 2)
    content = _text(edited(_TRANSCRIPTS.get(name, WHISPER), edits))
    check_turns(written("fields.json", content.encode()))


def _with_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_tuples(one) for key, one in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


# Other tools' results -------------------------------------------------------------------------

_RESULTS: dict[bytes, tuple[Callable[..., Any], Any]] = {
    b"emotion2vec": (
        labels.from_emotion2vec,
        [{"labels": ["生气/angry", "<unk>", "unuse_0"], "scores": [0.5, 0.25, 0.0]}],
    ),
    b"sensevoice": (labels.from_sensevoice, [{"text": "<|en|><|HAPPY|><|Speech|>a<|SAD|>"}]),
    b"speechbrain": (
        labels.from_speechbrain,
        [[[0.1, 0.2, 0.6, 0.1]], [0.6], [2], ["hap"]],
    ),
    b"superb": (
        labels.from_superb,
        [{"label": "neu", "score": 0.75}, {"label": "ang", "score": 0}],
    ),
    b"transformers": (labels.from_transformers, [{"label": "Angry", "score": 0.5}]),
    b"hume": (labels.from_hume, [{"name": "Joy", "score": 0.5}, {"name": "Pain", "score": 0.2}]),
    b"evi": (labels.from_hume, {"surpriseNegative": 0.5, "joy": 0.25}),
    b"audonnx": (labels.from_audonnx, {"logits": [[0.5, 0.25, 1]], "hidden_states": None}),
}
_DIMENSIONS = {"arousal", "dominance", "valence"}


def other_results(data: bytes) -> None:
    """What docs/migration.md converts: a tool's name, then edits of its result."""
    name, edits = cut(data, 2)
    convert, result = _RESULTS.get(name, _RESULTS[b"emotion2vec"])
    found = told(convert, edited(result, edits))
    if isinstance(found, Mapping):
        assert set(found) <= {*EMOTIONS, *_DIMENSIONS}
        assert all(type(one) is float and math.isfinite(one) for one in found.values()), found
    elif found is not None:
        assert all(one is None or one in EMOTIONS for one in found)


def _text(value: Any) -> str:
    """JSON as careless programs write it: NaN, and bytes as their hexadecimal digits."""
    return json.dumps(value, default=lambda one: one.hex())
