"""Models pushed to a hub and fetched from it: whole, of the revision asked for, and nothing else.

The hub is an imitation on this machine; the client is the real one.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import phonemo
from phonemo.errors import CheckpointError, HubError, MissingExtraError, UsageError
from phonemo.integrations.model_card import model_card
from phonemo.runtime.hub import HubName, parse_hub_id
from tests.integrations import imitation
from tests.laws import REPOSITORY
from tests.tiny_bundle import BUNDLE, RATE, make_clip

CLIP = make_clip(16_000, 200.0)
RUN = REPOSITORY / "results" / "small-emodb" / "metrics.json"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty hub that huggingface_hub takes for the real one, and an empty cache."""
    import huggingface_hub.constants as constants
    from huggingface_hub.utils import close_session

    close_session()  # one that was opened before may know a proxy of another test
    with imitation.running() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)
        monkeypatch.setattr(
            constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            hub.address + "/{repo_id}/resolve/{revision}/{filename}",
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", "hf_" + "a" * 34)
        yield hub


def bundle_files() -> dict[str, bytes]:
    names = ("bundle.json", "model.onnx", "head.onnx")
    return {name: (BUNDLE / name).read_bytes() for name in names}


def answers(model) -> dict[str, float]:
    return model.predict(CLIP, rate=RATE).scores


class TestNames:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("org/name@main", HubName("org/name", "main")),
            ("org/name@v1.2", HubName("org/name", "v1.2")),
            ("org/name@refs/pr/1", HubName("org/name", "refs/pr/1")),
            ("hf://org/name", HubName("org/name", "main")),
            ("hf://org/name@0123abc", HubName("org/name", "0123abc")),
            (Path("hf://org/name@v1"), HubName("org/name", "v1")),
            ("org/name", None),
            ("name", None),
            ("a/b/c@main", None),
            ("../models/x@main", None),
            ("/models/x@main", None),
            ("org/name@", None),
            ("org/na me@main", None),
            ("org/name@-x", None),
            ("hf://", None),
            ("", None),
        ],
    )
    def test_hub_names_are_recognized(self, text, expected):
        assert parse_hub_id(text) == expected

    def test_a_bare_name_is_accepted_on_request(self):
        assert parse_hub_id("org/name", bare=True) == HubName("org/name")
        assert parse_hub_id("models/../x", bare=True) is None

    def test_an_existing_folder_is_not_a_hub_name(self, tmp_path, monkeypatch):
        (tmp_path / "org" / "name@main").mkdir(parents=True)
        monkeypatch.chdir(tmp_path)
        assert parse_hub_id("org/name@main") is None
        assert parse_hub_id("org/name@other") == HubName("org/name", "other")


class TestFetching:
    def test_a_bundle_from_the_hub_predicts_like_the_local_one(self, hub):
        hub.commit("org/name", bundle_files())
        assert answers(phonemo.from_pretrained("org/name")) == answers(phonemo.load(BUNDLE))
        assert answers(phonemo.load("org/name@main")) == answers(phonemo.load(BUNDLE))

    def test_the_requested_revision_is_opened(self, hub):
        old = hub.commit("org/name", bundle_files())
        card = json.loads((BUNDLE / "bundle.json").read_text())
        newer = json.dumps(card | {"name": "the newer"}).encode()
        hub.commit("org/name", {"bundle.json": newer})
        assert phonemo.load("org/name@main").card.name == "the newer"
        assert phonemo.load(f"org/name@{old}").card.name == card["name"]

    def test_files_outside_the_model_are_never_downloaded(self, hub):
        bad = {
            "evil.py": b"raise SystemExit",
            "pytorch_model.bin": b"\x80\x04.",
            "x/model.onnx": b"",
        }
        hub.commit("org/name", bundle_files() | bad)
        phonemo.from_pretrained("org/name")
        fetched = {line.rpartition("/")[2] for line in hub.asked if "/resolve/" in line}
        assert {"model.onnx", "bundle.json"} <= fetched
        assert fetched <= {*bundle_files(), "README.md"}
        assert not [line for line in hub.asked if "evil" in line or "/x/" in line]

    def test_an_unsupported_network_is_not_downloaded(self, hub):
        hub.commit("org/name", {"config.json": b"{}", "model.safetensors": b"0" * 100})
        with pytest.raises(HubError, match="expected a phonemo model"):
            phonemo.from_pretrained("org/name")
        assert not [line for line in hub.asked if line.endswith("model.safetensors")]

    def test_a_changed_file_is_refused(self, hub):
        hub.commit("org/name", bundle_files() | {"model.onnx": b"something else"})
        with pytest.raises(CheckpointError, match="SHA-256"):
            phonemo.from_pretrained("org/name")

    def test_a_downloaded_model_opens_offline(self, hub, monkeypatch):
        import huggingface_hub.constants as constants

        commit = hub.commit("org/name", bundle_files())
        phonemo.from_pretrained("org/name")
        hub.asked.clear()
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        assert phonemo.load("org/name@main").card.labels
        assert phonemo.load(f"org/name@{commit}").card.labels
        assert hub.asked == []
        with pytest.raises(HubError, match="not in the cache of this machine"):
            phonemo.load("org/other@main")

    @pytest.mark.parametrize(
        ("name", "text"),
        [("org/none@main", "no such repository"), ("org/name@none", "no revision 'none'")],
    )
    def test_a_missing_repository_is_one_line(self, hub, name, text):
        hub.commit("org/name", bundle_files())
        with pytest.raises(HubError, match=text) as caught:
            phonemo.load(name)
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith(name)

    def test_an_unreachable_hub_is_one_line(self, hub, monkeypatch):
        import huggingface_hub.constants as constants

        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
        with pytest.raises(HubError, match="out of reach"):
            phonemo.load("org/name@main")

    def test_a_missing_folder_sends_no_request(self, hub):
        with pytest.raises(CheckpointError, match="for a hub model write org/name@main"):
            phonemo.load("org/name")
        assert hub.asked == []


