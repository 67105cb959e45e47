"""Model cards: labels, training data, use, calibration, scores and limits.

A card is written from the model's files, and from a run's metrics.json where one is given; what
the files do not state is reported as unknown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from phonemo.errors import CheckpointError
from phonemo.evaluation.metrics_schema import Metrics
from phonemo.files import loads_json
from phonemo.runtime.bundle import CARD, named, open_bundle
from phonemo.runtime.hub import hub_client

README = "README.md"
_MOST_BYTES = 2**24


@dataclass(frozen=True)
class _Facts:
    """What a model's files state."""

    name: str
    kind: str
    labels: Sequence[str]
    phonemes: Sequence[str]
    """Without the blank; empty where there is no phoneme head."""
    licence: str | None = None
    abstain_below: float = 0.0
    calibrated_on: int = 0
    trained_on: Sequence[str] | None = None
    """Corpora, with labels or without; None where the files do not state them."""
    speakers: Mapping[str, int] = field(default_factory=dict)
    """By corpus, the number of speakers with labels."""


def model_card(
    folder: str | Path, repository: str = "org/name", metrics: str | Path | None = None
) -> str:
    """A card in Markdown with the YAML front matter that hubs read.

    Args:
        folder: a bundle, a model folder, or the name of a bundle that ships.
        repository: "org/name", for the lines that show how to use it.
        metrics: metrics.json of the run whose recipe made the model, for scores on held-out
            speakers.

    Raises:
        CheckpointError: the folder is neither, or one of its files cannot be read.
        MissingExtraError: huggingface_hub, which writes the front matter, is not installed.
    """
    folder = named(folder)
    facts = _facts(folder)
    scores = None if metrics is None else _metrics(Path(metrics))
    front = _front_matter(facts, scores)
    sections = [*_body(facts, repository), *_scores(scores)]
    return f"---\n{front}---\n\n" + "\n\n".join(sections) + "\n"


def with_front_matter(folder: Path, repository: str, metrics: Path | None = None) -> str:
    """The folder's own card, with front matter added if it has none; otherwise a new card."""
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
    path = folder / "provenance.json"
    provenance = _json(path) if path.is_file() else {}
    return _Facts(
        folder.absolute().name,
        "a model folder for torch and transformers",
        [str(one) for one in labels.get("names", ())],
        [str(one) for one in auxiliary.get("symbols", ())[1:]],
        None,
        float(config.get("abstain_below") or 0.0),
        int(config.get("calibrated_on") or 0),
        provenance.get("heard"),
        {name: len(row["speakers"]) for name, row in provenance.get("corpora", {}).items()},
    )


def _front_matter(facts: _Facts, scores: Metrics | None) -> str:
    """YAML as hubs read it, written by their own library."""
    measured: dict[str, Any] = {}
    if scores is not None:
        measured = {"metrics": ["accuracy", "recall"], "eval_results": _eval_results(scores)}
    phonemes = ["phonemes"] if facts.phonemes else []
    data = hub_client().ModelCardData(
        library_name="phonemo",
        pipeline_tag="audio-classification",
        tags=["speech-emotion-recognition", "speech", *phonemes, "wav2vec2"],
        model_name=facts.name,
        **_licence(facts.licence),
        **measured,
    )
    return f"{data.to_yaml()}\n"


def _licence(name: str | None) -> dict[str, str]:
    """An id that hubs know, in small letters, or "other" with the name; nothing for None."""
    if name is None:
        return {}
    written = name.strip().lower().replace(" ", "-")
    if written in ("mit", "apache-2.0") or written.startswith("cc-by"):
        return {"license": written}
    return {"license": "other", "license_name": name}


