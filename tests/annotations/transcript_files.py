"""Transcripts and subtitles as their programs write them, in small."""

from __future__ import annotations

WHISPERX = {
    "segments": [
        {
            "start": 0.5,
            "end": 2.5,
            "text": " It is 5 past nine.",
            "words": [
                {"word": "It", "start": 0.5, "end": 0.75, "score": 0.9, "speaker": "SPEAKER_00"},
                {"word": "is", "start": 0.75, "end": 1.0, "score": 0.9, "speaker": "SPEAKER_00"},
                {"word": "5"},
                {"word": "past", "start": 1.5, "end": 2.0, "score": 0.8, "speaker": "SPEAKER_01"},
                {"word": "nine."},
            ],
            "speaker": "SPEAKER_00",
        },
        {"start": 3.0, "end": 4.0, "text": " No.", "words": [], "speaker": "SPEAKER_01"},
    ],
    "word_segments": [{"word": "It", "start": 0.5, "end": 0.75, "score": 0.9}],
    "language": "en",
}
WHISPER = {
    "text": " Hello there.",
    "segments": [
        {
            "id": 0,
            "seek": 0,
            "start": 0.0,
            "end": 1.5,
            "text": " Hello there.",
            "tokens": [1, 2],
            "temperature": 0.0,
            "words": [
                {"word": " Hello", "start": 0.0, "end": 0.5, "probability": 0.9},
                {"word": " there.", "start": 0.5, "end": 1.5, "probability": 0.9},
            ],
        }
    ],
    "language": "en",
}
WHISPER_CPP = {
    "result": {"language": "en"},
    "transcription": [
        {
            "timestamps": {"from": "00:00:01,000", "to": "00:00:02,500"},
            "offsets": {"from": 1000, "to": 2500},
            "text": " Hello there.",
            "speaker": "0",
        }
    ],
}
SRT = """\
1
00:00:01,000 --> 00:00:02,500
[SPEAKER_00]: Hello <i>there</i>,
you &amp; me.

2
00:00:03,000 --> 00:00:04,000
[SPEAKER_01]: No.
"""
VTT = """\
WEBVTT - a title
Kind: captions

NOTE a comment
over two lines

STYLE
::cue(v[voice="Ann"]) { color: red }

first
00:01.000 --> 00:02.500 align:start position:10%
<v.loud Ann>Hello <00:01.500><c>there</c>,
you &amp; me.</v>

01:00:03.000 --> 01:00:04.000
<v Ann>Yes.</v> <v Bob>No.</v>

NOTE the end
"""
