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
from phonemo.corpora.manifest import Header, Phonemes, Utterance, read_manifest, write_manifest
from phonemo.files import folder_lock
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.phonemes import alignment_folder
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
    places = (("whole", "whole", 0, 3), ("PLACE/part", "PLACE_part", 1.0, 2.5))
    for number, (name, stem, start, end) in enumerate(places):
        expected = model.align(Excerpt(tmp_path / "long.wav", start, end), SYMBOLS).spans
        own = found[3 * number : 3 * number + 3]
        assert [row["id"] for row in own] == [name] * 3
        assert [row["symbol"] for row in own] == list(SYMBOLS)
        assert [row["position"] for row in own] == ["0", "1", "2"]
        times = [(float(row["start"]) - start, float(row["end"]) - start) for row in own]
        np.testing.assert_allclose(times, [(one.start, one.end) for one in expected], atol=1e-4)
        tiers = read_tiers(tmp_path / "out" / "grids" / f"{stem}.TextGrid")
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
        one("wordless", phonemes=None),
        one("last"),
    ]
    manifest, output = manifest_of(tmp_path, rows), tmp_path / "out"
    done = align(manifest, output)
    assert done.code == 1
    assert failures(done) == ["gone", "empty", "foreign", "crowded"]
    assert done.out.endswith("; 1 without phonemes; 4 failed\n")
    assert list(dict.fromkeys(row["id"] for row in table(output))) == ["first", "last"]
    codes = {row["id"]: row.get("code") for row in rows_of(output)}
    assert (codes["first"], codes["gone"]) == (None, "missing_file")
    soundfile.write(tmp_path / "gone.wav", make_clip(RATE, 300.0), RATE)
    again = align(manifest, output)
    assert failures(again) == ["empty", "foreign", "crowded"], "what failed is tried again alone"
    assert list(dict.fromkeys(row["id"] for row in table(output))) == ["first", "gone", "last"]
    assert [row["id"] for row in rows_of(output)] == [row.id for row in rows if row.phonemes]


def failures(answer: Any) -> list[str]:
    lines = answer.err.splitlines()
    assert all(line.startswith("phonemo: ") for line in lines)
    return [line.split(": ")[1] for line in lines]


def test_a_recording_without_speech_has_a_warning(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path, [one("silent", "silent.wav"), one("u")])
    soundfile.write(tmp_path / "silent.wav", np.zeros(RATE), RATE)
    done = align(manifest, tmp_path / "out")
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("; 1 with warnings (alignment.jsonl)\n")
    assert "no_speech" in rows_of(tmp_path / "out")[0]["warnings"]
    assert "warnings" not in rows_of(tmp_path / "out")[1]


def test_names_of_any_kind_are_stored_and_printed(tmp_path: Path) -> None:
    odd = {"speaker": "=cmd()", "emotion": "\udc80", "transcript": "a\udc80b"}
    rows = [one("\udc80", **odd), one("语" * 100), one("bad\n\x1b[31m", "gone.wav"), one("last")]
    manifest, output = manifest_of(tmp_path, rows), tmp_path / "out"
    for _ in range(2):
        done = align(manifest, output)
        assert done.code == 1
        assert done.err.count("\n") == 1
        assert "\x1b" not in done.err
        assert [row["id"] for row in table(output)][::3] == ["?", "语" * 100, "last"]
    assert len(list((output / "grids").iterdir())) == 3


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
    (output / ".DS_Store").write_bytes(b"")
    (output / ".~lock.phonemes.csv#").write_text("LibreOffice")
    assert align(manifest, output).code == 0, "a look at the results does not matter"
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


def test_files_of_the_user_are_kept(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path, [one("u")])
    for number, (name, text, message) in enumerate(
        (
            ("alignment.jsonl", '{"my": "only copy"}', "expected rows of phonemo align"),
            ("alignment.jsonl", '{"my": 1}\n{"my": 2}', "expected rows of phonemo align"),
            ("alignment.jsonl", "", "expected rows of phonemo align"),
            ("phonemes.csv", "my;table", "got one with 'phonemes.csv'"),
            ("grids/u.TextGrid", "corrected by hand", "got one with 'grids'"),
        )
    ):
        path = tmp_path / str(number) / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
        done = align(manifest, tmp_path / str(number))
        assert done.code == 1
        assert message in done.err
        assert path.read_text() == text