def _eval_results(scores: Metrics) -> list[Any]:
    """Scores of the recipe on speakers of folds that it was not trained on."""
    hub, results = hub_client(), scores.results
    pairs = (("accuracy", "WA", results.wa), ("recall", "UA", results.ua))
    measured = [(kind, name, score.mean) for kind, name, score in pairs if score is not None]
    return [
        hub.EvalResult(
            task_type="audio-classification",
            task_name="speech emotion recognition",
            dataset_type=scores.corpus,
            dataset_name=f"{scores.corpus}, protocol {scores.protocol.name}",
            metric_type=kind,
            metric_name=name,
            metric_value=round(value, 4),
        )
        for kind, name, value in measured
    ]


def _body(facts: _Facts, repository: str) -> Iterator[str]:
    phonemes = f" and {len(facts.phonemes)} phonemes" if facts.phonemes else ""
    yield f"# {facts.name}"
    yield (
        f"{facts.name} recognizes {len(facts.labels)} emotions{phonemes} in recorded speech. It is "
        f"{facts.kind}, made with phonemo."
    )
    yield f"**Emotions**: {', '.join(facts.labels)}."
    if facts.phonemes:
        yield f"**Phonemes**: {' '.join(facts.phonemes)}"
    yield f"## Use\n\n```python\n{_usage(facts, repository)}```"
    yield f"## Training data\n\n{_training_data(facts)}"
    yield f"## Calibration\n\n{_calibration(facts)}"
    yield (
        "## Limits\n\nA label is what listeners or directors agreed on, not what a person feels. "
        "Do not use it to judge people, least of all at work or in education. Accuracy on speech "
        "unlike the training data (other languages, microphones, ages, spontaneous instead of "
        "acted speech) has not been measured."
    )


def _usage(facts: _Facts, repository: str) -> str:
    lines = [
        "import phonemo",
        "",
        f'model = phonemo.from_pretrained("{repository}")  # pip install "phonemo[hub]"',
        'answer = model.predict("my.wav")',
        "print(answer.label, answer.unsure, answer.scores)",
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


def _training_data(facts: _Facts) -> str:
    if facts.trained_on is None:
        return (
            "The files do not state it. A model folder has it in `provenance.json`; ask the author "
            "before you test the model on a corpus."
        )
    if not facts.trained_on:
        return "No corpus is on record."
    lines = [f"- {name}: {_labelled(facts.speakers.get(name, 0))}" for name in facts.trained_on]
    return "\n".join(lines) + (
        "\n\nA score on these corpora is not speaker-independent; phonemo refuses such a test."
    )


def _labelled(speakers: int) -> str:
    if not speakers:
        return "without labels"
    return f"labels (of emotions or phonemes) of {speakers} speaker{'s' if speakers > 1 else ''}"


def _calibration(facts: _Facts) -> str:
    if not facts.calibrated_on:
        return "The scores are not calibrated: 0.9 does not mean right nine times in ten."
    threshold = (
        f" A prediction with a score below {facts.abstain_below:.2f} has the warning `unsure`."
        if facts.abstain_below
        else ""
    )
    return (
        f"The scores are calibrated by temperature scaling on {facts.calibrated_on} utterances of "
        f"held-out speakers.{threshold}"
    )


def _scores(scores: Metrics | None) -> Iterator[str]:
    if scores is None:
        yield (
            "## Scores\n\nNo result is on record here. Measure it on speakers that are not in the "
            "training data: `phonemo evaluate`."
        )
        return
    results, protocol, folds = scores.results, scores.protocol.name, len(scores.results.folds)
    leaky = " **LEAKY: train and test share speakers.**" if scores.leaky else ""
    seeds = ", ".join(map(str, scores.seeds))
    pairs = (("WA", results.wa), ("UA", results.ua))
    shares = ", ".join(f"{name} {score.mean:.1%}" for name, score in pairs if score is not None)
    yield (
        f"## Scores of the recipe\n\n{shares or 'Rated dimensions only'} on "
        f"{scores.corpus}, protocol {protocol}, {folds} folds, seeds {seeds}.{leaky} "
        f"Command: `{scores.command}`. Each fold's network was tested on speakers it was not "
        "trained on; this model may have been trained on all of them."
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
        raise CheckpointError(f"{path}: expected a JSON object, got {json.dumps(data)[:20]}")
    return data
