"""A run as a single HTML page: scores, pictures, a map, and the most confident errors with players.

Everything is inside the file: it can be mailed, and opening it makes no network request.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from pydantic import ValidationError

from phonemo.audio import RATE, load_waveform
from phonemo.config import load_config
from phonemo.corpora.manifest import Manifest, Utterance, read_manifest
from phonemo.errors import ManifestError, PhonemoError, ResultError
from phonemo.evaluation.html import embedding_map as maps
from phonemo.evaluation.html.profile_section import profile_sections, scored
from phonemo.evaluation.markdown import per_cent
from phonemo.evaluation.schema import Metrics
from phonemo.files import atomic_write_text, loads_json, loads_json_lines

PAGE = "report.html"
_PICTURES = {
    "confusion.png": "Confusion matrix: rows are the true emotions",
    "reliability.png": "Reliability: accuracy by confidence",
    "risk-coverage.png": "Risk and coverage: errors among the most confident answers",
}
_MOST_CURVES = 12


def write_page(run: str | Path, target: str | Path | None = None, audio: bool = True) -> Path:
    """Write the page of a run folder.

    Args:
        run: a folder that phonemo train wrote.
        target: the file; default: report.html in the run folder.
        audio: whether the page contains the audio of the hardest clips.

    Returns:
        The path of the page.

    Raises:
        ResultError: the folder is not a run, or none of its folds is finished.
        MissingExtraError: scikit-learn is not installed, for the map.
    """
    run = Path(run)
    metrics, rows = _read(run)
    body = "\n".join(_sections(run, metrics, rows, _manifest(run), audio))
    style = (
        resources.files("phonemo.evaluation.html")
        .joinpath("run_page.css")
        .read_text(encoding="utf-8")
    )
    title = html.escape(metrics.name)
    text = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{title}</title>\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "media-src data:; style-src 'unsafe-inline'\">\n"
        f"<style>\n{style}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )
    path = run / PAGE if target is None else Path(target)
    atomic_write_text(path, text)
    return path


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


def _sections(
    run: Path,
    metrics: Metrics,
    rows: list[Mapping[str, Any]],
    manifest: Manifest | None,
    audio: bool,
) -> Iterator[str]:
    yield f"<h1>{html.escape(metrics.name)}</h1>"
    yield f'<p class="lead">{html.escape(metrics.title)}, on {html.escape(metrics.corpus)}</p>'
    if metrics.leaky:
        yield (
            '<p class="leaky"><strong>LEAKY.</strong> Train and test share speakers: every score '
            "here is too high for unseen speakers.</p>"
        )
    yield _cards(metrics)
    yield _facts(metrics)
    yield from profile_sections(run)
    yield "<h2>Each emotion</h2>" + _recalls(metrics)
    yield "<h2>Confusions and confidence</h2>" + _pictures(run)
    yield from _curves(run)
    yield from _map(run)
    yield from _error_section(rows, manifest, audio)
    yield (
        "<footer>A label is how annotators described a voice, not what a person feels. Made "
        f"by phonemo {html.escape(metrics.phonemo)}: <code>{html.escape(metrics.command)}</code>"
        "</footer>"
    )


def _cards(metrics: Metrics) -> str:
    results = metrics.results
    chance = results.chance
    entries = [
        (
            "UA",
            scored(results.ua.mean, results.ua.low, results.ua.high),
            f"chance {per_cent(chance.ua)} %",
        ),
        (
            "WA",
            scored(results.wa.mean, results.wa.low, results.wa.high),
            f"always the commonest {per_cent(chance.majority_wa)} %",
        ),
        ("ECE", f"{results.calibration.ece:.3f}", "0 for perfect calibration"),
        ("utterances", str(results.utterances), f"{results.speakers_count or 'no known'} speakers"),
    ]
    cards = "".join(
        f"<div><dt>{name}</dt><dd>{value}<small>{note}</small></dd></div>"
        for name, value, note in entries
    )
    return f'<dl class="cards">{cards}</dl>'


def _facts(metrics: Metrics) -> str:
    folds = len({fold.fold for fold in metrics.results.folds})
    seeds = ", ".join(map(str, metrics.seeds))
    interval = metrics.results.interval
    text = (
        f"Protocol {metrics.protocol.name}, {folds} folds, seeds {seeds}. Intervals: "
        f"{interval.level:.0%}, bootstrap over {interval.clusters} {interval.unit}s."
    )
    note = f" {metrics.protocol_note}." if metrics.protocol_note else ""
    return f"<p>{html.escape(text + note)}</p>"


def _recalls(metrics: Metrics) -> str:
    counts = dict(
        zip(metrics.results.confusion.labels, metrics.results.confusion.counts, strict=True)
    )
    body = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th><td>{sum(counts[name])}</td>'
        f"<td>{per_cent(recall)} %</td>"
        f'<td><meter min="0" max="1" value="{recall or 0:.3f}"></meter></td></tr>'
        for name, recall in metrics.results.recalls.items()
    )
    head = "<tr><th>emotion</th><th>answers</th><th>recall</th><th></th></tr>"
    return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"


def _pictures(run: Path) -> str:
    return '<div class="pictures">' + "".join(_embed_pictures(run, _PICTURES.items())) + "</div>"


def _embed_pictures(folder: Path, pictures: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, caption in pictures:
        path = folder / name
        if path.is_file():
            data = base64.b64encode(path.read_bytes()).decode()
            text = html.escape(caption)
            yield (
                f'<figure><img src="data:image/png;base64,{data}" alt="{text}">'
                f"<figcaption>{text}</figcaption></figure>"
            )


def _curves(run: Path) -> Iterator[str]:
    paths = sorted(run.glob("seed-*/*/learning-curves.png"))[:_MOST_CURVES]
    if paths:
        captions = [(str(path.relative_to(run)), f"Fold {path.parent.name}") for path in paths]
        pictures = "".join(_embed_pictures(run, captions))
        yield f'<h2>Learning curves</h2><div class="pictures">{pictures}</div>'


def _map(run: Path) -> Iterator[str]:
    cells = [path.parent for path in sorted(run.glob("seed-*/*/metrics.json"))]
    first = [cell for cell in cells if cell.parent == cells[0].parent]
    selected = maps.select_rows(first)
    chosen = None if selected is None else maps.subsample(*selected)
    if chosen is None:
        return
    rows, vectors = chosen
    positions = maps.tsne(vectors)
    yield (
        "<h2>Embedding map</h2><p>The emotion head's input for each test utterance, in two "
        "dimensions (t-SNE: neighborhoods are meaningful, distances between groups are not). A "
        "ring is a wrong answer; see the tooltips. If speakers separate more clearly than "
        "emotions, the network distinguishes speakers.</p>"
        f'<div class="maps">{maps.render_svg(rows, positions, "truth")}'
        f"{maps.render_svg(rows, positions, 'speaker')}</div>"
    )


def _error_section(
    rows: list[Mapping[str, Any]], manifest: Manifest | None, audio: bool
) -> Iterator[str]:
    chosen = most_confident_errors(rows)
    if not chosen:
        yield "<h2>Hardest clips</h2><p>No answer was wrong.</p>"
        return
    titles = ("clip", "speaker", "truth", "recognized", "score of the truth", "words", "listen")
    head = "".join(f"<th>{title}</th>" for title in titles)
    body = "".join(audio_players(chosen, manifest, audio))
    note = "This page contains their voices: share it with care." if audio and manifest else ""
    yield (
        f"<h2>Hardest clips</h2><p>The most confident wrong answers. {note}</p>"
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


Row = Mapping[str, Any]

#: Number of hardest clips, and seconds of audio of each.
_MOST = 12
_SECONDS = 8.0


def most_confident_errors(rows: Sequence[Row]) -> list[Row]:
    """Wrong answers, the most confident first; two per confusion until all confusions are shown."""
    wrong = sorted(
        (row for row in rows if row["label"] != row["truth"]),
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


def audio_players(rows: Sequence[Row], manifest: Manifest | None, audio: bool) -> Iterator[str]:
    """Yield a table row for each clip, with a player if its audio is available and requested."""
    known = {} if manifest is None else {item.id: item for item in manifest.utterances}
    for row in rows:
        utterance = known.get(str(row["id"]))
        transcript = (utterance.transcript or "") if utterance is not None else ""
        player = _audio_player(manifest, utterance) if audio and manifest and utterance else ""
        cells = (
            html.escape(str(row["id"])),
            html.escape(str(row.get("speaker") or "")),
            html.escape(row["truth"]),
            f"{html.escape(row['label'])} {row['scores'][row['label']]:.0%}",
            f"{row['scores'].get(row['truth'], 0.0):.0%}",
            html.escape(transcript),
            player,
        )
        yield "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _audio_player(manifest: Manifest, utterance: Utterance) -> str:
    """The clip embedded as FLAC, or a note where the recording is gone."""
    begin = utterance.start or 0.0
    end = begin + _SECONDS if utterance.end is None else min(utterance.end, begin + _SECONDS)
    try:
        waveform = load_waveform(manifest.audio_path(utterance), start=utterance.start, end=end)
    except PhonemoError:
        return "audio is gone"
    file = io.BytesIO()
    soundfile.write(file, np.clip(waveform.samples, -1, 1), RATE, format="FLAC", subtype="PCM_16")
    data = base64.b64encode(file.getvalue()).decode()
    return f'<audio controls preload="none" src="data:audio/flac;base64,{data}"></audio>'
