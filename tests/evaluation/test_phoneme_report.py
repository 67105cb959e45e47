"""The study of emotional phonemes in RESULTS.md and on the terminal, and its picture."""

from __future__ import annotations

from typing import Any

import pytest

from phonemo.errors import ResultError
from phonemo.evaluation import report
from phonemo.evaluation.phonemes.ipa_places import kind_of
from phonemo.evaluation.phonemes.phoneme_chart import alt_text, is_current_chart, plot_phonemes
from phonemo.evaluation.phonemes.phoneme_schema import PhonemeStudy
from phonemo.evaluation.phonemes.phoneme_section import phoneme_lines

CLASSES = {"a": "vowel", "ɔ̃": "vowel", "aɪ": "diphthong", "t͡ɕ": "affricate", "m": "nasal"}


def estimate(mean: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - 0.1, "high": mean + 0.1}


def phoneme(symbol: str, bits: float) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "phonetic_class": CLASSES[symbol],
        "kind": kind_of(symbol),
        "utterances": 200,
        "segments": 300,
        "seconds": 0.08,
        "bits": estimate(bits),
        "null": -0.01,
        "cost": estimate(1.5),
        "segment_cost": estimate(0.25),
    }


def reading(state: str, alignment: str = "forced") -> dict[str, Any]:
    return {
        "alignment": alignment,
        "state": state,
        "phonemes": [phoneme(name, 0.5 - 0.12 * n) for n, name in enumerate(CLASSES)],
        "groups": [{"factor": "class", "level": "vowel", "phonemes": 2, "bits": estimate(0.44)}],
        "regression": [{"term": "+ vowel", "bits": estimate(0.2)}],
        "explained": {"voicing and vowels": 0.31},
        "reliability": 0.82,
        "ua": 0.77,
    }


def corpus(name: str, language: str) -> dict[str, Any]:
    return {
        "name": name,
        "language": language,
        "emotions": ["anger", "sadness"],
        "utterances": 500,
        "unaligned": 1,
        "sentences": 10,
        "speakers": 10,
        "entropy": 1.0,
        "folds": {"speakers-1": ["a", "m"], "speakers-2": ["a", "aɪ"]},
        "readings": [
            reading("highest"),
            reading("convolutions"),
            reading("convolutions", "by hand"),
        ],
    }


def study(**changes: Any) -> PhonemeStudy:
    row = {"first": "emodb", "second": "nemo", "over": "all", "shared": 5, "rho": 0.7}
    row |= {"low": 0.2, "high": 0.9, "p": 0.012, "adjusted": 0.036}
    content = {
        "name": "emotional-phonemes",
        "command": "phonemo phonemes a.jsonl b.jsonl -o work/phonemes",
        "phonemo": "0.1.0",
        "network": "phonemo-small-backbone",
        "segments": 150,
        "draws": 5,
        "seed": 1,
        "keep": 2,
        "corpora": [corpus("emodb", "de"), corpus("nemo", "pl")],
        "agreements": {"bits of the convolutions": [row]},
    }
    return PhonemeStudy.model_validate(content | changes)


def stored(tmp_path, made):
    folder = tmp_path / "results" / "emotional-phonemes"
    folder.mkdir(parents=True)
    (folder / "phonemes.json").write_text(made.model_dump_json(), encoding="utf-8")
    return tmp_path / "results"


def test_results_have_the_section_and_the_picture(tmp_path):
    pytest.importorskip("matplotlib")
    results, page = stored(tmp_path, study()), tmp_path / "RESULTS.md"
    report.write_results(results, page)
    text = page.read_text(encoding="utf-8")
    assert "## Which phonemes carry emotion" in text
    assert "](docs/images/emotional-phonemes.png)" in text
    assert "a 2/2, aɪ 1/2, m 1/2" in text
    cells = "| a | vowel | 200 | 80 | 0.50 (0.40 to 0.60) | 0.50 (0.40 to 0.60) |"
    assert cells in text
    assert "| +0.70 (+0.20 to +0.90) | 0.0120 | 0.0360 |" in text
    assert "| explained: voicing and vowels | 31 % | 31 % |" in text
    assert report.stale(results, page) == []


def test_an_outdated_picture_is_stale(tmp_path):
    pytest.importorskip("matplotlib")
    results, page = stored(tmp_path, study()), tmp_path / "RESULTS.md"
    report.write_results(results, page)
    picture = tmp_path / "docs" / "images" / "emotional-phonemes.png"
    plot_phonemes(study(seed=2), picture)
    assert not is_current_chart(study(), picture)
    assert report.stale(results, page) == [picture]


def test_a_malformed_study_is_one_line(tmp_path):
    results = stored(tmp_path, study())
    (results / "emotional-phonemes" / "phonemes.json").write_text("{}")
    with pytest.raises(ResultError, match=r"phonemes\.json: key 'name'"):
        report.write_results(results, tmp_path / "RESULTS.md")


def test_the_alt_text_names_the_most_and_least_informative():
    text = alt_text(study())
    assert "German (EmoDB): most a 0.50" in text
    assert "least aɪ 0.26, t͡ɕ 0.14, m 0.02" in text


def test_the_terminal_has_lists_and_agreements():
    lines = list(phoneme_lines(study()))
    assert lines[1].startswith("emodb, convolutions, forced: a 0.50 ɔ̃ 0.38")
    assert lines[-1].endswith("rho +0.70 (+0.20 to +0.90), p 0.0120, adjusted 0.0360")