def test_a_kill_at_any_rename_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The header's, a TextGrid's, and at the end the table's and the rows'."""
    manifest = manifest_of(tmp_path, [one("u0"), one("u1")])
    assert align(manifest, tmp_path / "whole").code == 0
    write = alignment_folder.atomic_write_text
    for stop in range(5):
        output, count = tmp_path / str(stop), 0

        def killed(path: Path, text: str, stop: int = stop) -> None:
            nonlocal count
            count += 1
            if count == stop + 1:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.with_name(f"{path.name}.part").write_text(text[:7])
                raise KeyboardInterrupt
            write(path, text)

        with monkeypatch.context() as patch:
            patch.setattr(alignment_folder, "atomic_write_text", killed)
            assert align(manifest, output).code == 130
        assert align(manifest, output).code == 0
        for name in ("phonemes.csv", "alignment.jsonl", "grids/u0.TextGrid", "grids/u1.TextGrid"):
            assert (output / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_removed_textgrid_is_written_again(tmp_path: Path) -> None:
    manifest, output = manifest_of(tmp_path, [one("u")]), tmp_path / "out"
    assert align(manifest, output).code == 0
    (output / "grids" / "u.TextGrid").unlink()
    assert align(manifest, output).code == 0
    assert (output / "grids" / "u.TextGrid").is_file()
    assert len(rows_of(output)) == 1


def test_a_model_without_phonemes_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = OnnxRecognizer.load(BUNDLE)
    bare.card = bare.card.model_copy(update={"inventory": None})
    monkeypatch.setattr("phonemo.cli.align.load_model", lambda _: bare)
    done = align(manifest_of(tmp_path, [one("u")]), tmp_path / "out")
    assert "this model has no phoneme head" in done.err
    assert not (tmp_path / "out").exists()


def test_corrected_times_become_a_manifest(tmp_path: Path) -> None:
    rows = [one("u", start=0.5, end=2.0), one("v"), one("words", phonemes=None)]
    manifest, output = manifest_of(tmp_path, rows), tmp_path / "out"
    assert align(manifest, output).code == 0
    grid = output / "grids" / "u.TextGrid"
    text = grid.read_text(encoding="utf-8")
    grid.write_text(text.replace('text = "m"', 'text = "t"'), encoding="utf-8")
    (output / "grids" / "v.TextGrid").unlink()
    target = tmp_path / "new" / "times.jsonl"
    done = align(manifest, output, "--corrected", str(target))
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        f"{target}: 1 utterances with the times of their TextGrids; 2 have no TextGrid and stay as "
        "they are\n"
    )
    found = read_manifest(target)
    assert found.audio_path(found.utterances[0]) == (tmp_path / "long.wav").resolve()
    first, *others = found.utterances
    assert others == rows[1:]
    assert first.phonemes is not None
    assert (first.phonemes.symbols, first.phonemes.source) == (("t", "a", "s"), "TextGrid")
    expected = [(span["start"] - 0.5, span["end"] - 0.5) for span in rows_of(output)[0]["phonemes"]]
    np.testing.assert_allclose(first.phonemes.times, expected, atol=1e-4)
    assert first.start == 0.5


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('text = "m"', 'text = "QQ"', "u.TextGrid: expected IPA phonemes of phonemo in the tier"),
        ('name = "phonemes"', 'name = "phones"', "expected a tier 'phonemes', got phones, emotion"),
        ("ooTextFile", "nothing", "expected a TextGrid in a text format"),
        ('name = "emotion"', 'name = "phonemes"', "got 'anger' at 0 s"),
        ('name = "emotion"', 'name = "phonemes "', "got 'anger' at 0 s"),
    ],
)
def test_a_wrongly_corrected_grid_is_one_line(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    manifest, output = manifest_of(tmp_path, [one("u")]), tmp_path / "out"
    assert align(manifest, output).code == 0
    grid = output / "grids" / "u.TextGrid"
    grid.write_text(grid.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    done = align(manifest, output, "--corrected", str(tmp_path / "times.jsonl"))
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert message in done.err
    assert not (tmp_path / "times.jsonl").exists()


def test_corrections_of_another_manifest_or_no_folder_are_one_line(tmp_path: Path) -> None:
    manifest, target = manifest_of(tmp_path, [one("u")]), tmp_path / "times.jsonl"
    done = align(manifest, tmp_path / "out", "--corrected", str(target))
    assert "expected a folder of phonemo align, got none; run phonemo align first" in done.err
    assert align(manifest, tmp_path / "out").code == 0
    folder = align(manifest, tmp_path / "out", "--corrected", str(tmp_path))
    assert "expected a file to write, got a folder" in folder.err
    manifest_of(tmp_path, [one("u", start=1.0, end=2.0)])
    done = align(manifest, tmp_path / "out", "--corrected", str(target))
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "as it is now, got one of another manifest" in done.err
    assert not target.exists()


def test_a_manifest_without_phonemes_is_one_line(tmp_path: Path) -> None:
    done = align(manifest_of(tmp_path, [one("u", phonemes=None)]), tmp_path / "out")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "expected utterances with phonemes, got none" in done.err
    assert not (tmp_path / "out").exists()


def test_rows_that_are_none_are_refused(tmp_path: Path) -> None:
    manifest, output = manifest_of(tmp_path, [one("u")]), tmp_path / "out"
    assert align(manifest, output).code == 0
    with (output / "alignment.jsonl").open("a", encoding="utf-8") as stream:
        stream.write("[1, 2]\n")
    done = align(manifest, output)
    assert (done.code, done.out) == (1, "")
    assert "alignment.jsonl: expected rows of phonemo align, got '[1, 2]'" in done.err