class TestPushing:
    def test_a_pushed_model_downloads_unchanged(self, hub):
        address = phonemo.push_to_hub(BUNDLE, "org/mine", private=True, message="first")
        commit = hub.branches["org/mine"]["main"]
        assert address == f"{hub.address}/org/mine/commit/{commit}"
        assert "org/mine" in hub.private
        assert answers(phonemo.load(f"org/mine@{commit}")) == answers(phonemo.load(BUNDLE))

    def test_only_the_model_and_its_card_are_uploaded(self, hub, tmp_path):
        shutil.copytree(BUNDLE, tmp_path / "bundle")
        (tmp_path / "bundle" / "secret.txt").write_text("not yours")
        (tmp_path / "bundle" / "NOTICE.md").write_text("ours")
        phonemo.push_to_hub(tmp_path / "bundle", "org/mine")
        files = hub.files("org/mine", "main")
        assert files.keys() - {".gitattributes"} == {*bundle_files(), "README.md", "NOTICE.md"}

    def test_an_existing_card_is_kept(self, hub, tmp_path):
        shutil.copytree(BUNDLE, tmp_path / "bundle")
        card = tmp_path / "bundle" / "README.md"
        card.write_text("# Mine\n", encoding="utf-8")
        phonemo.push_to_hub(tmp_path / "bundle", "org/mine")
        pushed = hub.files("org/mine", "main")["README.md"].decode()
        assert pushed.endswith("---\n\n# Mine\n")
        assert yaml.safe_load(pushed.split("---\n")[1])["library_name"] == "phonemo"
        card.write_text(pushed.replace("# Mine", "# Still mine"), encoding="utf-8")
        phonemo.push_to_hub(tmp_path / "bundle", "org/mine")
        assert hub.files("org/mine", "main")["README.md"] == card.read_bytes()

    def test_a_broken_model_is_not_pushed(self, hub, tmp_path):
        shutil.copytree(BUNDLE, tmp_path / "bundle")
        (tmp_path / "bundle" / "model.onnx").write_bytes(b"")
        with pytest.raises(CheckpointError):
            phonemo.push_to_hub(tmp_path / "bundle", "org/mine")
        assert hub.asked == []

    @pytest.mark.parametrize("name", ["mine", "org/mine@v1", "a/b/c", "", "org/mi ne"])
    def test_an_invalid_name_fails_before_any_upload(self, hub, name):
        with pytest.raises(UsageError, match="org/name"):
            phonemo.push_to_hub(BUNDLE, name)
        assert hub.asked == []

    def test_a_rejected_upload_is_one_line(self, hub):
        hub.refuses = 403
        with pytest.raises(HubError, match="403 Forbidden; log in"):
            phonemo.push_to_hub(BUNDLE, "org/mine")

    def test_an_unreachable_hub_is_one_line(self, hub, monkeypatch):
        import huggingface_hub.constants as constants

        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
        with pytest.raises(HubError, match=r"mine@main: the hub is out of reach \(ConnectError"):
            phonemo.push_to_hub(BUNDLE, "org/mine")

    def test_the_command_prints_the_address(self, hub, capsys, monkeypatch):
        from phonemo.cli.main import main

        monkeypatch.setattr("sys.argv", ["phonemo", "push", str(BUNDLE), "org/mine"])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code in (0, None)
        assert capsys.readouterr().out.startswith(f"{hub.address}/org/mine/commit/")


