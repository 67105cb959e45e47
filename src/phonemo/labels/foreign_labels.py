"""Results of other systems as scores by phonemo's canonical names.

Each function takes what the other system returns for one recording. Scores of labels with the same
canonical name are added; the order is that of ``EMOTIONS``. They are not made comparable: another
system's 0.8 is not phonemo's (docs/migration.md). None of these packages is imported.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from phonemo.errors import LabelError, safe_text
from phonemo.labels.foreign_results import (
    as_plain,
    named_scores,
    number_of,
    only_result,
    paired,
    shown,
)
from phonemo.labels.label_sets import EMOTIONS, canonical_emotion

#: emotion2vec's classes, with and without the Chinese half; FunASR writes both.
EMOTION2VEC = {
    "angry": "anger",
    "disgusted": "disgust",
    "fearful": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "other": "other",
    "sad": "sadness",
    "surprised": "surprise",
    "unknown": "other",
    "<unk>": "other",
}
#: SenseVoice's emotion tags; None is its tag for no decision.
SENSEVOICE: dict[str, str | None] = {
    "HAPPY": "happiness",
    "SAD": "sadness",
    "ANGRY": "anger",
    "NEUTRAL": "neutral",
    "FEARFUL": "fear",
    "DISGUSTED": "disgust",
    "SURPRISED": "surprise",
    "EMO_UNKNOWN": None,
}
#: IEMOCAP's four classes, as superb/*-superb-er and speechbrain spell them.
FOUR = {"neu": "neutral", "ang": "anger", "hap": "happiness", "sad": "sadness"}
#: Dimensions in the order of audeering's networks.
AUDONNX = ("arousal", "dominance", "valence")
#: Expressions of Hume with a counterpart; all others of its list are "other".
HUME = {
    "anger": ("anger", "annoyance"),
    "boredom": ("boredom",),
    "calm": ("calmness",),
    "disgust": ("disgust",),
    "excited": ("excitement", "enthusiasm"),
    "fear": ("fear", "anxiety", "horror"),
    "happiness": ("joy", "amusement", "ecstasy"),
    "neutral": ("neutral",),
    "sadness": ("sadness",),
    "surprise": ("surprise negative", "surprise positive"),
    "other": (
        *("admiration", "adoration", "aesthetic appreciation", "awe", "awkwardness"),
        *("concentration", "confusion", "contemplation", "contempt", "contentment", "craving"),
        *("desire", "determination", "disappointment", "disapproval", "distress", "doubt"),
        *("embarrassment", "empathic pain", "entrancement", "envy", "gratitude", "guilt"),
        *("interest", "love", "nostalgia", "pain", "pride", "realization", "relief", "romance"),
        *("sarcasm", "satisfaction", "shame", "sympathy", "tiredness", "triumph"),
    ),
}
_HUME = {word: name for name, words in HUME.items() for word in words}
_UNUSED = re.compile(r"unuse_\d+")
_TAG = re.compile(r"<\|([A-Za-z_]+)\|>")


def from_emotion2vec(result: Any) -> dict[str, float]:
    """Convert a result of FunASR's ``AutoModel("iic/emotion2vec_plus_large").generate``.

    Args:
        result: the list of one dict with "labels" (such as "生气/angry", "<unk>") and "scores", or
            that dict. "<unk>" is added to "other", and so are the places "unuse_0"... that the
            seed model fills with zeros.

    Raises:
        LabelError: another shape, several recordings, or an unknown label.
    """
    source = "emotion2vec"
    content = only_result(result, source)
    if not isinstance(content, Mapping) or not {"labels", "scores"} <= content.keys():
        raise LabelError(
            f"expected labels and scores of emotion2vec, got {shown(content)}; pass the result of "
            'generate with granularity="utterance"'
        )
    pairs = paired(content["labels"], content["scores"], source)
    return _merged(pairs, _of_emotion2vec, source)


def from_sensevoice(result: Any) -> tuple[str | None, ...]:
    """Convert the emotion tags in a transcript of SenseVoice, which gives no scores.

    Args:
        result: the list of one dict with "text", that dict, or the text itself, such as
            "<|en|><|HAPPY|><|Speech|><|withitn|>...", before ``rich_transcription_postprocess``,
            which removes the tags.

    Returns:
        A canonical name for each segment of the transcript; None where it is <|EMO_UNKNOWN|>.

    Raises:
        LabelError: another shape, or a text without an emotion tag.
    """
    content = only_result(result, "SenseVoice")
    text = content.get("text") if isinstance(content, Mapping) else content
    tags = [tag.upper() for tag in _TAG.findall(text)] if isinstance(text, str) else []
    found = tuple(SENSEVOICE[tag] for tag in tags if tag in SENSEVOICE)
    if not found:
        raise LabelError(
            f"expected a text of SenseVoice with an emotion tag such as <|HAPPY|>, got "
            f"{shown(text)}; pass it before rich_transcription_postprocess"
        )
    return found


def from_speechbrain(
    output: Any, labels: Sequence[str] | Mapping[int, str] = tuple(FOUR)
) -> dict[str, float]:
    """Convert the output of ``classify_file`` of speechbrain's wav2vec2 for IEMOCAP.

    Args:
        output: (out_prob, score, index, text_lab); tensors of one recording.
        labels: of the probabilities, in their order; for another model
            ``classifier.hparams.label_encoder.ind2lab``.

    Raises:
        LabelError: another shape, an unknown label, or labels in another order than the output's.
    """
    source = "speechbrain"
    names = [labels[number] for number in range(len(labels))]
    if not isinstance(output, tuple | list) or len(output) != 4:
        raise LabelError(
            f"expected (out_prob, score, index, text_lab) of speechbrain, got {shown(output)}; "
            "pass the output of classify_file"
        )
    pairs = paired(names, only_result(as_plain(output[0]), source, of_numbers=True), source)
    best, text = max(pairs, key=lambda pair: pair[1])[0], only_result(output[3], source)
    if text != best:
        raise LabelError(
            f"expected labels in the order of the output, got {', '.join(names)} where it says "
            f"{shown(text)}; pass classifier.hparams.label_encoder.ind2lab"
        )
    return _merged(pairs, _four, source)


def from_superb(result: Any) -> dict[str, float]:
    """Convert a result of transformers' pipeline with superb/wav2vec2-base-superb-er.

    Args:
        result: the list of dicts with "label" (neu, hap, ang or sad) and "score".

    Raises:
        LabelError: another shape, or an unknown label.
    """
    return _merged(named_scores(result, "superb-er"), _four, "superb-er")


def from_transformers(result: Any) -> dict[str, float]:
    """Convert a result of transformers' audio-classification pipeline with any emotion model.

    Args:
        result: the list of dicts with "label" and "score", best with ``top_k=None``: the default
            keeps only five. Labels are any spellings that ``canonical_emotion`` knows.

    Raises:
        LabelError: another shape, or a label that is no known spelling of an emotion.
    """
    return _merged(named_scores(result, "transformers"), _spelled, "transformers")


def from_hume(emotions: Any) -> dict[str, float]:
    """Convert the expressions of a Hume prosody prediction; the highest of merged ones is kept.

    They are no probabilities, so they are not added. Expressions without a counterpart are
    "other"; ``HUME`` is the table.

    Args:
        emotions: the list of dicts with "name" and "score" ("probability" in the API of October
            2026), or the dict of scores in an EVI message ("surpriseNegative" and others).

    Raises:
        LabelError: another shape, or an expression that is not in the table.
    """
    if isinstance(emotions, Mapping):
        pairs = [(str(name), number_of(score, "Hume")) for name, score in emotions.items()]
    else:
        pairs = named_scores(emotions, "Hume", "name", ("score", "probability"))
    return _merged(pairs, lambda name: _HUME.get(_words(name)), "Hume", max)


def from_audonnx(output: Any) -> dict[str, float]:
    """Convert the output of audeering's dimensional network in audonnx.

    Args:
        output: the dict with "logits" (1, 3), or that array: arousal, dominance, valence.

    Returns:
        The three dimensions, about 0 to 1; phonemo has arousal and valence.

    Raises:
        LabelError: another shape.
    """
    logits = output.get("logits") if isinstance(output, Mapping) else output
    values = only_result(as_plain(logits), "audonnx", of_numbers=True)
    return dict(paired(AUDONNX, values, "audonnx"))


def _merged(
    pairs: Iterable[tuple[str, float]],
    canonical: Callable[[str], str | None],
    source: str,
    merge: Callable[[tuple[float, float]], float] = sum,
) -> dict[str, float]:
    """Merge scores by canonical name; LabelError names all unknown labels."""
    scores, unknown = dict[str, float](), list[str]()
    for label, score in pairs:
        name = canonical(label)
        if name is None:
            unknown.append(safe_text(label))
        else:
            scores[name] = merge((scores[name], score)) if name in scores else score
    if unknown:
        raise LabelError(
            f"expected labels of {source}, got {', '.join(map(repr, unknown[:5]))}; update "
            "phonemo, or merge the scores yourself with phonemo.labels.canonical_emotion"
        )
    return {name: scores[name] for name in EMOTIONS if name in scores}


def _of_emotion2vec(label: str) -> str | None:
    name = _english(label)
    return "other" if _UNUSED.fullmatch(name) else EMOTION2VEC.get(name)


def _english(label: str) -> str:
    """The English half of a bilingual label; FunASR's page of issues shows <unk> as nothing."""
    return label.rpartition("/")[2].strip().lower() or "<unk>"


def _four(label: str) -> str | None:
    return FOUR.get(label.strip().lower())


def _spelled(label: str) -> str | None:
    name = canonical_emotion(label)
    return name if name in EMOTIONS else None


def _words(name: str) -> str:
    """Lower-case words of a name: surpriseNegative and "Surprise (negative)" are the same."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return " ".join(re.findall(r"[a-z]+", spaced.lower()))
