"""Write predictions as files for Praat, Audacity, media players and spreadsheets.

Every writer takes the recording's name and its prediction, and returns the text of a file.
"""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath

from phonemo.annotations.dimensions import dimension_cells, dimension_columns
from phonemo.annotations.prediction import (
    PhonemeSpan,
    Prediction,
    Segment,
    phonemes_within,
    segments_of,
)
from phonemo.annotations.tiers import (
    DOUBT,
    TierInterval,
    segment_label,
    single_line,
    source_name,
    tiers_of,
)
from phonemo.files import dumps_json

#: First characters of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NEGATIVE = re.compile(r"-[0-9]+(\.[0-9]+)?")
_ARROW = re.compile("-{2,}>")


def textgrid(name: str, found: Prediction) -> str:
    """A Praat TextGrid with the tiers "emotion", "speaker", "phonemes" and "share".

    All but the first are optional; a prediction with dimensions has tiers such as "arousal
    (derived)", whose texts are numbers; with a transcript there are "text", "words" and "word
    emotion". If segments overlap, each speaker has tiers "emotion <speaker>" and "text <speaker>"
    instead; if channels were chosen, each has such tiers as "emotion channel 1". The format is the
    long text format of Praat's manual, in UTF-8. Tiers cover the recording without gaps, as Praat
    requires; a gap is an empty interval.
    """
    return textgrid_of(tiers_of(found), found.seconds)


def textgrid_of(tiers: Mapping[str, Sequence[TierInterval]], seconds: float) -> str:
    """A Praat TextGrid of tiers whose intervals cover 0 to ``seconds`` without gaps."""
    head = ['File type = "ooTextFile"', 'Object class = "TextGrid"', ""]
    head += ["xmin = 0", f"xmax = {seconds:.6f}", "tiers? <exists>"]
    head += [f"size = {len(tiers)}", "item []:"]
    body = [
        line
        for number, (tier, intervals) in enumerate(tiers.items(), start=1)
        for line in _tier_lines(number, tier, seconds, intervals)
    ]
    return "\n".join([*head, *body]) + "\n"


def audacity(name: str, found: Prediction) -> str:
    """An Audacity label track: start, end and text, tab-separated; emotions, then phonemes."""
    rows = [
        (segment.start, segment.end, _source_prefix(segment) + _marked(segment))
        for segment in segments_of(found)
    ]
    spans = (span for part in found.channels or (found,) for span in part.spans or ())
    rows += [(span.start, span.end, span.symbol) for span in spans]
    return "".join(f"{start:.6f}\t{end:.6f}\t{text}\n" for start, end, text in rows)


def srt(name: str, found: Prediction) -> str:
    """Subtitles in the SubRip format, one per segment: "A: text [anger 0.75]".

    A question mark behind the score, [anger 0.45?], marks one in doubt: below the threshold.
    """
    cues = []
    for number, segment in enumerate(segments_of(found), start=1):
        # an arrow would make it a time line
        text = _ARROW.sub("->", _source_prefix(segment) + _labelled_text(segment))
        times = f"{_timestamp(segment.start, ',')} --> {_timestamp(segment.end, ',')}"
        cues.append(f"{number}\n{times}\n{text}\n")
    return "\n".join(cues)


def webvtt(name: str, found: Prediction) -> str:
    """Subtitles for HTML video and audio, one per segment.

    Speakers, or channels, become voice tags.
    """
    cues = ["WEBVTT\n"]
    for segment in segments_of(found):
        speaker = html.escape(source_name(segment), quote=False)
        gap = " " if speaker.endswith("--") else ""  # an arrow would make it a time line
        voice = f"<v {speaker}{gap}>" if speaker else ""
        text = html.escape(_labelled_text(segment), quote=False)
        cues.append(
            f"{_timestamp(segment.start, '.')} --> {_timestamp(segment.end, '.')}\n{voice}{text}\n"
        )
    return "\n".join(cues) if len(cues) > 1 else "WEBVTT\n\n"


def rttm(name: str, found: Prediction) -> str:
    """NIST RTTM for diarization tools, one line per segment.

    The channel field holds the channel, 1 for the mix. The speaker field holds the emotion
    ("<speaker>_<emotion>" if the speaker is known, "anger?" if unsure), the confidence field its
    score. The file id is the stem of the name. A turn without speech has the emotion "no_speech"
    and no confidence.
    """
    file = _token(PurePath(name).stem.encode("utf-8", "replace").decode())
    return "".join(
        f"SPEAKER {file} {segment.channel or 1} {segment.start:.3f} "
        f"{segment.end - segment.start:.3f} <NA> <NA> "
        f"{_rttm_label(segment)} {_rttm_score(segment)} <NA>\n"
        for segment in segments_of(found)
    )


