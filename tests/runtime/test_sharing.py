"""Bundles that share the network of another: whole answers, hostile folders, names, copies."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import phonemo
from phonemo.errors import CheckpointError
from phonemo.integrations.hub_push import _file_path, files_of
from phonemo.loader import model_digest, resolve_model
from phonemo.runtime import bundle as bundle_module
from phonemo.runtime.adaptation.statistics import Affine
from phonemo.runtime.bundle import is_bundle, named, open_bundle, packaged_names, write_bundle
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.streaming_recognizer import StreamingRecognizer
from tests.tiny_bundle import ADAPTABLE, CLIPS, RATE, SHARED, make_clip

NAMES = (ADAPTABLE.name, SHARED.name)
CLIP = make_clip(*CLIPS["long"])


@pytest.fixture
def shelf(tmp_path) -> Path:
    """Both golden bundles, to be broken."""
    for folder in (ADAPTABLE, SHARED):
        shutil.copytree(folder, tmp_path / folder.name)
    return tmp_path


@pytest.fixture
def shipped(tmp_path, monkeypatch) -> Path:
    """A copy of phonemo that ships both."""
    package = tmp_path / "package"
    for folder, name in ((ADAPTABLE, "phonemo-small"), (SHARED, "phonemo-open")):
        shutil.copytree(folder, package / "models" / name)
    change(package / "models" / "phonemo-open", network="phonemo-small")
    monkeypatch.setattr(bundle_module.resources, "files", lambda _: package)
    monkeypatch.chdir(tmp_path)
    return package / "models"


def change(folder: Path, **values: object) -> None:
    card = json.loads((folder / "bundle.json").read_text()) | values
    (folder / "bundle.json").write_text(json.dumps(card))


def refused(folder: Path, *fragments: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        OnnxRecognizer.load(folder)
    line = str(caught.value)
    assert "\n" not in line
    for fragment in (str(folder), *fragments):
        assert fragment in line


class TestAnswers:
    @pytest.mark.parametrize("name", CLIPS)
    @pytest.mark.parametrize("kind", ["plain", "adapted"])
    def test_it_says_what_torch_says_of_the_whole_model(self, name, kind):
        expected = json.loads((SHARED / "expected.json").read_text())[name][kind]
        model = phonemo.load(SHARED)
        if kind == "adapted":
            model = model.adapted([make_clip(*clip) for clip in CLIPS.values()], RATE)
        prediction = model.predict(make_clip(*CLIPS[name]), RATE)
        assert prediction.scores == pytest.approx(expected, abs=0.05)
        assert (
            prediction.phonemes
            == phonemo.load(ADAPTABLE).predict(make_clip(*CLIPS[name]), RATE).phonemes
        )

    @pytest.mark.parametrize("mapped", [False, True])
    def test_its_logits_are_those_of_its_head_file(self, mapped):
        model = phonemo.load(SHARED)
        draws = np.random.default_rng(3)
        width = len(model.reference.centre)
        affine = Affine(draws.uniform(0.5, 2, width), draws.normal(size=width)) if mapped else None
        result = model.graph.recognize(CLIP, model.card.fewest_samples, affine)
        kept = np.ones((1, len(result.features)), dtype=np.bool_)
        expected = model.head.logits(result.features, kept, affine)[0]
        assert result.emotions.dtype == np.float32
        np.testing.assert_allclose(result.emotions, expected, atol=1e-4)

    def test_the_head_of_the_sibling_itself_gives_the_sibling_s_answers(self, shelf):
        whole = open_bundle(ADAPTABLE)
        says = whole.card.model_dump(exclude={"sha256"}) | {"network": ADAPTABLE.name}
        folder = shelf / "twin"
        write_bundle(folder, whole.model, says, whole.head, whole.adaptation)
        assert not (folder / "model.onnx").exists()
        clips = [make_clip(*clip) for clip in CLIPS.values()]
        first_model, second_model = OnnxRecognizer.load(ADAPTABLE), OnnxRecognizer.load(folder)
        profile = first_model.profile(clips, RATE)
        for first, second in (
            (first_model, second_model),
            (m.with_profile(profile) for m in (first_model, second_model)),
        ):
            for clip in clips:
                expected, result = first.predict(clip, RATE), second.predict(clip, RATE)
                assert result.scores == pytest.approx(expected.scores, abs=1e-4)
                shares = [[span.share for span in made.spans] for made in (result, expected)]
                assert shares[0] == pytest.approx(shares[1], abs=1e-4)

    def test_jobs_timelines_and_streams_have_its_labels(self):
        model = phonemo.load(SHARED)
        predictions = list(model.predict_many([CLIP, CLIP], RATE, jobs=2))
        assert [item.scores for item in predictions] == [model.predict(CLIP, RATE).scores] * 2
        long = np.concatenate([CLIP] * 3)
        segments = model.predict(long, RATE, timeline=True).segments
        assert segments
        assert all(set(segment.scores) == {"happiness", "neutral"} for segment in segments)
        stream = StreamingRecognizer(model)
        stream.push(long)
        _, result = stream.finish()
        assert set(result.scores) == {"happiness", "neutral"}


class TestFolders:
    def test_it_is_a_bundle_without_a_network_file(self):
        assert is_bundle(SHARED)
        assert not (SHARED / "model.onnx").exists()
        assert open_bundle(SHARED).model == open_bundle(ADAPTABLE).model
        assert model_digest(SHARED) != model_digest(ADAPTABLE)

    def test_a_relative_path_inside_the_bundle_works(self, shelf, monkeypatch):
        monkeypatch.chdir(shelf / SHARED.name)
        assert OnnxRecognizer.load(".").labels == ("happiness", "neutral")

    def test_the_sibling_is_missing(self, shelf):
        shutil.rmtree(shelf / ADAPTABLE.name)
        refused(shelf / SHARED.name, ADAPTABLE.name, "no such file", "copy the bundle")

    def test_the_sibling_is_another_network(self, shelf):
        with (shelf / ADAPTABLE.name / "model.onnx").open("ab") as stream:
            stream.write(b"\0")
        with pytest.raises(CheckpointError, match="SHA-256"):
            open_bundle(shelf / SHARED.name)

    @pytest.mark.parametrize(
        "name", ["..", "../tiny-adaptable", "/etc", "a/b", "", ".", "Tiny", "-a", "a\n", "a" * 65]
    )
    def test_other_text_is_not_a_hub_name(self, shelf, name):
        change(shelf / SHARED.name, network=name)
        refused(shelf / SHARED.name, "network")

    @pytest.mark.parametrize("what", ["folder", "file"])
    def test_links_are_refused(self, shelf, what):
        folder = shelf / ADAPTABLE.name
        path = folder if what == "folder" else folder / "model.onnx"
        path.rename(shelf / "elsewhere")
        path.symlink_to(shelf / "elsewhere")
        refused(shelf / SHARED.name, "a link")

    def test_a_pipe_is_refused(self, shelf):
        path = shelf / ADAPTABLE.name / "model.onnx"
        path.unlink()
        os.mkfifo(path)
        refused(shelf / SHARED.name, "no such file")

    def test_a_bundle_cannot_share_with_itself(self, shelf):
        change(shelf / SHARED.name, network=SHARED.name)
        refused(shelf / SHARED.name, "no such file")

    def test_a_shared_network_requires_a_head(self, shelf):
        change(shelf / SHARED.name, adaptation_sha256=None)
        refused(shelf / SHARED.name, "expected adaptation.npz for the shared network")

    def test_a_network_without_vector_output_is_rejected(self, shelf):
        network = (SHARED.parent / "tiny-bundle" / "model.onnx").read_bytes()
        (shelf / ADAPTABLE.name / "model.onnx").write_bytes(network)
        change(shelf / SHARED.name, sha256=bundle_module._hash(network))
        refused(shelf / SHARED.name, "8 features")

    def test_a_copy_with_the_network_is_complete(self, tmp_path):
        """What a hub gets: the same card, and the network beside it."""
        bundle = open_bundle(SHARED)
        names = files_of(SHARED)
        assert set(names) == {"bundle.json", "model.onnx", "head.onnx", "adaptation.npz"}
        (tmp_path / "alone").mkdir()
        for name in names:
            shutil.copyfile(_file_path(SHARED, name), tmp_path / "alone" / name)
        assert open_bundle(tmp_path / "alone").model == bundle.model
        expected = phonemo.load(SHARED).predict(CLIP, RATE)
        assert phonemo.load(tmp_path / "alone").predict(CLIP, RATE).scores == expected.scores

    def test_written_again_it_shares_and_elsewhere_it_is_whole(self, shelf, tmp_path):
        bundle = open_bundle(shelf / SHARED.name)
        says = bundle.card.model_dump(exclude={"sha256"}) | {"temperature": 2.0}
        for folder in (shelf / SHARED.name, tmp_path / "other" / "new"):
            write_bundle(folder, bundle.model, says, bundle.head, bundle.adaptation)
            assert open_bundle(folder).card.temperature == 2.0
        assert not (shelf / SHARED.name / "model.onnx").exists()
        assert (tmp_path / "other" / "new" / "model.onnx").is_file()


class TestNames:
    def test_shipped_models_are_opened_by_name(self, shipped):
        assert packaged_names() == ("phonemo-small", "phonemo-open")
        assert phonemo.load().labels == phonemo.load("phonemo-small").labels
        assert phonemo.load("phonemo-open").labels == ("happiness", "neutral")
        assert phonemo.predict(CLIP, "phonemo-open", RATE).label == "neutral"
        assert resolve_model("phonemo-open") == shipped / "phonemo-open"
        assert model_digest("phonemo-open") == model_digest(shipped / "phonemo-open")
        assert model_digest("phonemo-open") != model_digest("phonemo-small") == model_digest()

    def test_a_folder_takes_precedence_over_a_packaged_name(self, shipped, tmp_path):
        shutil.copytree(ADAPTABLE, tmp_path / "phonemo-open")
        assert named("phonemo-open") == Path("phonemo-open")
        assert phonemo.load("phonemo-open").labels == ("anger", "neutral", "sadness")

    def test_an_unknown_name_lists_those_that_ship(self, shipped):
        with pytest.raises(CheckpointError, match="phonemo-small, phonemo-open") as caught:
            phonemo.load("phonemo-opne")
        assert "\n" not in str(caught.value)
        with pytest.raises(CheckpointError, match="no such model folder"):
            phonemo.load("nowhere/phonemo-open")
