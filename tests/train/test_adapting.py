"""What training keeps for profiles, and that ONNX and torch apply the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from phonemo.errors import ModelError
from phonemo.evaluation.calibration import TemperatureScaling
from phonemo.labels import LabelSet
from phonemo.runtime.bundle import open_bundle
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.runtime.session import Graph
from phonemo.train.calibrate import recalibrate
from phonemo.train.evaluate import outputs_of
from phonemo.train.experiments.experiment_data import prepare_experiment
from phonemo.train.export.export import export, make_graph
from phonemo.train.export.quantize import FUSED, quantize
from phonemo.train.heads.linear_head import (
    SHRINKAGE,
    class_means,
    fit_head,
    keep_reference,
    reference_of,
)
from phonemo.train.model_folder import convert_to_half, load_trained, save_trained
from phonemo.train.torch_recognizer import TorchRecognizer
from tests.golden.make_tiny_bundle import LABELS, RADIUS, make_adaptable, make_network
from tests.tiny_bundle import CLIPS, RATE, make_clip
from tests.train.test_logistic import logistic
from tests.train.tiny_training import make_dataset
from tests.train.tiny_training import make_network as make_tiny

BUZZES = [make_clip(RATE + 2000 * number, 90.0 + 60 * number) for number in range(7)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return make_adaptable(tmp_path_factory.mktemp("adaptable") / "model")


@pytest.fixture(scope="module")
def bundle(folder, tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("bundle") / "fp32"
    export(folder, target, "fp32")
    return target


def test_onnx_and_torch_compute_and_apply_the_same_profile(folder, bundle):
    models = [TorchRecognizer.load(folder), OnnxRecognizer.load(bundle, threads=1)]
    assert models[0].reference.digest == models[1].reference.digest
    profiles = [model.profile(BUZZES, RATE) for model in models]
    np.testing.assert_allclose(profiles[0].mean, profiles[1].mean, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(profiles[0].deviation, profiles[1].deviation, rtol=1e-3)
    adapted = [model.with_profile(profiles[0]) for model in models]
    for clip in CLIPS.values():
        mine, other = (
            recognizer.predict(make_clip(*clip), RATE, shares=True) for recognizer in adapted
        )
        plain = models[0].predict(make_clip(*clip), RATE)
        assert mine.scores == pytest.approx(other.scores, abs=1e-4)
        assert mine.scores != pytest.approx(plain.scores, abs=1e-2)
        assert mine.profile == other.profile == profiles[0].mark
        for span, same in zip(mine.spans, other.spans, strict=True):
            assert span.share == pytest.approx(same.share, abs=1e-3)


def test_fp32_int8_and_a_new_calibration_share_profiles(folder, bundle, tmp_path):
    export(folder, tmp_path / "int8", "int8")
    recalibrate(bundle, tmp_path / "cool", TemperatureScaling(1.5, 0.4, 9))
    digests = {
        OnnxRecognizer.load(item).reference.digest
        for item in (bundle, tmp_path / "int8", tmp_path / "cool")
    }
    assert digests == {reference_of(load_trained(folder).model).digest}
    assert open_bundle(tmp_path / "cool").adaptation == open_bundle(bundle).adaptation


def test_a_model_folder_keeps_its_reference(folder, tmp_path):
    first = reference_of(load_trained(folder).model)
    convert_to_half(folder, tmp_path / "half")
    second = reference_of(load_trained(tmp_path / "half").model)
    assert (first.k_mean, first.k_spread, first.em_iterations) == (1.0, 4.0, 10)
    np.testing.assert_allclose(second.class_means, first.class_means, atol=1e-2)
    assert np.abs(first.class_means).max() > 0.1


def test_a_folder_without_a_reference_refuses_profiles(tmp_path):
    """As folders were written before there were profiles."""
    for head in ("linear", "hidden"):
        save_trained(tmp_path / head, make_network(head), LabelSet(LABELS))
        assert not any(
            "class_means" in name for name in load_trained(tmp_path / head).model.state_dict()
        )
        card = export(tmp_path / head, tmp_path / f"{head}-bundle", "fp32").card
        assert card.adaptation_sha256 is None
        assert card.parity.difference < 1e-3
        for model in (
            TorchRecognizer.load(tmp_path / head),
            OnnxRecognizer.load(tmp_path / f"{head}-bundle"),
        ):
            assert model.reference is None
            with pytest.raises(ModelError, match="takes no profile"):
                model.profile(BUZZES, RATE)
    assert set(SHRINKAGE) == {"k_mean", "k_spread", "em_iterations"}


def test_a_radius_is_saved_and_belongs_to_one_head(folder, tmp_path):
    """Folder, half precision, and no radius of an older head beside a new one."""
    assert reference_of(load_trained(folder).model).radius == RADIUS
    convert_to_half(folder, tmp_path / "half")
    model = load_trained(tmp_path / "half").model
    assert reference_of(model).radius == model.head.radius == RADIUS
    vectors = torch.randn(6, 8, generator=torch.Generator().manual_seed(1)) * 3
    expected = reference_of(model).logits(vectors.numpy())
    np.testing.assert_allclose(model.head(vectors).detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    assert np.abs(expected - model.head.layers(vectors).detach().numpy()).max() > 0.1
    keep_reference(model, np.zeros((3, 8)))
    assert np.isinf(reference_of(model).radius)
    assert model.config.adaptation["radius"] is None


def test_means_belong_to_a_linear_head_of_their_shape():
    with pytest.raises(ModelError, match="linear head"):
        keep_reference(make_network("hidden"), np.zeros((3, 8)))
    with pytest.raises(ModelError, match=r"\(3, 8\), got \(2, 8\)"):
        keep_reference(make_network("linear"), np.zeros((2, 8)))


def test_shrinkage_is_kept_when_means_are_measured_again():
    model = make_network("linear")
    keep_reference(model, np.zeros((3, 8)), k_mean=7.0)
    keep_reference(model, np.ones((3, 8)))
    assert reference_of(model).k_mean == 7.0
    assert reference_of(model).k_spread == SHRINKAGE["k_spread"]
    assert reference_of(model).class_means.tolist() == np.ones((3, 8)).tolist()


def test_class_means_match_a_calculation_by_hand():
    vectors = np.array([[1.0, 2.0], [3.0, 4.0], [-1.0, 0.0]])
    means = class_means(vectors, np.array([2, 2, 0]), 3)
    assert means.tolist() == [[-1, 0], [0, 0], [2, 3]]


def test_a_fitted_head_has_its_class_means(tmp_path):
    experiment = prepare_experiment(logistic(tmp_path))
    model = make_tiny(experiment).eval()
    training = make_dataset(experiment)
    fit_head(model, training, 0.1, 4)
    reference = reference_of(model)
    outputs = outputs_of(model, training, 4)
    vectors, labels = outputs.vectors.double().numpy(), outputs.labels.numpy()
    np.testing.assert_allclose(reference.centre, vectors.mean(axis=0), atol=1e-4)
    standardised = (vectors - vectors.mean(axis=0)) / vectors.std(axis=0)
    for emotion in np.unique(labels):
        expected = standardised[labels == emotion].mean(axis=0)
        np.testing.assert_allclose(reference.class_means[emotion], expected, atol=1e-3)
    logits = standardised @ reference.weight.T + reference.bias
    np.testing.assert_allclose(logits, outputs.logits.double().numpy(), atol=2e-2)
    save_trained(tmp_path / "model", model, experiment.targets.labels)
    assert reference_of(load_trained(tmp_path / "model").model).digest == reference.digest


def test_int8_does_not_change_head_and_map():
    import onnx

    fp32 = onnx.load_from_string(make_graph(make_network("linear")))
    small = onnx.load_from_string(quantize(fp32.SerializeToString()))
    for model in (fp32, small):
        makes = {output: node for node in model.graph.node for output in node.output}
        tail, names = [], ["emotion_logits"]
        while names and len(tail) < 20:
            node = makes.get(names.pop(0))
            if node is not None and "vector" not in node.output:
                tail.append(node.op_type)
                names += node.input
        assert tail == ["Gemm", "Div", "Sub", "Add", "Mul"], tail
    assert any(node.op_type == FUSED for node in small.graph.node)


def test_the_graph_outputs_the_vector_and_accepts_a_map():
    model = make_network("linear")
    graph = Graph(make_graph(model), threads=1)
    assert graph.width == model.vector_features == 8
    clip = make_clip(*CLIPS["odd"])
    outputs = graph.recognize(clip, 720)
    with torch.inference_mode():
        logits = model.head(torch.from_numpy(outputs.vector)[None])[0].numpy()
    np.testing.assert_allclose(outputs.emotions, logits, atol=1e-5)
