"""What the command line shows: lines by hand, and a display that keeps to standard error."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from phonemo.cli import console, prediction_text, progress_bars
from phonemo.corpora.manifest import Header
from phonemo.corpora.prepare import NONE, Prepared

ROW = {
    "file": "a.wav",
    "label": "anger",
    "unsure": False,
    "scores": {"neutral": 0.25, "anger": 0.5, "fear": 0.15, "sadness": 0.06, "joy": 0.04},
    "seconds": 1.25,
    "phonemes": ["a", "ʃ"],
    "warnings": ["clipped", "windowed"],
    "segments": [{"start": 0.0, "end": 1.25, "label": "anger", "scores": {"anger": 0.5}}],
}
METRICS = {
    "fold": "speaker-[/b]1",
    "seed": 3,
    "sizes": {"train": 8, "validation": 4, "test": 7},
    "epochs": 11.0,
    "best_validation": 0.75,
    "results": {"ua": {"mean": 0.5}, "wa": {"mean": 0.625}},
}


def made(**facts: object) -> Prepared:
    """A prepared corpus of three utterances."""
    known: dict = {
        "header": Header(corpus="toy", root=".", phonemo="test"),
        "output": Path("m.jsonl"),
        "utterances": 3,
        "hours": 0.5,
        "emotions": {NONE: 1, "anger": 2},
        "speakers": {NONE: 3},
        "skipped": {},
        "phoneme_sources": {"gruut": 3},
        "warnings": (),
    }
    return Prepared(**(known | facts))


# Lines --------------------------------------------------------------------------------------------


def test_prepared_lines_do_not_count_the_unknown_as_a_name():
    assert console.prepared_lines(made()) == [
        "m.jsonl: 3 utterances, 0 speakers, 1 emotions, 0.50 h",
        "  emotions: (none) 1, anger 2",
        "  speakers: (none) 3",
        "  phonemes from: gruut 3",
    ]


def test_prepared_lines_summarize_many_speakers():
    speakers = {f"speaker-{number:02}": number for number in range(1, 31)}
    listed = console.prepared_lines(made(speakers=speakers))[2]
    assert listed.startswith("  speakers: speaker-01 1, ")
    assert listed.endswith(" speaker-30 30")
    lines = console.prepared_lines(made(speakers={NONE: 7, **speakers, "speaker-31": 100}))
    assert lines[2] == "  speakers: 31, 1 to 100 utterances each (median 16), (none) 7"


def test_prepared_lines_report_skipped_rows_and_partial_corpora():
    header = Header(corpus="toy", root=".", phonemo="test", partial=True)
    lines = console.prepared_lines(made(header=header, skipped={"x": 2}, warnings=("few",)))
    assert lines[0].endswith(", PARTIAL")
    assert lines[-2:] == ["  skipped: x 2", "  warning: few"]


def test_a_table_row_ranks_four_emotions_and_draws_them():
    assert prediction_text.table_row(ROW).splitlines() == [
        "a.wav  (1.2 s)",
        "  anger, score 50%",
        "  anger        50.0%  ██████████",
        "  neutral      25.0%  █████",
        "  fear         15.0%  ███",
        "  sadness       6.0%  █",
        "  phonemes: a ʃ",
        "  warnings: clipped, windowed",
    ]


def test_a_table_row_shows_a_timeline_and_speakers():
    parts = [
        {"start": 0.0, "end": 59.96, "label": "anger", "unsure": True, "scores": {"anger": 0.5}},
        {"start": 61.5, "end": 3661.0, "label": "joy", "scores": {"joy": 0.75}, "speaker": "A"}
        | {"unsure": False},
    ]
    lines = prediction_text.table_row(ROW | {"segments": parts}).splitlines()
    assert "  0:00.0 to 1:00.0  anger 50%?" in lines
    assert "  1:01.5 to 1:01:01.0  A: joy 75%" in lines
    assert not [line for line in prediction_text.table_row(ROW).splitlines() if " to " in line]


def test_a_table_row_marks_missing_speech_and_truncates_phonemes():
    lines = prediction_text.table_row(
        ROW | {"label": None, "unsure": True, "warnings": ["no_speech"]}
    ).splitlines()
    assert lines[1] == "  no speech detected; the scores below are meaningless"
    assert "no speech" not in prediction_text.table_row(ROW)
    long = prediction_text.table_row(ROW | {"phonemes": ["a"] * 500})
    assert "  phonemes: " + "a " * 60 + "..." in long.splitlines()


def test_a_table_row_does_not_name_phonemes_that_carried_nothing():
    spans = [{"symbol": "a", "start": 0.1, "share": 0.0499}, {"symbol": "b", "share": -0.01}]
    lines = prediction_text.table_row(ROW | {"spans": spans, "warnings": []}).splitlines()
    assert "  carried by: no single phoneme (none adds 5 points)" in lines
    assert "  all 2 phonemes: +4 points" in lines


def test_a_table_row_names_the_five_strongest_phonemes():
    shares = [0.051, -0.2, 0.3, 0.06, 0.0, 0.04, 0.07, 0.08, 0.0499, 0.05]
    spans = [
        {"symbol": symbol, "start": number / 10, "end": 1.0, "confidence": 1.0, "share": share}
        for number, (symbol, share) in enumerate(zip("abcdefghij", shares, strict=True))
    ]
    lines = prediction_text.table_row(ROW | {"spans": spans, "warnings": []}).splitlines()
    first = "c at 0.20 s +30 points, h at 0.70 s +8 points, g at 0.60 s +7 points"
    assert f"  carried by: {first}, d at 0.30 s +6 points, a at 0.00 s +5.1 points" in lines
    assert "  all 10 phonemes: +50 points" in lines
    del spans[2]["share"]
    assert "c at" not in prediction_text.table_row(ROW | {"spans": spans})
    assert "carried" not in prediction_text.table_row(ROW)


def test_a_table_row_has_no_sum_of_shares_for_windows_and_nothing_of_silence():
    spans = [{"symbol": "a", "start": 0.1, "share": 0.2}]
    windowed = prediction_text.table_row(ROW | {"spans": spans, "warnings": ["windowed"]})
    assert "  carried by: a at 0.10 s +20 points" in windowed
    assert "all 1 phonemes" not in windowed
    assert "carried" not in prediction_text.table_row(
        ROW | {"spans": spans, "warnings": ["no_speech"]}
    )


@pytest.mark.parametrize("phonemes", [None, []])
def test_a_table_row_omits_missing_parts(phonemes):
    text = prediction_text.table_row(ROW | {"phonemes": phonemes, "warnings": []})
    assert "heard" not in text
    assert "warnings" not in text


def test_a_table_row_escapes_control_characters_of_a_file_name():
    row = {"file": "a\x1b[31m\n.wav", "error": "a: no such file"}
    assert prediction_text.table_row(row) == "a?[31m?.wav\n  error: a: no such file"
    assert prediction_text.table_row(ROW | {"file": "\u202eb.wav"}).startswith("?b.wav")


@pytest.mark.parametrize(
    ("encoding", "file", "escaped"),
    [
        ("utf-8", "ʃ.wav", False),
        ("latin-1", "é.wav", True),  # the phonemes are not in Latin-1
        ("ascii", "ʃ\U0001f600.wav", True),
        ("utf-8", "\udcff.wav", True),  # a byte of a name that is not UTF-8
    ],
)
def test_a_json_row_round_trips_in_any_encoding(monkeypatch, encoding, file, escaped):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    row = ROW | {"file": file}
    stream.write(prediction_text.json_row(row))
    text = stream.buffer.getvalue().decode(encoding)
    assert json.loads(text) == row
    assert ("\\u" in text) == escaped
    assert "\n" not in text


def test_a_json_row_rejects_values_without_a_json_form():
    with pytest.raises(ValueError, match="not JSON compliant"):
        prediction_text.json_row({"scores": {"anger": float("nan")}})


def test_result_lines_by_hand():
    group = {"utterances": 2, "wa": 0.5, "ua": 0.25}
    results = {
        "confusion": {"labels": ["anger", "neutrality"], "counts": [[1, 0], [12, 3]]},
        "per_gender": {"f": group},
        "per_speaker": {"s1": group},
    }
    assert console.result_lines(results, lambda result: [f"{len(result)} parts"]) == [
        "3 parts",
        "  confusion (rows: true, columns: predicted)",
        "                 anger neutrali",
        "  anger              1        0",
        "  neutrality        12        3",
        "  per gender",
        "    f                  2 utterances  WA 50.0%  UA 25.0%",
        "  per speaker",
        "    s1                 2 utterances  WA 50.0%  UA 25.0%",
    ]


# Progress -----------------------------------------------------------------------------------------


@pytest.fixture
def terminal(monkeypatch):
    """Rich believes that somebody looks."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")


