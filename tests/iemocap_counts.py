"""The published counts of the standard four classes of IEMOCAP, and how they are counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from phonemo.config import LabelsConfig
from phonemo.corpora.manifest import Utterance
from phonemo.labels import LabelSet

#: The four classes that most papers report, with excited counted as happiness.
FOUR_CLASSES = LabelsConfig(
    names=("anger", "happiness", "neutral", "sadness"), merge={"excited": "happiness"}
)


@dataclass(frozen=True)
class FourClassCounts:
    """How many utterances of the standard four classes there are, by what they are reported by."""

    total: int
    emotions: Mapping[str, int]
    sessions: Mapping[str, int]
    speakers: Mapping[str, int]
    styles: Mapping[str, int]


#: The published counts of the whole release; ``count_four_class`` of a full reading equals this.
FOUR_CLASS_RELEASE = FourClassCounts(
    total=5531,
    emotions={"neutral": 1708, "happiness": 1636, "anger": 1103, "sadness": 1084},
    sessions={"1": 1085, "2": 1023, "3": 1151, "4": 1031, "5": 1241},
    speakers={
        "Ses01F": 528,
        "Ses01M": 557,
        "Ses02F": 481,
        "Ses02M": 542,
        "Ses03F": 522,
        "Ses03M": 629,
        "Ses04F": 528,
        "Ses04M": 503,
        "Ses05F": 590,
        "Ses05M": 651,
    },
    styles={"improvised": 2943, "scripted": 2588},
)


def is_scripted(utterance: Utterance) -> bool:
    """Whether an IEMOCAP utterance was read from one of the scripts."""
    return _style(utterance).startswith("script")


def is_improvised(utterance: Utterance) -> bool:
    """Whether an IEMOCAP utterance was improvised."""
    return _style(utterance).startswith("impro")


def four_class(utterances: Iterable[Utterance]) -> tuple[Utterance, ...]:
    """The utterances of the standard four classes, with the merged emotion as their emotion."""
    labels = LabelSet(FOUR_CLASSES.names, FOUR_CLASSES.merge)
    return tuple(
        one.model_copy(update={"emotion": labels.merged(one.emotion)})
        for one in utterances
        if one.emotion is not None and one.emotion in labels
    )


def count_four_class(utterances: Iterable[Utterance]) -> FourClassCounts:
    """Count the standard four classes, to be compared with ``FOUR_CLASS_RELEASE``."""
    chosen = four_class(utterances)
    return FourClassCounts(
        total=len(chosen),
        emotions=Counter(str(one.emotion) for one in chosen),
        sessions=Counter(str(one.session) for one in chosen),
        speakers=Counter(str(one.speaker) for one in chosen),
        styles=Counter("scripted" if is_scripted(one) else "improvised" for one in chosen),
    )


def _style(utterance: Utterance) -> str:
    return (utterance.dialog or "").partition("_")[2]
