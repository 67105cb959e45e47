"""The protocol given: the split that the manifest has."""

from __future__ import annotations

import pytest

from phonemo.config import ProtocolConfig
from phonemo.corpora.leakage import assert_no_leakage, measure_leakage
from phonemo.corpora.manifest import Utterance
from phonemo.corpora.splits import make_split
from phonemo.errors import LeakageError, ProtocolError


def rows(*parts: tuple[str | None, str | None]) -> list[Utterance]:
    """Two utterances of each (speaker, split)."""
    return [
        Utterance.model_validate(
            {"id": f"{n}{emotion}", "file": "a.wav", "emotion": emotion, "speaker": speaker}
            | {"split": split}
        )
        for n, (speaker, split) in enumerate(parts)
        for emotion in ("anger", "calm")
    ]


GIVEN = ProtocolConfig(name="given")
LEAKY = ProtocolConfig(name="given-leaky")


def test_the_parts_are_those_of_the_manifest():
    utterances = rows(("a", "train"), ("b", "validation"), ("c", "test"), ("d", None))
    split = make_split(utterances, GIVEN)
    (fold,) = split.folds
    assert fold.train == ("0anger", "0calm")
    assert fold.validation == ("1anger", "1calm")
    assert fold.test == ("2anger", "2calm")
    assert split.notes == ("2 utterances have no split and are excluded",)
    assert_no_leakage(measure_leakage(utterances, split), GIVEN)


def test_a_missing_validation_part_is_taken_from_the_speakers_of_train():
    split = make_split(rows(("a", "train"), ("b", "train"), ("c", "test")), GIVEN)
    (fold,) = split.folds
    assert {len(fold.train), len(fold.validation), len(fold.test)} == {2}
    assert split.notes == ("the manifest gives no validation part: it is taken from train",)


@pytest.mark.parametrize(
    ("speaker", "message"), [("a", "1 speakers are in two parts"), (None, "2 have no speaker")]
)
def test_shared_or_unknown_speakers_need_the_leaky_protocol(speaker, message):
    utterances = rows(("a", "train"), ("b", "train"), (speaker, "test"))
    with pytest.raises(LeakageError, match=f"{message}.*given-leaky"):
        make_split(utterances, GIVEN)
    split = make_split(utterances, LEAKY)
    assert split.notes[0].startswith(f"LEAKY: {message}")
    assert split.folds[0].parts.keys() == {"train", "validation", "test"}
    assert_no_leakage(measure_leakage(utterances, split), LEAKY)


def test_a_manifest_without_a_split_is_an_error_with_the_sizes():
    with pytest.raises(ProtocolError, match="got train 2, validation 0, test 0; choose protocol"):
        make_split(rows(("a", "train"), ("b", None)), GIVEN)
    with pytest.raises(ProtocolError, match=r"set protocol\.folds to null"):
        make_split(rows(("a", "train")), ProtocolConfig(name="given", folds=2))
