"""Case 26: a clip's scores are those it has alone, in a batch of eight or beside a longer one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from phonemo.annotations.prediction import Prediction
from phonemo.audio import Waveform
from phonemo.runtime.bundle import packaged
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.windows import PLAIN
from tests.abuse.figures import figure
from tests.batch.batches import batch, inline, rows
from tests.tiny_bundle import BUNDLE, RATE

#: The bars, by the precision of a bundle.
BARS = {"fp32": 1e-4, "int8": 1e-3}
CLIPS, TOGETHER = 16, 8
#: What scores in an answer of the server and the batch are rounded to.
_ROUNDED = 1e-4

Clip = npt.NDArray[np.float32]
Scores = Mapping[str, float]


def _voice(number: int) -> Clip:
    """A buzz with the overtones and the rhythm of a voice, and a little noise; 0.8 to 2 s."""
    draw = np.random.default_rng(number)
    time = np.arange(int(draw.integers(RATE * 4 // 5, RATE * 2))) / RATE
    pitch = draw.uniform(90, 250) * time * (1 + 0.1 * np.sin(2 * np.pi * 3 * time))
    wave = sum(np.sin(2 * np.pi * tone * pitch) / tone for tone in range(1, 12))
    wave = 0.1 * wave * (0.5 + 0.5 * np.sin(2 * np.pi * draw.uniform(2, 5) * time))
    return (wave + draw.normal(0, 0.003, len(time))).astype(np.float32)


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    """Of many lengths."""
    return [_voice(number) for number in range(CLIPS)]


@pytest.fixture(scope="module")
def fp32(tmp_path_factory) -> Path:
    """The network of the golden bundle, exported as it is."""
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from phonemo.labels import LabelSet
    from phonemo.train.export.export import export
    from phonemo.train.model_folder import save_trained
    from tests.golden.make_tiny_bundle import LABELS, make_network

    home = tmp_path_factory.mktemp("fp32")
    save_trained(home / "model", make_network(), LabelSet(LABELS))
    return export(home / "model", home / "bundle", "fp32").folder


def _opened(request: pytest.FixtureRequest, kind: str) -> OnnxRecognizer:
    """A bundle by what it is called in a figure, with one thread."""
    folders = {"int8, golden": lambda: BUNDLE, "int8, shipped": packaged}
    folder = folders.get(kind, lambda: request.getfixturevalue("fp32"))()
    return OnnxRecognizer.load(folder, threads=1)


def _heard(model: OnnxRecognizer, clips: Sequence[Clip]) -> list[Scores]:
    """The scores of clips that are asked together."""
    found = model.predict_together([Waveform(one) for one in clips], PLAIN)
    return [one.scores for one in found if isinstance(one, Prediction)]


def _worst(alone: Sequence[Scores], other: Sequence[Scores]) -> float:
    """The largest difference of any score."""
    pairs = list(zip(alone, other, strict=True))
    assert all(one.keys() == two.keys() for one, two in pairs)
    return max(abs(one[name] - two[name]) for one, two in pairs for name in one)


def _alone(model: OnnxRecognizer, clips: Sequence[Clip]) -> list[Scores]:
    return [model.predict(clip, RATE).scores for clip in clips]


def _in_eights(model: OnnxRecognizer, clips: Sequence[Clip]) -> list[Scores]:
    groups = [clips[first : first + TOGETHER] for first in range(0, len(clips), TOGETHER)]
    return [scores for group in groups for scores in _heard(model, group)]


def _beside_a_longer_one(model: OnnxRecognizer, clips: Sequence[Clip]) -> list[Scores]:
    long = np.resize(np.concatenate(clips), 10 * RATE)
    return [_heard(model, [clip, long])[0] for clip in clips]


def _many(jobs: int) -> Callable[[OnnxRecognizer, Sequence[Clip]], list[Scores]]:
    def heard(model: OnnxRecognizer, clips: Sequence[Clip]) -> list[Scores]:
        found = model.predict_many(clips, RATE, jobs=jobs, batch_seconds=60)
        return [one.scores for one in found]

    return heard


COMPANIES: dict[str, Callable[[OnnxRecognizer, Sequence[Clip]], list[Scores]]] = {
    "in a batch of eight": _in_eights,
    "beside a longer one": _beside_a_longer_one,
    "by predict_many": _many(1),
    "by predict_many, two at once": _many(2),
}


@pytest.mark.parametrize("kind", ["fp32", "int8, golden"])
@pytest.mark.parametrize("company", COMPANIES)
def test_case_26_company_leaves_scores_as_they_are(request, kind, clips, company):
    _check(_opened(request, kind), kind, clips, company)


def test_case_26_company_leaves_scores_of_the_shipped_model(request, clips):
    for company in COMPANIES:
        _check(_opened(request, "int8, shipped"), "int8, shipped", clips, company)


def _check(model: OnnxRecognizer, kind: str, clips: Sequence[Clip], company: str) -> None:
    worst = _worst(_alone(model, clips), COMPANIES[company](model, clips))
    bar = BARS[model.card.precision]
    figure(26, f"largest difference of a score, {company} ({kind})", worst, "", bar)
    assert worst < bar


# The whole ways ----------------------------------------------------------------------------------


def test_case_26_a_batch_tells_the_scores_of_clips_alone(tmp_path, fp32, clips, monkeypatch):
    from phonemo.batch import run

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(run.ENGINES, "local", inline)
    (tmp_path / "in").mkdir()
    for number, clip in enumerate(clips):
        soundfile.write(f"in/{number:02d}.wav", clip, RATE, subtype="FLOAT")
    assert batch("in", "-o", "out", "-q", "--model", fp32).code == 0
    alone = _alone(OnnxRecognizer.load(fp32, threads=1), clips)
    worst = _worst(alone, [row["scores"] for row in rows(tmp_path / "out")])
    figure(26, "largest difference of a score, by the batch command (fp32)", worst, "", 1e-4)
    assert worst < BARS["fp32"] + _ROUNDED / 2


def test_case_26_concurrent_requests_get_the_scores_of_clips_alone(fp32, clips, monkeypatch):
    """One thread hears, slowly, so that what comes meanwhile waits and is heard together."""
    pytest.importorskip("fastapi")
    from tests.server.asking import encoded, post
    from tests.server.serving import served, settings

    alone = _alone(OnnxRecognizer.load(fp32, threads=1), clips)
    files = [encoded(clip, subtype="FLOAT") for clip in clips]
    config = settings(models=(str(fp32),), workers=1, batch_seconds=20, limits={"queue": 64})
    hear = OnnxRecognizer._recognize_clips

    def slowly(*arguments: Any) -> Any:
        time.sleep(0.05)
        return hear(*arguments)

    monkeypatch.setattr(OnnxRecognizer, "_recognize_clips", slowly)
    with served(config) as server, ThreadPoolExecutor(len(files)) as pool:
        before = server.metric("batch_clips_count")
        answers = list(pool.map(lambda file: post(server.port, file), files * 3))
        batches = server.metric("batch_clips_count") - before
    assert {one.status for one in answers} == {200}
    assert batches < len(answers) / 2, "they were heard one by one"
    worst = _worst(alone * 3, [one.data["scores"] for one in answers])
    figure(26, "largest difference of a score, by the server (fp32)", worst, "", 1e-4)
    assert worst < BARS["fp32"] + _ROUNDED / 2