def json_file(name: str, found: Prediction) -> str:
    """A JSON document with all fields, including the times of the phonemes."""
    data = {"file": name, **found.to_dict(spans=True)}
    return dumps_json(data, indent=1) + "\n"


def csv_head(
    labels: Iterable[str],
    profile: bool = False,
    channel: bool = False,
    text: bool = False,
    dimensions: Sequence[str] = (),
) -> str:
    """The header of a table with a row per segment.

    Its columns are file, start, end, speaker, label, unsure (true or false), a score for each
    emotion, phonemes, warnings, error and, if channels are chosen, channel; if a profile is
    applied, profile: its hash; if a transcript is given, text; with dimensions, each of them, and
    derived: whether they come from the scores.
    """
    times = ["start", "end", "speaker", "label", "unsure"]
    last = ["channel"] * channel + ["profile"] * profile + ["text"] * text
    last += dimension_columns(dimensions)
    return csv_line(["file", *times, *labels, "phonemes", "warnings", "error", *last])


def csv_rows(
    name: str,
    found: Prediction,
    labels: Sequence[str],
    profile: bool = False,
    channel: bool = False,
    text: bool = False,
    dimensions: Sequence[str] = (),
) -> str:
    """The table's rows for one recording; times are in seconds.

    Phonemes (those whose midpoint lies in the segment) and warnings are separated by spaces. A
    recording without segments has one row without times and label. A recording whose channels are
    processed each on its own has the rows of each channel.
    """
    if found.channels:
        columns = (profile, channel, text, dimensions)
        parts = (csv_rows(name, one, labels, *columns) for one in found.channels)
        return "".join(parts)
    warnings = " ".join(found.warnings)
    segments = segments_of(found)
    if not segments:
        phonemes = " ".join(found.phonemes or ())
        cells = [name, "", "", "", "", "true", *("" for _ in labels), phonemes, warnings, ""]
        return csv_line([*cells, *_last_cells(found, None, profile, channel, text, dimensions)])
    return "".join(
        csv_line(
            [
                *_segment_cells(name, found, segment, labels, warnings),
                *_last_cells(found, segment, profile, channel, text, dimensions),
            ]
        )
        for segment in segments
    )


def csv_error(
    name: str,
    error: str,
    labels: Sequence[str],
    profile: bool = False,
    channel: bool = False,
    text: bool = False,
    dimensions: Sequence[str] = (),
) -> str:
    """The table's row for a file that could not be processed."""
    last = [""] * (profile + channel + text + len(dimension_columns(dimensions)))
    return csv_line([name, "", "", "", "", "", *("" for _ in labels), "", "", error, *last])


#: Columns of the table with a row per phoneme; ``channel`` follows if channels are chosen.
PHONEME_COLUMNS = (
    *("file", "position", "symbol", "start", "end", "confidence", "share", "label", "unsure"),
    "error",
)


def phoneme_head(channel: bool = False) -> str:
    """The header of a table with a row per phoneme."""
    return csv_line([*PHONEME_COLUMNS, *["channel"] * channel])


def phoneme_rows(name: str, found: Prediction, channel: bool = False) -> str:
    """The table's rows for one recording: its phonemes, numbered from 0, with the emotion.

    Times are in seconds; a share is the part of the emotion's score that the phoneme's frames add.
    A recording without phonemes has none. Channels processed each on its own follow one another.
    """
    if found.channels:
        return "".join(phoneme_rows(name, one, channel) for one in found.channels)
    last = [found.label or "", str(found.unsure).lower(), ""]
    last += ["" if found.channel is None else str(found.channel)] * channel
    return "".join(
        csv_line([name, str(position), *_phoneme_cells(span), *last])
        for position, span in enumerate(found.spans or ())
    )


def phoneme_error(name: str, error: str, channel: bool = False) -> str:
    """The table's row for a file that could not be processed."""
    blank = [""] * (len(PHONEME_COLUMNS) - 2)
    return csv_line([name, *blank, error, *[""] * channel])


def _phoneme_cells(span: PhonemeSpan) -> list[str]:
    share = "" if span.share is None else f"{span.share:.4f}"
    times = [f"{span.start:.4f}", f"{span.end:.4f}"]
    return [span.symbol, *times, f"{span.confidence:.4f}", share]