def test_a_progress_bar_is_drawn_on_standard_error_only(terminal, capsys):
    with progress_bars.progress_callback("reading [x]", quiet=False) as tell:
        tell(3, 12)
    out, err = capsys.readouterr()
    assert out == ""
    assert "reading [x]" in err
    assert "3/12" in err


@pytest.mark.parametrize("looked_at", [True, False])
def test_a_progress_bar_is_hidden_when_quiet_or_piped(request, capsys, looked_at):
    if looked_at:
        request.getfixturevalue("terminal")
    with progress_bars.progress_callback("reading", quiet=looked_at) as tell:
        tell(3, 12)
    assert capsys.readouterr() == ("", "")


def test_a_finished_fold_is_one_line_on_standard_error(monkeypatch, capsys):
    pytest.importorskip("transformers")
    monkeypatch.setenv("COLUMNS", "40")
    with progress_bars.run_progress(quiet=False) as output:
        output.features(1, 2)
        output.cell(1, 1, "speaker-[/b]1 seed 3")
        output.step(5, 10, {"ua": 0.5})
        output.scores(METRICS)
    assert capsys.readouterr() == (
        "",
        "speaker-[/b]1 seed 3: UA 50.0%, WA 62.5% on 7 utterances "
        "(epochs: 11, best validation 0.750)\n",
    )


