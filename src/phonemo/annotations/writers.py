"""Predictions as the files that other programs open: Praat, Audacity, players, spreadsheets.

Every writer takes a name (the recording's, as it was typed) and what was heard in it, and gives the
whole text of a file.
"""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePath

from phonemo.annotations.prediction import (
    Prediction,
    Segment,
    TierInterval,
    phonemes_within,
    segment_label,
    segments_of,
    single_line,
    tiers_of,
)
from phonemo.files import dumps_json


def textgrid(name: str, found: Prediction) -> str:
    """A Praat TextGrid with the tiers "emotion", "speaker", "phonemes" and "share".

    All but the first only where they are known; where segments overlap, each speaker has a tier
    "emotion <speaker>" instead of the first two. The long text format of Praat's manual, in
    UTF-8. Tiers cover the recording without gaps, as Praat wants them; nothing heard is an empty
    interval.
    """
    tiers = tiers_of(found)
    head = ['File type = "ooTextFile"', 'Object class = "TextGrid"', ""]
    head += ["xmin = 0", f"xmax = {found.seconds:.6f}", "tiers? <exists>"]
    head += [f"size = {len(tiers)}", "item []:"]
    body = [
        line
        for number, (tier, intervals) in enumerate(tiers.items(), start=1)
        for line in _tier(number, tier, found.seconds, intervals)
    ]
    return "\n".join([*head, *body]) + "\n"


def audacity(name: str, found: Prediction) -> str:
    """A label track of Audacity: start, end and text, parted by tabs; emotions, then phonemes."""
    rows = [(one.start, one.end, _who(one) + segment_label(one)) for one in segments_of(found)]
    rows += [(one.start, one.end, one.symbol) for one in found.spans or ()]
    return "".join(f"{start:.6f}\t{end:.6f}\t{text}\n" for start, end, text in rows)


def srt(name: str, found: Prediction) -> str:
    """Subtitles in the SubRip format, one for each segment: "A: [anger 0.75]"."""
    cues = []
    for number, one in enumerate(segments_of(found), start=1):
        text = f"{_who(one)}[{segment_label(one)}]"
        times = f"{_clock(one.start, ',')} --> {_clock(one.end, ',')}"
        cues.append(f"{number}\n{times}\n{text}\n")
    return "\n".join(cues)


def webvtt(name: str, found: Prediction) -> str:
    """Subtitles for HTML's video and audio, one for each segment; a speaker is a voice tag."""
    cues = ["WEBVTT\n"]
    for one in segments_of(found):
        speaker = html.escape(single_line(one.speaker), quote=False)
        voice = f"<v {speaker}>" if speaker else ""
        text = html.escape(f"[{segment_label(one)}]", quote=False)
        cues.append(f"{_clock(one.start, '.')} --> {_clock(one.end, '.')}\n{voice}{text}\n")
    return "\n".join(cues) if len(cues) > 1 else "WEBVTT\n\n"


def rttm(name: str, found: Prediction) -> str:
    """Lines of NIST's RTTM, one for each segment, for tools of diarisation.

    The emotion stands where they want the speaker's name ("<speaker>_<emotion>" where the speaker
    is known), its score is the confidence. The file's id is the name's stem.
    """
    file = _token(PurePath(name).stem.encode("utf-8", "replace").decode())
    return "".join(
        f"SPEAKER {file} 1 {one.start:.3f} {one.end - one.start:.3f} <NA> <NA> {_voice(one)} "
        f"{one.scores[one.label]:.3f} <NA>\n"
        for one in segments_of(found)
    )


def json_file(name: str, found: Prediction) -> str:
    """A JSON document with everything that is known, the times of the phonemes too."""
    data = {"file": name, **found.to_dict(spans=True)}
    return dumps_json(data, indent=1) + "\n"


