"""Real speech: EmoDB beside the repository, and the small pretrained backbone in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from phonemo.config import load_config, write_config
from phonemo.corpora.manifest import read_manifest, write_manifest
from phonemo.corpora.prepare import prepare
from phonemo.model.network import PhonemoConfig, PhonemoForAudioClassification
from phonemo.model.pretrained import load_backbone
from phonemo.train.dataset import pad_audio
from phonemo.train.experiments.training_run import run
from phonemo.train.feature_cache import _samples
from phonemo.train.torch_recognizer import TorchRecognizer

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "configs" / "emodb.yaml"
BACKBONE = ROOT / "models" / "phonemo-small-backbone"
SPEAKERS = ("03", "08", "09", "10")


@pytest.fixture(scope="module")
def manifest(shared_folder, tmp_path_factory) -> Path:
    """Four of EmoDB's speakers."""
    path = tmp_path_factory.mktemp("emodb") / "manifest.jsonl"
    prepare("emodb", shared_folder / "corpora" / "emodb", path)
    whole = read_manifest(path)
    some = [one for one in whole.utterances if one.speaker in SPEAKERS]
    write_manifest(path, whole.header, some)
    return path


def test_real_emotions_are_learnt_across_speakers(manifest):
    """Two speakers teach, one picks the epoch, one is tested: far above chance (UA 14 %)."""
    overrides = {
        "manifest": manifest,
        "output": manifest.parent / "runs" / "emodb",
        "model.backbone": BACKBONE,
        "train.epochs": 10,
        "threads": 1,
        "protocol.validation_units": 1,
    }
    config = load_config(CONFIG, [f"{key}={value}" for key, value in overrides.items()])
    metrics = run(config, "test", folds=["speaker-03"])
    assert metrics["results"]["utterances"] == 49
    assert metrics["results"]["ua"]["mean"] > 0.35
    _saved_model_gives_the_same(manifest, Path(config.output) / "seed-1" / "speaker-03")
    write_config(manifest.parent / "again.yaml", config)
    assert load_config(manifest.parent / "again.yaml") == config


def _saved_model_gives_the_same(manifest: Path, fold: Path) -> None:
    """Scores from the audio file equal those from the feature cache and a batch."""
    predictor = TorchRecognizer.load(fold / "model")
    data = read_manifest(manifest)
    by_id = {one.id: one for one in data.utterances}
    rows = [json.loads(line) for line in (fold / "predictions.jsonl").read_text().splitlines()]
    for row in rows[::12]:
        found = predictor.predict(data.audio_path(by_id[row["id"]]))
        assert found.scores == pytest.approx(row["scores"], abs=1e-4)
        assert list(found.phonemes or ()) == row["phonemes"]


def test_real_clips_do_not_see_their_neighbours(manifest):
    """Batch equals single to 1e-4 on the real backbone and real lengths."""
    network, normalise = load_backbone(str(BACKBONE), layers=3)
    config = PhonemoConfig(
        backbone=network.config.to_diff_dict() | {"model_type": network.config.model_type},
        normalise=normalise,
        auxiliary={"task": "phonemes", "symbols": ["<blank>", "a"]},
        id2label=dict(enumerate("abcdefg")),
    )
    torch.manual_seed(0)
    model = PhonemoForAudioClassification(config, network).eval()
    data = read_manifest(manifest)
    clips = [_samples(data, one) for one in data.utterances[::40]]
    with torch.no_grad():
        together = model(**pad_audio(clips)).logits
        alone = torch.cat([model(**pad_audio([clip])).logits for clip in clips])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=0)
