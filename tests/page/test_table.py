"""The table of all recordings, and one file of all."""

from __future__ import annotations

import csv
import io
import json

import pytest

import phonemo
from tests.page.test_files import upload
from tests.page.test_looks import broken

#: Name -> score of anger, warnings.
ROWS = {
    "=cmd.wav": (0.5, ["unsure"]),
    "b,2.wav": (0.9, ["clipped"]),
    "b,10.wav": (0.7, ["unsure", "windowed"]),
    "静.wav": (0.3, ["no_speech", "silent"]),
}
#: Values and what stands in the file.
CELLS = [
    ("=1+1", "'=1+1"),
    ("+1", "'+1"),
    ("-1", "'-1"),
    ("@x", "'@x"),
    ("\t=1", "'\t=1"),
    ("\uff1d1", "'\uff1d1"),
    ('say "a", b', '"say ""a"", b"'),
    ("a\nb", '"a\nb"'),
    (" a", '" a"'),
    (-0.5, "-0.5"),
    (None, ""),
    (False, "false"),
    ("声音", "声音"),
]
HEIGHTS = "rows => rows.map(row => row.offsetHeight)"
DONE = "() => document.querySelectorAll('.file-row[data-state=done]').length === 4"


@pytest.fixture(scope="module")
def answer(voice) -> dict:
    return phonemo.load().predict(voice, shares=True).to_dict(spans=True)


@pytest.fixture
def table(page, voice, tmp_path, answer):
    """The table of recordings with these results, and of one that is refused."""
    paths = [tmp_path / name for name in (*ROWS, "z.wav")]
    for path in paths:
        path.write_bytes(voice.read_bytes())
    answer_by_name(page, answer)
    upload(page, *paths)
    page.wait_for_function(
        "() => document.querySelectorAll('.file-row[data-state=done]').length === 4"
    )
    page.wait_for_function("() => document.querySelector('.file-row[data-state=failed]')")
    page.get_by_test_id("table-button").click()
    page.get_by_test_id("table-row").nth(4).wait_for()
    return page


def answer_by_name(page, answer) -> None:
    def respond(route) -> None:
        body = route.request.post_data_buffer or b""
        name = next((name for name in ROWS if name.encode() in body), None)
        if name is None:
            error = {"message": "z.wav: no", "code": "invalid_audio", "type": "x", "param": None}
            route.fulfill(status=422, json={"error": error})
            return
        score, warnings = ROWS[name]
        scores = {"anger": score, "neutral": 1 - score}
        route.fulfill(
            json=answer | {"label": "anger", "scores": scores, "warnings": warnings, "model": "m"}
        )

    page.route("**/v1/audio/emotions", respond)


def names(page) -> list[str]:
    return page.locator(".table-name").all_inner_texts()


def sort(page, column: str) -> list[str]:
    """Sort by a column with the keyboard."""
    before = page.evaluate("document.querySelector('#table-head').innerHTML")
    page.get_by_test_id(f"sort-{column}").focus()
    page.keyboard.press("Enter")
    page.wait_for_function(
        "before => document.querySelector('#table-head').innerHTML !== before", arg=before
    )
    return names(page)


def test_the_table_is_sorted_by_keyboard(table):
    assert names(table) == [*ROWS, "z.wav"]
    heights = table.get_by_test_id("table-row").evaluate_all(HEIGHTS)
    assert max(heights) < 100
    assert sort(table, "name")[1:4] == ["b,2.wav", "b,10.wav", "z.wav"]
    ascending = sort(table, "score")
    head = table.locator("th[aria-sort]")
    assert head.evaluate_all("nodes => nodes.map(node => node.ariaSort)") == ["ascending"]
    assert ascending == ["=cmd.wav", "b,10.wav", "b,2.wav", "静.wav", "z.wav"]
    assert sort(table, "score") == ["b,2.wav", "b,10.wav", "=cmd.wav", "静.wav", "z.wav"]
    assert head.evaluate_all("nodes => nodes.map(node => node.ariaSort)") == ["descending"]
    assert broken(table) == []


