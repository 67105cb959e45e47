"""The card of a model: what it hears, what it has heard, how to use it, what it is not for.

Everything in it comes from the files of the model, and from a run's metrics.json where that is
given; nothing is made up, and what is unknown is said to be.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from phonemo.errors import CheckpointError
from phonemo.evaluation.schema import Metrics
from phonemo.files import loads_json
from phonemo.runtime.bundle import CARD, named, open_bundle

README = "README.md"
_MOST_BYTES = 2**24


@dataclass(frozen=True)
class _Facts:
    """What the files of a model say about it."""

    name: str
    kind: str
    labels: Sequence[str]
    phonemes: Sequence[str]
    """Without the blank; empty where there is no phoneme head."""
    licence: str | None = None
    abstain_below: float = 0.0
    calibrated_on: int = 0
    heard: Sequence[str] | None = None
    """Corpora, with labels or without; None where the files do not say."""
    speakers: Mapping[str, int] = field(default_factory=dict)
    """By corpus, how many it learnt from with labels."""


def model_card(
    folder: str | Path, repository: str = "org/name", metrics: str | Path | None = None
) -> str:
    """A card in Markdown with the YAML front matter that hubs read.

    Args:
        folder: a bundle, a model folder, or the name of a bundle that ships.
        repository: "org/name", for the lines that show how to use it.
        metrics: metrics.json of the run whose recipe made the model: its scores on speakers that
            were not learnt from.

    Raises:
        CheckpointError: the folder is neither, or one of its files cannot be read.
    """
    folder = named(folder)
    facts = _facts(folder)
    scores = None if metrics is None else _metrics(Path(metrics))
    front = _front_matter(facts, scores)
    sections = [*_body(facts, repository), *_scores(scores)]
    return f"---\n{front}---\n\n" + "\n\n".join(sections) + "\n"


def with_front_matter(folder: Path, repository: str, metrics: Path | None = None) -> str:
    """The card that lies in the folder, with front matter if it has none; else a new one."""
    path = folder / README
    if not path.is_file():
        return model_card(folder, repository, metrics)
    text = path.read_text(encoding="utf-8")
    if text.startswith("---\n"):
        return text
    scores = None if metrics is None else _metrics(metrics)
    return f"---\n{_front_matter(_facts(folder), scores)}---\n\n{text}"


def _facts(folder: Path) -> _Facts:
    return _of_bundle(folder) if (folder / CARD).is_file() else _of_folder(folder)


def _of_bundle(folder: Path) -> _Facts:
    card = open_bundle(folder).card
    return _Facts(
        card.name,
        f"an ONNX bundle in {card.precision}",
        card.labels,
        () if card.inventory is None else card.inventory.symbols[1:],
        None if card.licence == "not stated" else card.licence,
        card.abstain_below,
        card.calibrated_on,
    )


def _of_folder(folder: Path) -> _Facts:
    labels, config = _json(folder / "labels.json"), _json(folder / "config.json")
    auxiliary = config.get("auxiliary") or {}
    past = _json(folder / "provenance.json") if (folder / "provenance.json").is_file() else {}
    return _Facts(
        folder.absolute().name,
        "a model folder for torch and transformers",
        [str(one) for one in labels.get("names", ())],
        [str(one) for one in auxiliary.get("symbols", ())[1:]],
        None,
        float(config.get("abstain_below") or 0.0),
        int(config.get("calibrated_on") or 0),
        past.get("heard"),
        {name: len(one["speakers"]) for name, one in past.get("corpora", {}).items()},
    )


def _front_matter(facts: _Facts, scores: Metrics | None) -> str:
    data: dict[str, Any] = {"library_name": "phonemo", "pipeline_tag": "audio-classification"}
    if facts.licence is not None:
        data |= _licence(facts.licence)
    data["tags"] = ["speech-emotion-recognition", "speech", "phonemes", "wav2vec2"]
    if not facts.phonemes:
        data["tags"].remove("phonemes")
    if scores is not None:
        data["metrics"] = ["accuracy", "recall"]
        data["model-index"] = [_index(facts, scores)]
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def _licence(name: str) -> dict[str, str]:
    """As hubs want it: an id of theirs in small letters, or "other" with the name."""
    written = name.strip().lower().replace(" ", "-")
    if written in ("mit", "apache-2.0") or written.startswith("cc-by"):
        return {"license": written}
    return {"license": "other", "license_name": name}


def _index(facts: _Facts, scores: Metrics) -> dict[str, Any]:
    """Of the recipe on the speakers of folds that it had not learnt from."""
    found = scores.results
    measured = [
        {"type": "accuracy", "name": "WA", "value": round(found.wa.mean, 4)},
        {"type": "recall", "name": "UA", "value": round(found.ua.mean, 4)},
    ]
    return {
        "name": facts.name,
        "results": [
            {
                "task": {"type": "audio-classification", "name": "speech emotion recognition"},
                "dataset": {
                    "type": scores.corpus,
                    "name": f"{scores.corpus}, protocol {scores.protocol.name}",
                },
                "metrics": measured,
            }
        ],
    }


def _body(facts: _Facts, repository: str) -> Iterator[str]:
    phonemes = f" and {len(facts.phonemes)} phonemes" if facts.phonemes else ""
    yield f"# {facts.name}"
    yield (
        f"{facts.name} hears {len(facts.labels)} emotions{phonemes} in a recording of speech: "
        f"{facts.kind}, made with phonemo."
    )
    yield f"**Emotions**: {', '.join(facts.labels)}."
    if facts.phonemes:
        yield f"**Phonemes**: {' '.join(facts.phonemes)}"
    yield f"## Use\n\n```python\n{_usage(facts, repository)}```"
    yield f"## What it has heard\n\n{_past(facts)}"
    yield f"## How sure it is\n\n{_certainty(facts)}"
    yield (
        "## What it is not for\n\nA label is what listeners or directors agreed on, not what "
        "somebody feels. Do not use it to judge people, at work or in education least of all. "
        "Speech unlike what it has heard (other languages, microphones, ages, spontaneous where it "
        "learnt acted) gives answers that nobody has measured."
    )


def _usage(facts: _Facts, repository: str) -> str:
    lines = [
        "import phonemo",
        "",
        f'model = phonemo.from_pretrained("{repository}")  # pip install "phonemo[hub]"',
        'answer = model.predict("my.wav")',
        "print(answer.label, answer.scores)",
    ]
    if "torch" in facts.kind:
        lines += [
            "",
            "import phonemo.model  # lets transformers know this kind of network",
            "from transformers import pipeline",
            "",
            f'pipeline("audio-classification", model="{repository}")("my.wav")',
        ]
    return "\n".join(lines) + "\n"


def _past(facts: _Facts) -> str:
    if facts.heard is None:
        return (
            "Its files do not say. A model folder keeps that in `provenance.json`; ask whoever "
            "pushed it before you test it on a corpus."
        )
    if not facts.heard:
        return "No corpus is on record."
    lines = [f"- {name}: {_learnt(facts.speakers.get(name, 0))}" for name in facts.heard]
    told = "\n".join(lines)
    return f"{told}\n\nA score on these is none on unseen speakers; phonemo refuses such a test."


def _learnt(speakers: int) -> str:
    if not speakers:
        return "without labels"
    return f"labels (of emotions or phonemes) of {speakers} speaker{'s' if speakers > 1 else ''}"


def _certainty(facts: _Facts) -> str:
    if not facts.calibrated_on:
        return "Its scores have not been calibrated: 0.9 need not be right nine times in ten."
    threshold = (
        f" An answer with a score below {facts.abstain_below:.2f} carries the warning `unsure`."
        if facts.abstain_below
        else ""
    )
    return (
        f"Its scores were calibrated (temperature) on {facts.calibrated_on} utterances of speakers "
        f"held out for it.{threshold}"
    )


def _scores(scores: Metrics | None) -> Iterator[str]:
    if scores is None:
        yield (
            "## How good it is\n\nNo result is on record here. A figure that counts is one on "
            "speakers it has not heard: `phonemo evaluate`."
        )
        return
    found, protocol, folds = scores.results, scores.protocol.name, len(scores.results.folds)
    leaky = " **LEAKY: train and test share speakers.**" if scores.leaky else ""
    seeds = ", ".join(map(str, scores.seeds))
    yield (
        f"## How good its recipe is\n\nWA {found.wa.mean:.1%}, UA {found.ua.mean:.1%} on "
        f"{scores.corpus}, protocol {protocol}, {folds} folds, seeds {seeds}.{leaky} "
        f"Command: `{scores.command}`. Each fold's network had not learnt from its test part; the "
        "one here may have."
    )


def _metrics(path: Path) -> Metrics:
    try:
        return Metrics.model_validate(_json(path))
    except ValidationError as error:
        raise CheckpointError(
            f"{path}: not the metrics.json of a run; phonemo train writes one"
        ) from error


def _json(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            data = loads_json(stream.read(_MOST_BYTES))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read; copy the whole folder again") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path}: {json.dumps(data)[:20]} found; an object is wanted")
    return data
