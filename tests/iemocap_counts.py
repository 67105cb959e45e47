"""The published counts of IEMOCAP's standard four classes, and the code that counts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from phonemo.config import LabelsConfig
from phonemo.corpora.manifest import Utterance
from phonemo.labels import LabelSet

#: The four classes that most papers report, with excited merged into happiness.
FOUR_CLASSES = LabelsConfig(
    names=("anger", "happiness", "neutral", "sadness"), merge={"excited": "happiness"}
)


@dataclass(frozen=True)
class FourClassCounts:
    """Number of utterances of the standard four classes, in total and by group."""

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
    """Whether an IEMOCAP utterance is scripted."""
    return _style(utterance).startswith("script")


def is_improvised(utterance: Utterance) -> bool:
    """Whether an IEMOCAP utterance was improvised."""
    return _style(utterance).startswith("impro")


def four_class(utterances: Iterable[Utterance]) -> tuple[Utterance, ...]:
    """The utterances of the standard four classes, with merged emotions."""
    labels = LabelSet(FOUR_CLASSES.names, FOUR_CLASSES.merge)
    return tuple(
        utterance.model_copy(update={"emotion": labels.merged(utterance.emotion)})
        for utterance in utterances
        if utterance.emotion is not None and utterance.emotion in labels
    )


def count_four_class(utterances: Iterable[Utterance]) -> FourClassCounts:
    """Count the standard four classes, for comparison with ``FOUR_CLASS_RELEASE``."""
    selected = four_class(utterances)
    return FourClassCounts(
        total=len(selected),
        emotions=Counter(str(utterance.emotion) for utterance in selected),
        sessions=Counter(str(utterance.session) for utterance in selected),
        speakers=Counter(str(utterance.speaker) for utterance in selected),
        styles=Counter(
            "scripted" if is_scripted(utterance) else "improvised" for utterance in selected
        ),
    )


def _style(utterance: Utterance) -> str:
    return (utterance.dialog or "").partition("_")[2]