def test_the_table_says_what_is_in_doubt_and_filters_it(table):
    rows = dict(zip(names(table), table.get_by_test_id("table-row").all_inner_texts(), strict=True))
    assert "unsure (anger)" in rows["=cmd.wav"]
    assert "clipped" in rows["b,2.wav"]
    assert "no speech" in rows["静.wav"]
    assert "anger" not in rows["静.wav"]
    assert "cannot be recognized" in rows["z.wav"]
    assert "z.wav: no" in rows["z.wav"]
    table.get_by_test_id("table-unsure").check()
    table.get_by_test_id("table-count").get_by_text("3 of 5").wait_for()
    assert names(table) == ["=cmd.wav", "b,10.wav", "静.wav"]
    table.locator(".table-name").nth(1).click()
    table.get_by_test_id("result-file").get_by_text("b,10.wav").wait_for()


def test_one_csv_and_one_json_hold_all_recordings(table):
    found = {}
    for name in ("csv", "json"):
        with table.expect_download() as waiting:
            table.get_by_test_id(f"session-{name}").click()
        found[waiting.value.suggested_filename] = waiting.value.path().read_bytes()
    data = found["phonemo-session.csv"]
    assert data.startswith("\ufefffile,".encode())
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))
    assert [row["file"] for row in rows] == ["'=cmd.wav", "b,2.wav", "b,10.wav", "静.wav", "z.wav"]
    assert [row["label"] for row in rows] == ["anger", "anger", "anger", "", ""]
    assert [row["unsure"] for row in rows] == ["true", "false", "true", "true", ""]
    assert [row["score_anger"] for row in rows] == ["0.5", "0.9", "0.7", "0.3", ""]
    assert {row["origin"] for row in rows} == {"file"}
    assert rows[3]["warnings"] == "no_speech silent"
    assert (rows[4]["error_code"], rows[4]["error"]) == ("invalid_audio", "z.wav: no")
    entries = json.loads(found["phonemo-session.json"])
    assert [entry["file"] for entry in entries] == [*ROWS, "z.wav"]
    assert entries[1]["prediction"]["scores"]["anger"] == 0.9
    assert entries[4]["error"]["code"] == "invalid_audio"


def test_a_cell_is_quoted_and_is_no_formula(page):
    found = page.evaluate(
        "cells => import('/web/csv.js').then(({ csvCell }) => cells.map(csvCell))",
        [cell for cell, _ in CELLS],
    )
    assert list(zip([cell for cell, _ in CELLS], found, strict=True)) == CELLS


def test_channels_that_were_recognized_apart_have_rows_of_their_own(page, answer):
    part = {key: answer[key] for key in ("label", "scores", "seconds", "warnings", "speech_ratio")}
    split = part | {"channels": [part | {"channel": 1}, part | {"channel": 2}]}
    text = page.evaluate(
        """prediction => import('/web/sessionexport.js').then(({ sessionCsv }) =>
            sessionCsv([{ name: "call.wav", state: "done", error: null, prediction }]))""",
        split,
    )
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
    assert [(row["file"], row["channel"]) for row in rows] == [
        ("call.wav", ""),
        ("call.wav", "1"),
        ("call.wav", "2"),
    ]


DOUBTS = [
    ({"warnings": ["timeline_differs"]}, True),
    ({"mixture": {"anger": 0.28, "fear": 0.2}}, True),
    ({"label": None}, True),
    ({"channels": [{"label": "anger", "warnings": ["unsure"], "scores": {}}]}, True),
    ({}, False),
]


def test_each_kind_of_doubt_is_filtered_and_exported(page):
    sure = {"label": "anger", "scores": {"anger": 0.9}, "warnings": []}
    jobs = [
        {"name": "a", "state": "done", "error": None, "origin": "sample", "prediction": sure | more}
        for more, _ in DOUBTS
    ]
    doubtful = page.evaluate(
        "jobs => import('/web/tablerows.js').then(table => jobs.map(table.isDoubtful))", jobs
    )
    assert doubtful == [doubt for _, doubt in DOUBTS]
    text = page.evaluate(
        "jobs => import('/web/sessionexport.js').then(({ sessionCsv }) => sessionCsv(jobs))", jobs
    )
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
    assert {row["origin"] for row in rows} == {"sample"}
    assert rows[1]["mixture"] == "anger=0.28 fear=0.2"
    assert (rows[2]["label"], rows[2]["unsure"]) == ("", "true")
