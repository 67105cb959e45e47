"""A run as a single HTML page: scores, pictures, a map, and the most confident errors with players.

Everything is inside the file: it can be mailed, and opening it makes no network request. The page
itself is the template run_page.html; this module collects what it shows.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from pydantic import ValidationError

from phonemo.audio import RATE
from phonemo.config import load_config
from phonemo.corpora.manifest import Manifest, Utterance, read_manifest
from phonemo.corpora.recordings import load_utterance
from phonemo.errors import ManifestError, MissingExtraError, PhonemoError, ResultError
from phonemo.evaluation.html import embedding_map
from phonemo.evaluation.html.profile_section import read_profiles
from phonemo.evaluation.markdown import per_cent
from phonemo.evaluation.metrics_schema import Confusion, Metrics
from phonemo.evaluation.prediction_rows import labeled_rows
from phonemo.evaluation.ratings.rating_plots import SCATTER
from phonemo.evaluation.ratings.rating_text import dimension_texts, vote_texts
from phonemo.files import atomic_write_text, loads_json, loads_json_lines

PAGE = "report.html"
TEMPLATE = "run_page.html"
_PICTURES = {
    "confusion.png": "Confusion matrix: rows are the true emotions",
    "reliability.png": "Reliability: accuracy by confidence",
    SCATTER: "Dimensions: predicted against rated values, 0 to 1",
    "risk-coverage.png": "Risk and coverage: errors among the most confident answers",
}
_MOST_CURVES = 12
#: Number of hardest clips, and seconds of audio of each.
_MOST = 12
_SECONDS = 8.0
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Picture:
    """A PNG, in base64, with its caption."""

    data: str
    caption: str


@dataclass(frozen=True)
class ErrorRow:
    """A wrong answer as the page lists it."""

    id: str
    speaker: str
    truth: str
    label: str
    score: float
    truth_score: float
    transcript: str
    audio: str | None
    """FLAC in base64; empty where it is left out, None where the recording is gone."""


def write_page(run: str | Path, target: str | Path | None = None, audio: bool = True) -> Path:
    """Write the page of a run folder.

    Args:
        run: a folder that phonemo train wrote.
        target: the file; default: report.html in the run folder.
        audio: whether the page has the voices of the hardest clips.

    Returns:
        The file.

    Raises:
        ResultError: the folder is not a run, or no fold is finished.
        MissingExtraError: Jinja2, or for the map scikit-learn, is not installed.
    """
    run = Path(run)
    metrics, rows = _read(run)
    text = _template().render(_context(run, metrics, rows, _manifest(run), audio))
    path = run / PAGE if target is None else Path(target)
    atomic_write_text(path, text)
    return path


def _template() -> Any:
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise MissingExtraError("a page of results", "train") from error
    loader = PackageLoader("phonemo.evaluation.html", "")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    environment.filters["per_cent"] = per_cent
    return environment.get_template(TEMPLATE)


def _read(run: Path) -> tuple[Metrics, list[Mapping[str, Any]]]:
    try:
        metrics = Metrics.model_validate(loads_json((run / "metrics.json").read_bytes()))
        rows = loads_json_lines((run / "predictions.jsonl").read_text(encoding="utf-8"))
    except (OSError, ValueError, ValidationError) as error:
        raise ResultError(
            f"{run}: expected a finished run with metrics.json and predictions.jsonl; phonemo "
            "train writes one"
        ) from error
    return metrics, rows


def _manifest(run: Path) -> Manifest | None:
    """The manifest of the run, if its data is still in the same place."""
    try:
        return read_manifest(load_config(run / "config.yaml").manifest)
    except ManifestError:
        return None


def _context(
    run: Path, metrics: Metrics, rows: Sequence[Row], manifest: Manifest | None, audio: bool
) -> dict[str, Any]:
    """What the template shows."""
    confusion = metrics.results.confusion
    curves = sorted(run.glob("seed-*/*/learning-curves.png"))[:_MOST_CURVES]
    errors = most_confident_errors(rows)
    return {
        "metrics": metrics,
        "results": metrics.results,
        "folds": len({fold.fold for fold in metrics.results.folds}),
        "counts": _counts_of(confusion),
        "ratings": [
            *dimension_texts(metrics.results.dimensions),
            *vote_texts(metrics.results.votes),
        ],
        "profiles": read_profiles(run),
        "pictures": _pictures((run / name, text) for name, text in _PICTURES.items()),
        "curves": _pictures((path, f"Fold {path.parent.name}") for path in curves),
        "maps": _maps(run),
        "errors": list(_error_rows(errors, manifest if audio else None, manifest)),
        "voices": audio and manifest is not None,
    }


def _counts_of(confusion: Confusion | None) -> dict[str, int]:
    if confusion is None:
        return {}
    return dict(zip(confusion.labels, map(sum, confusion.counts), strict=True))


def _pictures(captions: Iterable[tuple[Path, str]]) -> list[Picture]:
    return [
        Picture(base64.b64encode(path.read_bytes()).decode(), caption)
        for path, caption in captions
        if path.is_file()
    ]


def _maps(run: Path) -> list[embedding_map.Map]:
    """The first seed's map, by emotion and by speaker; none where there are too few rows."""
    cells = [path.parent for path in sorted(run.glob("seed-*/*/metrics.json"))]
    first = [cell for cell in cells if cell.parent == cells[0].parent]
    selected = embedding_map.select_rows(first)
    chosen = None if selected is None else embedding_map.subsample(*selected)
    if chosen is None:
        return []
    rows, vectors = chosen
    positions = embedding_map.tsne(vectors)
    return [embedding_map.make_map(rows, positions, key) for key in _map_keys(rows)]


