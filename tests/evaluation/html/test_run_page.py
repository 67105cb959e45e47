"""The run page: all parts are present, no external resources, and names are escaped."""

from __future__ import annotations

import html
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from phonemo.errors import ProtocolError, ResultError, RunError
from phonemo.evaluation.html import embedding_map as maps
from phonemo.evaluation.html.run_page import most_confident_errors, write_page
from phonemo.runtime.bundle import weights_of
from phonemo.train.experiments.finetune import finetune, plan
from tests.laws import REPOSITORY
from tests.tiny_nets import make_backbone_folder
from tests.train.tiny_run import make_corpus

HOSTILE = '<script>alert("x")</script>'


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A tiny run of the recipe for data of one's own, and what came out."""
    folder = tmp_path_factory.mktemp("own")
    manifest = make_corpus(folder / "corpus")
    backbone = folder / "backbone"
    make_backbone_folder(backbone, "wav2vec2-layer")
    result = plan(manifest, folder / "run", str(backbone), threads=1)
    return result, finetune(result.config, "phonemo finetune"), folder / "run"


@pytest.fixture
def run(made, tmp_path) -> Path:
    shutil.copytree(made[2], tmp_path / "run")
    return tmp_path / "run"


class TestFinetune:
    def test_the_plan_is_by_speaker_and_trains_known_phonemes(self, made):
        config = made[0].config
        assert (config.protocol.name, config.protocol.folds) == ("speaker", None)
        assert config.train.strategy == "logistic"
        assert config.model.auxiliary is not None
        assert made[0].notes == ()

    def test_the_model_is_trained_on_all_speakers_and_predicts(self, made):
        import phonemo
        from tests.tiny_bundle import make_clip

        _, result, run = made
        data = json.loads((result.model / "provenance.json").read_text())
        assert sorted(data["corpora"]["beeps"]["speakers"]) == ["s1", "s2", "s3", "s4"]
        clip = make_clip(8000, 300.0)
        torch_says = phonemo.load(result.model).predict(clip, rate=16_000)
        assert set(torch_says.scores) == {"anger", "neutral", "sadness"}
        assert result.bundle == run / "bundle"
        bundle_says = phonemo.load(result.bundle).predict(clip, rate=16_000)
        assert bundle_says.scores == pytest.approx(torch_says.scores, abs=0.1)

    def test_a_second_finetune_trains_nothing_again(self, made):
        before = {path: path.stat().st_mtime_ns for path in made[2].rglob("*.safetensors")}
        again = finetune(made[0].config, "phonemo finetune")
        assert again.metrics["results"] == made[1].metrics["results"]
        assert {path: path.stat().st_mtime_ns for path in before} == before

    def test_without_speakers_the_run_is_marked_leaky(self, tmp_path):
        manifest = make_corpus(tmp_path)
        text = re.sub(r'"speaker": ?"s\d"', '"speaker": null', manifest.read_text())
        manifest.write_text(text)
        result = plan(manifest, tmp_path / "run", str(tmp_path))
        assert result.config.protocol.name == "random-leaky"
        assert result.notes[0].startswith("LEAKY: some utterances have no speaker")

    def test_emotions_with_few_utterances_are_left_out(self, tmp_path):
        manifest = make_corpus(tmp_path)
        lines = manifest.read_text().splitlines()
        kept = [line for line in lines if "sadness" not in line or "s1-" in line]
        manifest.write_text("\n".join(kept) + "\n")
        result = plan(manifest, tmp_path / "run", str(tmp_path))
        assert result.config.labels.names == ("anger", "neutral")
        assert result.notes == ("left out, fewer than 6 utterances: sadness (2)",)
        manifest.write_text("\n".join(item for item in kept if "neutral" not in item) + "\n")
        with pytest.raises(
            ProtocolError,
            match=r"two or more emotions with at least 6 utterances, got anger \(8\), sadness",
        ):
            plan(manifest, tmp_path / "run", str(tmp_path))

    def test_phonemo_small_can_be_named_as_a_start(self, tmp_path):
        manifest = make_corpus(tmp_path)
        result = plan(manifest, tmp_path / "run").config.model
        assert weights_of("phonemo-small") == REPOSITORY / "models" / "phonemo-small"
        assert result.start == result.backbone == str(REPOSITORY / "models" / "phonemo-small")
        assert result.auxiliary is not None
        assert weights_of("phonemo-small") != weights_of("other") == Path("other")

    def test_the_upper_layer_can_be_trained(self, tmp_path):
        manifest = make_corpus(tmp_path)
        config = plan(manifest, tmp_path / "run", "phonemo-small", "top_k").config
        assert (config.train.strategy, config.train.top_k) == ("top_k", 1)
        assert config.model.head == "linear"  # as in phonemo-small, the start of the training


