"""What was heard as a response: JSON, or one of the text formats."""

from __future__ import annotations

from typing import Any

from fastapi import Response
from fastapi.responses import JSONResponse, PlainTextResponse

from phonemo import formats
from phonemo.prediction import Prediction
from phonemo.server.forms import Asked, FormatName
from phonemo.server.service import Heard

#: Response format -> media type, of those that are text.
MEDIA: dict[str, str] = {
    "csv": "text/csv",
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
    "rttm": "text/plain",
    "textgrid": "text/plain",
}


def response_of(model: str, asked: Asked, heard: Heard, timings: dict[str, float]) -> Response:
    """The response to a request.

    Args:
        model: the name of the one that heard.
        asked: the request.
        heard: its answer.
        timings: seconds by stage, for verbose_json.
    """
    wanted, found = asked.fields.response_format, heard.prediction
    if wanted in MEDIA:
        return _text(wanted, asked.file, found)
    verbose = wanted == "verbose_json"
    data = prediction_data(model, found, spans=verbose or asked.fields.phonemes)
    if verbose:
        rounded = {name: round(seconds, 5) for name, seconds in timings.items()}
        data = {**data, "file": asked.file, "timings": rounded}
    return JSONResponse(data)


def prediction_data(model: str, found: Prediction, spans: bool = True) -> dict[str, Any]:
    """What was heard, and by whom; a live stream's answer as it is."""
    return {"model": model, **found.to_dict(spans)}


def _text(wanted: FormatName, file: str, found: Prediction) -> PlainTextResponse:
    if wanted == "csv":
        labels = tuple(found.scores)
        profile = found.profile is not None
        head = formats.csv_head(labels, profile)
        text = head + formats.csv_rows(file, found, labels, profile)
    else:
        text = formats.BY_FILE[wanted][1](file, found)
    return PlainTextResponse(text, media_type=MEDIA[wanted])