def test_a_run_draws_folds_and_steps(terminal, capsys):
    pytest.importorskip("transformers")
    with progress_bars.run_progress(quiet=False) as output:
        output.cell(2, 10, "speaker-[/b]1 seed 3")
        output.step(5, 17, {"ua": 0.5})
    out, err = capsys.readouterr()
    assert out == ""
    for words in ("folds x seeds", "1/10", "speaker-[/b]1 seed 3", "5/17", "validation UA 50.0%"):
        assert words in err


def test_a_quiet_run_prints_nothing(terminal, capsys):
    pytest.importorskip("transformers")
    with progress_bars.run_progress(quiet=True) as output:
        output.cell(1, 1, "speaker-1 seed 3")
        output.scores(METRICS)
    assert capsys.readouterr() == ("", "")


PARTY = {
    "channel": 2,
    "speaker": "Ann",
    "seconds": 120.0,
    "speech_share": 0.25,
    "silence_share": 0.75,
    "emotions": {"neutral": 0.4, "anger": 0.6, "fear": 0.0},
    "mean_confidence": 0.7,
    "strongest": [{"start": 61.0, "end": 63.0, "label": "anger", "score": 0.9}],
    "trend": [
        {"start": 0.0, "end": 20.0, "label": "neutral", "scores": {}},
        {"start": 100.0, "end": 120.0, "label": "anger", "scores": {}},
    ],
    "change": {"neutral": -0.2, "anger": 0.25, "fear": 0.0},
}


def test_a_summary_is_a_block_for_each_party():
    rest = {"speech_share": 0.0, "emotions": {}, "mean_confidence": None, "strongest": []}
    silent = rest | {"trend": [], "change": None}
    lines = prediction_text.table_row(ROW | {"summary": {"parties": [PARTY, silent]}}).splitlines()
    first = next(index for index, line in enumerate(lines) if "summary" in line)
    assert lines[first : first + 7] == [
        "  summary of channel 2, Ann: speech 25%, silence 75%, mean confidence 70%",
        "    anger        60.0%  ████████████",
        "    neutral      40.0%  ████████",
        "    strongest: 1:01.0 anger 90%",
        "    trend: 0:00.0 neutral, 1:40.0 anger",
        "    last third minus first, points: anger +25, neutral -20, fear +0",
        "  summary of unknown speakers: speech 0%, silence 100%",
    ]


def test_turns_without_a_speaker_are_not_called_the_recording_beside_others():
    party = {"speech_share": 0.5, "mean_confidence": None, "emotions": {}, "strongest": []}
    parties = [{**party, "trend": [], "change": None}]
    row = {"file": "a.wav", "seconds": 1.0, "warnings": [], "scores": {"anger": 1.0}}
    row |= {"label": "anger", "unsure": False, "segments": [], "phonemes": []}
    alone = prediction_text.table_row({**row, "summary": {"parties": parties}})
    assert "summary of the recording" in alone
    two = prediction_text.table_row(
        {**row, "summary": {"parties": [{**parties[0], "speaker": "A"}, *parties]}}
    )
    assert "summary of A" in two
    assert "summary of unknown speakers" in two


def test_a_hidden_progress_bar_does_not_import_rich(monkeypatch):
    """Importing it takes an eighth of a cold start, and one recording shows no progress."""
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with progress_bars.progress_callback("recognizing", quiet=True) as progress:
        progress(1, 1)
    with pytest.raises(ImportError), progress_bars.progress_callback("recognizing", quiet=False):
        pass
