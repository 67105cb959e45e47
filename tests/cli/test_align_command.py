"""`phonemo align`: phonemes of a manifest in time, resumed, and what cannot be aligned."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from phonemo.annotations.textgrid import read_tiers
from phonemo.audio import Excerpt
from phonemo.corpora.manifest import Header, Phonemes, Utterance, write_manifest
from phonemo.errors import UsageError
from phonemo.files import folder_lock
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.phonemes import alignment_folder
from phonemo.runtime.phonemes.corpus_alignment import check_file_names, file_stem
from tests.cli.test_adapt_command import phonemo
from tests.tiny_bundle import ADAPTABLE, BUNDLE, RATE, make_clip

SYMBOLS = ("m", "a", "s")


def ipa(*symbols: str) -> Phonemes:
    return Phonemes(alphabet="ipa", source="g2p", symbols=symbols)


def one(name: str, file: str = "long.wav", **more: Any) -> Utterance:
    fields: dict[str, Any] = {"speaker": "s1", "emotion": "anger", "phonemes": ipa(*SYMBOLS)}
    return Utterance.model_validate({"id": name, "file": file} | fields | more)


def manifest_of(folder: Path, rows: list[Utterance]) -> Path:
    """A manifest of three seconds of a buzz, and of nothing."""
    soundfile.write(folder / "long.wav", make_clip(3 * RATE, 200.0), RATE)
    soundfile.write(folder / "empty.wav", np.zeros(0), RATE)
    path = folder / "manifest.jsonl"
    write_manifest(path, Header(corpus="tiny", root=".", phonemo="0"), rows)
    return path


def align(manifest: Path, output: Path, *more: str) -> Any:
    return phonemo("align", manifest, "-o", output, "--model", BUNDLE, "-q", *more)


def table(output: Path) -> list[dict[str, str]]:
    with (output / "phonemes.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def rows_of(output: Path) -> list[dict[str, Any]]:
    lines = (output / "alignment.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[1:]]


def test_a_table_and_textgrids_have_what_the_model_aligns(tmp_path: Path) -> None:
    part = {"start": 1.0, "end": 2.5}
    rows = [one("whole", transcript='das "da"\nda'), one("PLACE/part", **part, speaker=None)]
    done = align(manifest_of(tmp_path, rows), tmp_path / "out")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"{tmp_path / 'out'}: 2 utterances, 6 phonemes, mean confidence 0.")
    model = OnnxRecognizer.load(BUNDLE)
    model.phoneme_decoder = model.phoneme_decoder.chosen(None, "waveform")
    found = table(tmp_path / "out")
    for number, (name, start, end) in enumerate((("whole", 0, 3), ("PLACE/part", 1.0, 2.5))):
        expected = model.align(Excerpt(tmp_path / "long.wav", start, end), SYMBOLS).spans
        own = found[3 * number : 3 * number + 3]
        assert [row["id"] for row in own] == [name] * 3
        assert [row["symbol"] for row in own] == list(SYMBOLS)
        assert [row["position"] for row in own] == ["0", "1", "2"]
        times = [(float(row["start"]) - start, float(row["end"]) - start) for row in own]
        np.testing.assert_allclose(times, [(one.start, one.end) for one in expected], atol=1e-4)
        tiers = read_tiers(tmp_path / "out" / "grids" / f"{file_stem(name)}.TextGrid")
        spoken = [interval for interval in tiers["phonemes"] if interval.text]
        assert [interval.text for interval in spoken] == list(SYMBOLS)
        np.testing.assert_allclose([one.end for one in spoken], [one.end for one in expected])
        assert [interval.text for interval in tiers["emotion"]] == ["anger"]
    assert (found[0]["speaker"], found[3]["speaker"]) == ("s1", "")
    whole = read_tiers(tmp_path / "out" / "grids" / "whole.TextGrid")
    assert [interval.text for interval in whole["text"]] == ['das "da" da']


def test_arpabet_is_converted_and_edges_are_chosen(tmp_path: Path) -> None:
    sounds = Phonemes(alphabet="arpabet", source="g2p", symbols=("M", "S", "T"))
    manifest = manifest_of(tmp_path, [one("arpabet", phonemes=sounds)])
    times = {}
    for edges in ("waveform", "posteriors"):
        assert align(manifest, tmp_path / edges, "--edges", edges).code == 0
        rows = table(tmp_path / edges)
        assert [row["symbol"] for row in rows] == ["m", "s", "t"]
        times[edges] = [row["end"] for row in rows]
    assert times["waveform"] != times["posteriors"]


def test_what_cannot_be_aligned_is_one_line_and_its_neighbors_are_aligned(tmp_path: Path) -> None:
    rows = [
        one("first"),
        one("gone", "gone.wav"),
        one("empty", "empty.wav"),
        one("foreign", phonemes=ipa("m", "d")),
        one("crowded", end=0.2, phonemes=ipa(*SYMBOLS * 30)),
        one("silent", phonemes=None),
        one("last"),
    ]
    manifest, output = manifest_of(tmp_path, rows), tmp_path / "out"
    done = align(manifest, output)
    assert done.code == 1
    lines = done.err.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["gone", "empty", "foreign", "crowded"]
    assert all(line.startswith("phonemo: ") for line in lines)
    assert done.out.endswith("; 1 without phonemes; 4 failed\n")
    assert {row["id"] for row in table(output)} == {"first", "last"}
    codes = {row["id"]: row.get("code") for row in rows_of(output)}
    assert codes["first"] is None
    assert codes["gone"] == "missing_file"
    soundfile.write(tmp_path / "gone.wav", make_clip(RATE, 300.0), RATE)
    again = align(manifest, output)
    assert [line.split(": ")[1] for line in again.err.splitlines()] == [
        "empty",
        "foreign",
        "crowded",
    ], "what failed is tried again, and nothing else"
    assert {row["id"] for row in table(output)} == {"first", "gone", "last"}


def test_an_interrupted_alignment_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = manifest_of(tmp_path, [one(f"u{number}") for number in range(5)])
    output = tmp_path / "out"
    assert align(manifest, tmp_path / "whole").code == 0
    add, added = alignment_folder.AlignmentFolder.add, []

    def killed(self: Any, aligned: Any) -> None:
        if len(added) == 3:
            with (output / "alignment.jsonl").open("a", encoding="utf-8") as stream:
                stream.write('{"id": "u3", "fi')  # as a process leaves it that is killed
            raise KeyboardInterrupt
        added.append(aligned.utterance.id)
        add(self, aligned)

    monkeypatch.setattr(alignment_folder.AlignmentFolder, "add", killed)
    stopped = align(manifest, output)
    assert (stopped.code, stopped.err) == (
        130,
        "phonemo: stopped; run the same command again to resume\n",
    )
    monkeypatch.setattr(
        alignment_folder.AlignmentFolder,
        "add",
        lambda self, aligned: (added.append(aligned.utterance.id), add(self, aligned)),
    )
    assert align(manifest, output).code == 0
    assert added == [f"u{number}" for number in range(5)]
    for name in ("phonemes.csv", "alignment.jsonl"):
        assert (output / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_another_setting_or_folder_is_refused(tmp_path: Path) -> None:
    manifest, output = manifest_of(tmp_path, [one("u")]), tmp_path / "out"
    assert align(manifest, output).code == 0
    for words, key in (
        (("--edges", "posteriors"), "edges"),
        (("--model", str(ADAPTABLE)), "model"),
    ):
        other = align(manifest, output, *words)
        assert other.code == 1
        assert f"expected an alignment with the same {key}, got another" in other.err
    manifest_of(tmp_path, [one("v")])
    assert "with the same manifest, got another" in align(manifest, output).err
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "thesis.tex").write_text("years of work")
    assert "got one with 'thesis.tex'; name another --output" in align(manifest, thesis).err
    assert [path.name for path in thesis.iterdir()] == ["thesis.tex"]
    assert "expected a folder, got a file" in align(manifest, thesis / "thesis.tex").err
    with folder_lock(tmp_path / "busy"):
        assert "another process is working" in align(manifest, tmp_path / "busy").err


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([one("u", phonemes=None)], "expected utterances with phonemes, got none"),
        ([one("a/b"), one("A_B")], "got 'a/b' and 'A_B', both A_B; rename one"),
    ],
)
def test_a_manifest_that_cannot_be_aligned_is_one_line(
    tmp_path: Path, rows: list[Utterance], message: str
) -> None:
    done = align(manifest_of(tmp_path, rows), tmp_path / "out")
    assert done.code == 1
    assert message in done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_rows_that_are_none_are_refused(tmp_path: Path) -> None:
    manifest, output = manifest_of(tmp_path, [one("u")]), tmp_path / "out"
    assert align(manifest, output).code == 0
    with (output / "alignment.jsonl").open("a", encoding="utf-8") as stream:
        stream.write("[1, 2]\n")
    done = align(manifest, output)
    assert (done.code, done.out) == (1, "")
    assert "alignment.jsonl line 3: expected a row of phonemo align" in done.err


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("03a01Wa", "03a01Wa"),
        ("a/b c", "a_b_c"),
        ("..", "_.."),
        ("ł-ż.1", "ł-ż.1"),
        ("x" * 300, "x" * 100),
    ],
)
def test_the_name_of_an_utterances_file(name: str, stem: str) -> None:
    assert file_stem(name) == stem


def test_a_repeated_id_is_refused() -> None:
    assert check_file_names(iter(["a", "b"])) == 2
    with pytest.raises(UsageError, match="got 'a' and 'a', both a; rename one"):
        check_file_names(["a", "b", "a"])
