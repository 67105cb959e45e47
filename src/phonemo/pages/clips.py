"""The clips that a run was most wrong about, with players."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import soundfile

from phonemo.audio import RATE, load_waveform
from phonemo.corpora.manifest import Manifest, Utterance
from phonemo.errors import PhonemoError

Row = Mapping[str, Any]

#: How many of them, and how much of each is heard.
_MOST = 12
_SECONDS = 8.0


def hardest(rows: Sequence[Row]) -> list[Row]:
    """Wrong answers, the surest first, no more than two of a confusion until all had their turn."""
    wrong = sorted(
        (row for row in rows if row["label"] != row["truth"]),
        key=lambda row: -float(row["scores"][row["label"]]),
    )
    taken: dict[tuple[str, str], int] = {}
    first: list[Row] = []
    later: list[Row] = []
    for row in wrong:
        pair = (row["truth"], row["label"])
        taken[pair] = taken.get(pair, 0) + 1
        (first if taken[pair] <= 2 else later).append(row)
    return [*first, *later][:_MOST]


def players(rows: Sequence[Row], manifest: Manifest | None, audio: bool) -> Iterator[str]:
    """A row of a table for each clip: a player where its audio is there and wanted."""
    known = {} if manifest is None else {one.id: one for one in manifest.utterances}
    for row in rows:
        one = known.get(str(row["id"]))
        said = (one.transcript or "") if one is not None else ""
        sound = _sound(manifest, one) if audio and manifest and one else ""
        cells = (
            html.escape(str(row["id"])),
            html.escape(str(row.get("speaker") or "")),
            html.escape(row["truth"]),
            f"{html.escape(row['label'])} {row['scores'][row['label']]:.0%}",
            f"{row['scores'].get(row['truth'], 0.0):.0%}",
            html.escape(said),
            sound,
        )
        yield "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _sound(manifest: Manifest, one: Utterance) -> str:
    """The clip inside the page, as FLAC; a recording that is gone leaves a word."""
    begin = one.start or 0.0
    end = begin + _SECONDS if one.end is None else min(one.end, begin + _SECONDS)
    try:
        found = load_waveform(manifest.audio_path(one), start=one.start, end=end)
    except PhonemoError:
        return "audio is gone"
    file = io.BytesIO()
    soundfile.write(file, np.clip(found.samples, -1, 1), RATE, format="FLAC", subtype="PCM_16")
    data = base64.b64encode(file.getvalue()).decode()
    return f'<audio controls preload="none" src="data:audio/flac;base64,{data}"></audio>'