def csv_head(labels: Iterable[str], profile: bool = False) -> str:
    """The first line of a table that has a row for each segment.

    Its columns are file, start, end, speaker, label, a score for each emotion, phonemes, warnings,
    error and, where a profile is applied, profile: the hash of the one that decided.
    """
    times = ["start", "end", "speaker", "label"]
    last = ["profile"] if profile else []
    return _csv_line(["file", *times, *labels, "phonemes", "warnings", "error", *last])


def csv_rows(name: str, found: Prediction, labels: Sequence[str], profile: bool = False) -> str:
    """The lines of that table for one recording; times are in seconds.

    Phonemes (those whose middle lies in the segment) and warnings are parted by spaces. A
    recording without segments has one line without times and label, so that it is not missed.
    """
    told = " ".join(found.warnings)
    segments = segments_of(found)
    if not segments:
        heard = " ".join(found.phonemes or ())
        cells = [name, "", "", "", "", *("" for _ in labels), heard, told, ""]
        return _csv_line([*cells, *_hash_cells(found, None, profile)])
    return "".join(
        _csv_line([*_cells(name, found, one, labels, told), *_hash_cells(found, one, profile)])
        for one in segments
    )


def csv_error(name: str, error: str, labels: Sequence[str], profile: bool = False) -> str:
    """A line of that table for a file that could not be used."""
    last = [""] if profile else []
    return _csv_line([name, "", "", "", "", *("" for _ in labels), "", "", error, *last])


def _hash_cells(found: Prediction, one: Segment | None, profile: bool) -> list[str]:
    """The cell of the profile, where there is such a column."""
    mark = (one.profile if one is not None else None) or found.profile
    return [mark.hash if mark is not None else ""] if profile else []


def _cells(
    name: str, found: Prediction, one: Segment, labels: Sequence[str], told: str
) -> list[str]:
    scores = [f"{one.scores[label]:.6f}" if label in one.scores else "" for label in labels]
    times = [f"{one.start:.3f}", f"{one.end:.3f}"]
    return [
        name,
        *times,
        one.speaker or "",
        one.label,
        *scores,
        phonemes_within(one, found),
        told,
        "",
    ]


def _tier(
    number: int, name: str, seconds: float, intervals: Sequence[TierInterval]
) -> Iterator[str]:
    yield f"    item [{number}]:"
    yield '        class = "IntervalTier"'
    yield f'        name = "{_quoted(name)}"'
    yield "        xmin = 0"
    yield f"        xmax = {seconds:.6f}"
    yield f"        intervals: size = {len(intervals)}"
    for place, one in enumerate(intervals, start=1):
        yield f"        intervals [{place}]:"
        yield f"            xmin = {one.start:.6f}"
        yield f"            xmax = {one.end:.6f}"
        yield f'            text = "{_quoted(one.text)}"'


def _quoted(text: str) -> str:
    """Praat doubles a quotation mark inside a string."""
    return text.replace('"', '""')


def _clock(seconds: float, point: str) -> str:
    """A time of subtitles to the millisecond; there may be more than 99 hours."""
    whole, rest = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}{point}{rest:03d}"


def _voice(one: Segment) -> str:
    speaker = single_line(one.speaker)
    return _token(f"{speaker}_{one.label}" if speaker else one.label)


def _token(text: str) -> str:
    """A field of a line whose fields are parted by spaces."""
    return "_".join(text.split()) or "audio"


def _who(one: Segment) -> str:
    name = single_line(one.speaker)
    return f"{name}: " if name else ""


def _csv_line(cells: Iterable[str]) -> str:
    line = io.StringIO()
    # quotes what holds a letter of the line's end, and both may be in the name of a file
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue().removesuffix("\r\n") + "\n"


#: Formats of which each recording gets a file of its own: name -> suffix and writer.
BY_FILE: dict[str, tuple[str, Callable[[str, Prediction], str]]] = {
    "json": (".json", json_file),
    "srt": (".srt", srt),
    "vtt": (".vtt", webvtt),
    "textgrid": (".TextGrid", textgrid),
    "rttm": (".rttm", rttm),
    "audacity": (".labels.txt", audacity),
}