class Reader(HTMLParser):
    """Tags with their attributes, and what is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "circle"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("meta", "img", "circle"):
            assert self.open.pop() == tag


def test_every_section_is_present_and_closed(run):
    text = write_page(run).read_text(encoding="utf-8")
    page = Reader(text)
    assert page.open == []
    tags = [tag for tag, _ in page.tags]
    rows = [json.loads(line) for line in (run / "predictions.jsonl").read_text().splitlines()]
    assert tags.count("img") == 3
    assert tags.count("circle") == 2 * len(rows)
    wrong = [row for row in rows if row["label"] != row["truth"]]
    assert tags.count("audio") == min(12, len(wrong))
    assert all(fields.get("alt") for tag, fields in page.tags if tag == "img")


def test_the_page_has_no_external_resources(run):
    page = Reader(write_page(run).read_text(encoding="utf-8"))
    for _, fields in page.tags:
        for name in ("src", "href"):
            assert (fields.get(name) or "data:").startswith("data:")
    assert not [tag for tag, _ in page.tags if tag in ("script", "link", "iframe")]


def test_audio_can_be_left_out(run):
    text = write_page(run, audio=False).read_text(encoding="utf-8")
    assert "<audio" not in text
    assert "data:audio" not in text


def test_hostile_names_are_escaped(run):
    path = run / "predictions.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        row |= {"id": HOSTILE, "speaker": HOSTILE}
    for target in (path, *run.glob("seed-*/*/predictions.jsonl")):
        count = len(target.read_text().splitlines())
        target.write_text("".join(json.dumps(row) + "\n" for row in rows[:count]))
    metrics = json.loads((run / "metrics.json").read_text())
    (run / "metrics.json").write_text(json.dumps(metrics | {"title": HOSTILE, "name": HOSTILE}))
    text = write_page(run).read_text(encoding="utf-8")
    assert HOSTILE not in text
    assert html.escape(HOSTILE).replace("&quot;", "&#34;") in text
    assert Reader(text).open == []


def test_leakage_is_reported_first(run):
    metrics = json.loads((run / "metrics.json").read_text())
    (run / "metrics.json").write_text(json.dumps(metrics | {"leaky": True}))
    text = write_page(run).read_text(encoding="utf-8")
    assert text.index("LEAKY") < text.index("<dl")


def test_a_page_is_written_without_the_data(run):
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(re.sub(r"(?m)^manifest: .*$", "manifest: gone.jsonl", config))
    for path in run.glob("seed-*/*/vectors.npy"):
        path.unlink()
    text = write_page(run, run / "other.html").read_text(encoding="utf-8")
    assert "<audio" not in text
    assert "Where they lie" not in text
    assert "Hardest clips" in text


@pytest.mark.parametrize(
    ("name", "content"),
    [("metrics.json", "{"), ("predictions.jsonl", "{"), ("predictions.jsonl", '"text"\n')],
)
def test_an_invalid_run_folder_is_rejected_in_one_line(run, name, content):
    (run / name).write_text(content)
    with pytest.raises(ResultError, match="expected a finished run") as caught:
        write_page(run)
    assert "\n" not in str(caught.value)


def _damaged(vectors: np.ndarray, damage: str) -> np.ndarray:
    if damage == "whole numbers":
        return vectors.astype(np.int64)
    if damage in ("nan", "inf"):
        vectors[1, 1] = float(damage)
    return {"a row short": vectors[:-1], "narrow": vectors[:, :1]}.get(damage, vectors)


@pytest.mark.parametrize(
    "damage", ["cut", "archive", "whole numbers", "a row short", "nan", "inf", "narrow"]
)
def test_damaged_vectors_are_named_in_one_line(run, damage):
    path = next(run.glob("seed-*/*/vectors.npy"))
    vectors = _damaged(np.load(path), damage)
    with path.open("wb") as stream:
        (np.savez if damage == "archive" else np.save)(stream, vectors)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RunError, match=r"expected \d+ vectors of finite floats") as caught:
        write_page(run)
    assert path.name in str(caught.value)


def test_the_hardest_clips_are_confident_errors_of_all_kinds():
    def row(name, truth, label, score):
        return {"id": name, "truth": truth, "label": label, "scores": {label: score}}

    rows = [row("right", "a", "a", 1.0)]
    rows += [row(f"ab{n}", "a", "b", 0.9 - n / 100) for n in range(20)]
    rows += [row("ba", "b", "a", 0.4)]
    results = [most_confident_error["id"] for most_confident_error in most_confident_errors(rows)]
    assert results[:3] == ["ab0", "ab1", "ba"]
    assert len(results) == 12


def test_the_map_separates_distant_clusters():
    draw = np.random.default_rng(0)
    vectors = np.concatenate([draw.normal(0, 1, (20, 8)), draw.normal(30, 1, (20, 8))])
    places = maps.tsne(vectors.astype(np.float32))
    assert places.min() >= 0
    assert places.max() <= 1
    first, second = places[:20].mean(0), places[20:].mean(0)
    assert np.linalg.norm(first - second) > np.linalg.norm(places[:20] - first, axis=1).mean()


def test_too_few_rows_give_no_map():
    assert maps.subsample([{}] * 7, np.zeros((7, 3), np.float32)) is None
    rows, vectors = maps.subsample([{}] * 5000, np.zeros((5000, 3), np.float32))
    assert len(rows) == len(vectors) == 2000


def test_the_command_finetunes_and_writes_the_page(tmp_path, monkeypatch, capsys):
    from phonemo.cli.main import main

    manifest = make_corpus(tmp_path / "corpus")
    make_backbone_folder(tmp_path / "backbone", "wav2vec2-layer")
    words = ["finetune", manifest, "--from", tmp_path / "backbone", "-o", tmp_path / "run"]
    monkeypatch.setattr("sys.argv", ["phonemo", *map(str, words), "-q", "--threads", "1"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (0, None)
    output = capsys.readouterr().out
    assert f"report: {tmp_path / 'run' / 'report.html'}" in output
    assert f"next: phonemo predict my.wav --model {tmp_path / 'run' / 'bundle'}" in output
    monkeypatch.setattr("sys.argv", ["phonemo", "page", str(tmp_path / "run"), "--no-audio"])
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().out.strip() == str(tmp_path / "run" / "report.html")
