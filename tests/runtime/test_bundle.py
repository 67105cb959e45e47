"""Bundles are written and read; every fault gives one line with the next step."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from pydantic import ValidationError

from phonemo.audio.frames import FrameGrid
from phonemo.errors import CheckpointError
from phonemo.runtime import bundle as bundle_module
from phonemo.runtime.bundle import FORMAT, is_bundle, open_bundle, packaged, write_bundle
from tests.tiny_bundle import BUNDLE, EXPECTED

SAYS = {
    "phonemo": "0.1.0",
    "name": "toy",
    "precision": "fp32",
    "labels": ("anger", "neutral"),
    "inventory": None,
    "normalise": True,
    "fewest_samples": 400,
    "conv_kernel": (400,),
    "conv_stride": (160,),
    "window_seconds": 30.0,
    "licence": "MIT",
    "parity": {"clips": 3, "difference": 1e-6},
}


@pytest.fixture
def copy(tmp_path) -> Path:
    """A bundle that may be broken."""
    return Path(shutil.copytree(BUNDLE, tmp_path / "bundle"))


def refused(folder: Path, *fragments: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        open_bundle(folder)
    line = str(caught.value)
    assert "\n" not in line
    assert str(folder) in line
    for fragment in fragments:
        assert fragment in line


def change(folder: Path, **values: object) -> None:
    card = json.loads((folder / "bundle.json").read_text()) | values
    (folder / "bundle.json").write_text(json.dumps(card))


def test_the_golden_bundle_has_every_field():
    card = open_bundle(BUNDLE).card
    assert (card.format, card.precision, card.rate) == (1, "int8", 16_000)
    assert card.labels == ("anger", "neutral", "sadness")
    assert card.inventory.symbols == ("<blank>", "a", "m", "s", "t")
    assert card.grid == FrameGrid(field_samples=720, hop_samples=320)
    assert card.fewest_samples == 720
    assert card.drift.audio == "noise"
    assert EXPECTED.is_file()


def test_a_written_bundle_can_be_read(tmp_path):
    written = write_bundle(tmp_path / "deep" / "toy", b"network", SAYS)
    assert open_bundle(tmp_path / "deep" / "toy") == written
    assert written.card.format == FORMAT
    assert written.card.temperature == 1.0
    names = sorted(path.name for path in written.folder.iterdir())
    assert names == ["bundle.json", "model.onnx"]


def test_a_language_model_of_phonemes_is_written_read_and_removed(tmp_path):
    written = write_bundle(tmp_path / "toy", b"network", SAYS, decoder=b"counts")
    assert open_bundle(tmp_path / "toy") == written
    assert (written.decoder, (tmp_path / "toy" / "phonemes.npz").read_bytes()) == (b"counts",) * 2
    (tmp_path / "toy" / "phonemes.npz").write_bytes(b"others")
    refused(tmp_path / "toy", "phonemes.npz", "expected SHA-256")
    write_bundle(tmp_path / "toy", b"network", SAYS)
    assert open_bundle(tmp_path / "toy").decoder is None
    assert not (tmp_path / "toy" / "phonemes.npz").exists()
    assert "decoder_sha256" not in (tmp_path / "toy" / "bundle.json").read_text()


def test_an_older_card_without_threshold_never_warns(copy):
    card = json.loads((copy / "bundle.json").read_text())
    for key in ("temperature", "abstain_below", "calibrated_on"):
        card.pop(key, None)
    (copy / "bundle.json").write_text(json.dumps(card))
    result = open_bundle(copy).card
    assert (result.temperature, result.abstain_below, result.calibrated_on) == (1.0, 0.0, 0)


def test_a_calibration_is_written_and_read(tmp_path):
    says = {"temperature": 1.25, "abstain_below": 0.5, "calibrated_on": 300}
    write_bundle(tmp_path / "toy", b"network", SAYS | says)
    card = open_bundle(tmp_path / "toy").card
    assert (card.temperature, card.abstain_below, card.calibrated_on) == (1.25, 0.5, 300)


def test_an_older_bundle_is_replaced_and_a_model_card_stays(tmp_path):
    write_bundle(tmp_path / "toy", b"old", SAYS)
    (tmp_path / "toy" / "README.md").write_text("a model card")
    write_bundle(tmp_path / "toy", b"new", SAYS | {"name": "newer"})
    assert open_bundle(tmp_path / "toy").model == b"new"
    assert open_bundle(tmp_path / "toy").card.name == "newer"
    assert (tmp_path / "toy" / "README.md").read_text() == "a model card"


def test_a_full_disk_leaves_the_older_bundle(tmp_path, monkeypatch):
    folder = tmp_path / "toy"
    write_bundle(folder, b"old", SAYS)
    write = Path.write_bytes

    def full(path, content):
        if path.name == "bundle.json.part":
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(CheckpointError, match="No space left"):
        write_bundle(folder, b"new", SAYS)
    assert open_bundle(folder).model == b"old"
    assert {path.name for path in folder.iterdir()} == {"bundle.json", "model.onnx"}


def test_an_interrupted_replacement_is_noticed(tmp_path, monkeypatch):
    folder = tmp_path / "toy"
    write_bundle(folder, b"old", SAYS)
    replace = Path.replace

    def killed(path, target):
        if target.name == "bundle.json":
            raise KeyboardInterrupt
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_bundle(folder, b"new", SAYS)
    refused(folder, "SHA-256")


@pytest.mark.parametrize("name", ["thesis.doc", "config.json"])
def test_foreign_folders_are_not_overwritten(tmp_path, name):
    (tmp_path / name).write_text("precious")
    with pytest.raises(CheckpointError, match="expected a bundle or an empty folder"):
        write_bundle(tmp_path, b"network", SAYS)
    with pytest.raises(CheckpointError, match="a file"):
        write_bundle(tmp_path / name, b"network", SAYS)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_changed_network_is_refused(copy):
    with (copy / "model.onnx").open("r+b") as file:
        file.seek(1000)
        file.write(b"\x00\x01\x02")
    refused(copy, "SHA-256", "copy the whole folder")


@pytest.mark.parametrize("name", ["model.onnx", "bundle.json"])
def test_an_incomplete_bundle_is_rejected(copy, name):
    (copy / name).unlink()
    assert is_bundle(copy)
    refused(copy, name, "copy the whole folder")


def test_a_missing_folder_and_an_invalid_bundle_are_distinguished(tmp_path):
    refused(tmp_path / "nowhere", "no such bundle folder")
    refused(tmp_path, "cannot be read")
    assert not is_bundle(tmp_path)
    assert not is_bundle(tmp_path / "nowhere")


def test_another_format_names_both_numbers(copy):
    change(copy, format=2, labels="of a later kind")
    refused(copy, "expected format 1, got 2", "export the model again")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"format": "1"}', '{"format": true}', "{}"])
def test_an_invalid_card_is_rejected(copy, text):
    (copy / "bundle.json").write_text(text)
    refused(copy, "bundle.json")


def test_a_binary_card_is_rejected(copy):
    (copy / "bundle.json").write_bytes(b"\xff\xfe\x00")
    refused(copy, "expected JSON")


@pytest.mark.parametrize(
    ("values", "fragment"),
    [
        ({"labels": []}, "labels"),
        ({"labels": ["anger", "anger"]}, "got a duplicate"),
        ({"labels": "anger"}, "labels"),
        ({"rate": 8000}, "expected 16000 samples per second, got 8000"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": -1.5}, "temperature"),
        ({"abstain_below": 2}, "abstain_below"),
        ({"abstain_below": -0.1}, "abstain_below"),
        ({"calibrated_on": -1}, "calibrated_on"),
        ({"calibrated_on": 0.5}, "calibrated_on"),
        ({"window_seconds": -1}, "window_seconds"),
        ({"precision": "int4"}, "precision"),
        ({"fewest_samples": 0}, "fewest_samples"),
        ({"inventory": {"name": "phonemes", "alphabet": "ipa"}}, "inventory.symbols"),
        ({"sha256": "abc"}, "sha256"),
    ],
)
def test_invalid_card_values_are_rejected(copy, values, fragment):
    change(copy, **values)
    refused(copy, fragment)


def test_unknown_card_keys_are_ignored(copy):
    change(copy, invented="later")
    assert open_bundle(copy).card.name == "tiny-bundle"


def test_writing_an_invalid_card_raises_a_validation_error(tmp_path):
    with pytest.raises(ValidationError):
        write_bundle(tmp_path / "toy", b"network", SAYS | {"temperature": float("nan")})
    assert not (tmp_path / "toy").exists()


def test_without_a_packaged_model_the_option_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle_module.resources, "files", lambda package: tmp_path)
    with pytest.raises(CheckpointError, match="--model FOLDER"):
        packaged()
    folder = tmp_path / "models" / "phonemo-small"
    shutil.copytree(BUNDLE, folder)
    assert packaged() == folder