def _map_keys(rows: Sequence[Row]) -> tuple[str, ...]:
    return ("truth", "speaker") if labeled_rows(rows) else ("speaker",)


def most_confident_errors(rows: Sequence[Row]) -> list[Row]:
    """Wrong answers, the most confident first; two per confusion until all confusions are shown."""
    wrong = sorted(
        (row for row in labeled_rows(rows) if row["label"] != row["truth"]),
        key=lambda row: -float(row["scores"][row["label"]]),
    )
    counts: dict[tuple[str, str], int] = {}
    first: list[Row] = []
    later: list[Row] = []
    for row in wrong:
        pair = (row["truth"], row["label"])
        counts[pair] = counts.get(pair, 0) + 1
        (first if counts[pair] <= 2 else later).append(row)
    return [*first, *later][:_MOST]


def _error_rows(
    rows: Sequence[Row], audible: Manifest | None, manifest: Manifest | None
) -> Iterator[ErrorRow]:
    """Yield the rows of the page; their audio comes from ``audible``, if that is given."""
    known = {} if manifest is None else {item.id: item for item in manifest.utterances}
    for row in rows:
        utterance = known.get(str(row["id"]))
        scores = row["scores"]
        yield ErrorRow(
            id=str(row["id"]),
            speaker=str(row.get("speaker") or ""),
            truth=row["truth"],
            label=row["label"],
            score=scores[row["label"]],
            truth_score=scores.get(row["truth"], 0.0),
            transcript=(utterance.transcript or "") if utterance else "",
            audio=_flac(audible, utterance) if audible and utterance else "",
        )


def _flac(manifest: Manifest, utterance: Utterance) -> str | None:
    """The beginning of a clip as FLAC in base64; None where the recording is gone."""
    try:
        waveform = load_utterance(manifest, utterance, most_seconds=_SECONDS)
    except PhonemoError:
        return None
    file = io.BytesIO()
    soundfile.write(file, np.clip(waveform.samples, -1, 1), RATE, format="FLAC", subtype="PCM_16")
    return base64.b64encode(file.getvalue()).decode()
