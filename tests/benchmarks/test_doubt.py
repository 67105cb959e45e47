"""Shares of confident answers, counted on buzzes by the golden bundle."""

from __future__ import annotations

import json

import pytest
import soundfile

import phonemo
from tests.benchmarks import REPOSITORY
from tests.tiny_bundle import ADAPTABLE, BUNDLE, RATE, make_clip

assert REPOSITORY
import doubt  # noqa: E402


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """Six sounds and five requests; no background."""
    root = tmp_path_factory.mktemp("corpora")
    for number in range(6):
        path = root / "esc10" / "001 - Buzz" / f"{number}.ogg"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, make_clip(RATE + 900 * number, 90.0 + 60 * number), RATE)
    for number in range(5):
        path = root / "picovoice" / "audio" / f"{number}.ogg"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, make_clip(RATE + 700 * number, 200.0 + 90 * number), RATE)
    return root


def test_shares_are_counts_of_predictions(corpora):
    model = phonemo.load(ADAPTABLE)
    model.abstain_below = 0.5
    paths = doubt.files(corpora, doubt.KINDS[2], 0)
    result = [model.predict(path) for path in paths]
    sure = [item for item in result if not {"unsure", "no_speech"} & set(item.warnings)]
    shares = doubt.shares(model, doubt.KINDS[2], paths)
    assert shares.confident == len(sure) / 5
    assert shares.wrong == sum(item.label == "anger" for item in sure) / 5
    model.abstain_below = 1.1
    assert doubt.shares(model, doubt.KINDS[0], paths) == doubt.Shares(0.0, 0.0)


def test_the_command_counts_without_and_with_profiles(corpora, tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("<!-- doubt:start -->\n<!-- doubt:end -->\n")
    words = ["--model", str(ADAPTABLE), "--corpora", str(corpora), "--draws", "2"]
    words += ["--output", str(tmp_path / "d.json"), "--page", str(page)]
    assert doubt.main(words) == 0
    content = json.loads((tmp_path / "d.json").read_text())
    assert set(content["kinds"]) == {"sounds, esc10", "calm requests, picovoice"}
    sounds = content["kinds"]["sounds, esc10"]
    assert (sounds["recordings"], len(sounds["profiles"])) == (6, 2)
    assert sounds["without"]["wrong"] == sounds["without"]["confident"] > 0
    assert "| sounds, esc10: a confident emotion | 6 |" in page.read_text()
    assert capsys.readouterr().out.strip() in page.read_text()


def test_a_model_without_profiles_is_counted_without_profiles(corpora, tmp_path, capsys):
    words = ["--model", str(BUNDLE), "--corpora", str(corpora), "--clips", "3"]
    assert doubt.main([*words, "--output", str(tmp_path / "d.json")]) == 0
    text = capsys.readouterr().out
    assert "| 3 |" in text
    assert "the model takes no profile" in text


def test_missing_recordings_are_reported(tmp_path, capsys):
    assert doubt.main(["--corpora", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("skipped: ")
    (tmp_path / "esc10" / "a").mkdir(parents=True)
    soundfile.write(tmp_path / "esc10" / "a" / "b.ogg", make_clip(RATE, 100.0), RATE)
    assert doubt.main(["--corpora", str(tmp_path), "--model", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("doubt: ")