class TestModelFolder:
    """With torch: the kind of folder that transformers opens."""

    def test_a_model_folder_round_trips(self, hub):
        pytest.importorskip("torch")
        folder = REPOSITORY / "models" / "phonemo-small"
        phonemo.push_to_hub(folder, "org/small")
        files = hub.files("org/small", "main")
        assert files["README.md"] == (folder / "README.md").read_bytes()
        result = phonemo.from_pretrained("org/small@main").predict(CLIP, rate=RATE)
        expected = phonemo.load(folder).predict(CLIP, rate=RATE)
        assert result == expected

    def test_transformers_gives_the_same_scores(self, tmp_path):
        pytest.importorskip("torch")
        transformers = pytest.importorskip("transformers")
        import phonemo.model
        from tests.voices import spoken

        folder = REPOSITORY / "models" / "phonemo-small"
        path = spoken(tmp_path / "voice.wav")
        pipe = transformers.pipeline("audio-classification", model=str(folder), top_k=None)
        actual = phonemo.load(folder).predict(path)
        from phonemo.audio import load_waveform

        reference = pipe({"raw": load_waveform(path).samples, "sampling_rate": 16_000})
        scores = {item["label"]: item["score"] for item in reference}
        assert scores.keys() == actual.scores.keys()
        for label, score in actual.scores.items():
            assert scores[label] == pytest.approx(score, abs=1e-4)


class TestCard:
    def test_the_card_matches_the_files(self):
        card = model_card(BUNDLE, "org/tiny")
        front = yaml.safe_load(card.split("---\n")[1])
        assert front["pipeline_tag"] == "audio-classification"
        assert "model-index" not in front
        assert 'phonemo.from_pretrained("org/tiny")' in card
        for label in phonemo.load(BUNDLE).labels:
            assert label in card
        assert "No result is on record here." in card

    def test_scores_come_from_a_run(self):
        card = model_card(REPOSITORY / "models" / "phonemo-small", metrics=RUN)
        expected = json.loads(RUN.read_text())
        index = yaml.safe_load(card.split("---\n")[1])["model-index"][0]["results"][0]
        values = {metric["name"]: metric["value"] for metric in index["metrics"]}
        assert values["UA"] == pytest.approx(expected["results"]["ua"]["mean"], abs=5e-5)
        assert f"UA {expected['results']['ua']['mean']:.1%}" in card
        assert "emodb: labels (of emotions or phonemes) of 10 speakers" in card
        assert f"Command: `{expected['command']}`" in card

    def test_a_leaky_run_is_marked(self, tmp_path):
        leaky = json.loads(RUN.read_text()) | {"leaky": True}
        (tmp_path / "metrics.json").write_text(json.dumps(leaky))
        card = model_card(BUNDLE, metrics=tmp_path / "metrics.json")
        assert "**LEAKY: train and test share speakers.**" in card

    def test_without_the_extra_it_is_named(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "huggingface_hub", None)
        with pytest.raises(MissingExtraError, match="hub"):
            model_card(BUNDLE)

    @pytest.mark.parametrize("content", ["", "[]", "{}", "\0"])
    def test_an_invalid_run_is_one_line(self, tmp_path, content):
        (tmp_path / "metrics.json").write_text(content)
        with pytest.raises(CheckpointError, match=r"metrics\.json"):
            model_card(BUNDLE, metrics=tmp_path / "metrics.json")

    def test_an_invalid_model_is_one_line(self, tmp_path):
        with pytest.raises(CheckpointError):
            model_card(tmp_path)


def test_the_clip_of_the_card_is_predicted():
    assert np.isfinite(list(answers(phonemo.load(BUNDLE)).values())).all()