def _last_cells(
    prediction: Prediction,
    segment: Segment | None,
    profile: bool,
    channel: bool,
    text: bool,
    dimensions: Sequence[str],
) -> list[str]:
    """The cells of the columns channel, profile, text and dimensions, where there are such."""
    number = (segment.channel if segment is not None else None) or prediction.channel
    mark = (segment.profile if segment is not None else None) or prediction.profile
    cells = ["" if number is None else str(number)] if channel else []
    cells += [mark.hash if mark is not None else ""] if profile else []
    cells += [(segment and segment.text) or ""] if text else []
    known = None if segment is None else segment.dimensions
    return [*cells, *dimension_cells(known, dimensions)]


def _segment_cells(
    name: str, prediction: Prediction, segment: Segment, labels: Sequence[str], warnings: str
) -> list[str]:
    scores = [f"{segment.scores[label]:.6f}" if label in segment.scores else "" for label in labels]
    times = [f"{segment.start:.3f}", f"{segment.end:.3f}"]
    return [
        name,
        *times,
        segment.speaker or "",
        segment.label or "",
        "true" if segment.is_doubtful else "false",
        *scores,
        phonemes_within(segment, prediction),
        warnings,
        "",
    ]


def _tier_lines(
    number: int, name: str, seconds: float, intervals: Sequence[TierInterval]
) -> Iterator[str]:
    yield f"    item [{number}]:"
    yield '        class = "IntervalTier"'
    yield f'        name = "{_escape(name)}"'
    yield "        xmin = 0"
    yield f"        xmax = {seconds:.6f}"
    yield f"        intervals: size = {len(intervals)}"
    for index, interval in enumerate(intervals, start=1):
        yield f"        intervals [{index}]:"
        yield f"            xmin = {interval.start:.6f}"
        yield f"            xmax = {interval.end:.6f}"
        yield f'            text = "{_escape(interval.text)}"'


def _escape(text: str) -> str:
    """Double the quotation marks, as Praat does inside strings."""
    return text.replace('"', '""')


def _timestamp(seconds: float, point: str) -> str:
    """A subtitle time in milliseconds; hours may exceed 99."""
    total, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{total // 3600:02d}:{total // 60 % 60:02d}:{total % 60:02d}{point}{milliseconds:03d}"


def _rttm_label(segment: Segment) -> str:
    speaker = single_line(segment.speaker)
    label = "no_speech" if segment.label is None else segment.label + DOUBT * segment.unsure
    return _token(f"{speaker}_{label}" if speaker else label)


def _rttm_score(segment: Segment) -> str:
    return "<NA>" if segment.label is None else f"{segment.score:.3f}"


def _token(text: str) -> str:
    """A field of a space-separated line."""
    return "_".join(text.split()) or "audio"


def _source_prefix(segment: Segment) -> str:
    name = source_name(segment)
    return f"{name}: " if name else ""


def _labelled_text(segment: Segment) -> str:
    """The text, if there is one, and the emotion in brackets."""
    return f"{single_line(segment.text)} [{_marked(segment)}]".lstrip()


def _marked(segment: Segment) -> str:
    """Emotion and score, or that there is no speech: no cue or label is empty."""
    return segment_label(segment) or "no speech"


def csv_line(cells: Iterable[str]) -> str:
    """A row of a table; its first cell is the name of a file. A formula is made plain text."""
    line = io.StringIO()
    name, *others = cells
    safe = [_plain_cell(name, "./")]
    safe += [cell if _NEGATIVE.fullmatch(cell) else _plain_cell(cell, "'") for cell in others]
    # csv quotes cells that contain a line terminator; file names may contain \r and \n
    csv.writer(line, lineterminator="\r\n").writerow(safe)
    return line.getvalue().removesuffix("\r\n") + "\n"


def _plain_cell(cell: str, prefix: str) -> str:
    """Add a prefix to a text that a spreadsheet would run as a formula.

    A file name gets "./", with which programs still find the file; other text an apostrophe.
    """
    return prefix + cell if len(cell) > 1 and cell.startswith(_FORMULA) else cell


#: Formats with one file per recording: name -> suffix and writer.
BY_FILE: dict[str, tuple[str, Callable[[str, Prediction], str]]] = {
    "json": (".json", json_file),
    "srt": (".srt", srt),
    "vtt": (".vtt", webvtt),
    "textgrid": (".TextGrid", textgrid),
    "rttm": (".rttm", rttm),
    "audacity": (".labels.txt", audacity),
}
