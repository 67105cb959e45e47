"""Configs, results and the cards of bundles come back as they were written."""

from __future__ import annotations

import json
from itertools import count
from typing import get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from phonemo.config import (
    AugmentConfig,
    AuxiliaryConfig,
    ExtraConfig,
    ModelConfig,
    ProtocolConfig,
    RunConfig,
    TrainConfig,
    load_config,
    write_config,
)
from phonemo.evaluation.metrics_schema import (
    Bin,
    CalibrationScore,
    Confusion,
    Score,
    SelectiveScore,
)
from phonemo.labels import EMOTIONS
from phonemo.runtime.bundle import BundleCard, open_bundle, write_bundle
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from phonemo.server.settings import ServeAccess, ServeConfig, ServeLimits, load_serve_config
from phonemo.train.pretrain.pretrain_config import (
    AugmentationConfig,
    PretrainConfig,
    StageConfig,
    load_pretrain_config,
)
from tests.properties.strategies import few, some, texts, words
from tests.tiny_bundle import BUNDLE, make_clip

#: Texts that YAML would take for something else.
tricky = st.sampled_from(
    ["yes", "null", "~", "1e5", "0x1F", "- a", "# b", "a: b", "", "2001-01-01"]
)
values = texts | tricky
positive = st.floats(1e-12, 1e12)
shares = st.floats(0, 1)
counts = st.integers(1, 10**9)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    folder, number = tmp_path_factory.mktemp("configs"), count()
    return lambda: folder / f"{next(number)}.yaml"


def fields(section, **more):
    """Values for every field that is a choice from a closed list, and what is given."""
    chosen = {
        name: st.sampled_from(get_args(field.annotation))
        for name, field in section.model_fields.items()
        if isinstance(next(iter(get_args(field.annotation)), None), str)
    }
    return {**chosen, **more}


def built(section, **more):
    """A section, left out where the values contradict each other."""

    def make(kept):
        try:
            return section(**kept)
        except ValidationError:
            return None

    drawn = fields(section, **more)
    return st.fixed_dictionaries({}, optional=drawn).map(make).filter(lambda one: one is not None)


trains = built(
    TrainConfig,
    rate_heads=positive,
    rate_backbone=positive,
    warmup=st.floats(0, 0.99),
    label_smoothing=st.floats(0, 0.99),
    max_seconds=positive,
    wait_minutes=positive,
    save_steps=st.none() | counts,
    cache=st.booleans(),
    augment=built(
        AugmentConfig,
        gain_db=st.floats(0, 99),
        speed=st.floats(0, 0.49),
        noise_snr_db=st.none() | st.floats(-50, 50),
    ),
)
models = st.fixed_dictionaries(
    fields(ModelConfig)
    | {
        "backbone": values.filter(lambda name: name != "log-mel"),
        "start": st.none() | values,
        "layers": st.none() | counts,
        "statistics": st.lists(st.integers(0, 40), max_size=3),
        "dropout": st.floats(0, 0.99),
        "auxiliary": st.none() | built(AuxiliaryConfig, alpha=positive),
    }
).map(lambda kept: ModelConfig(**kept))


@st.composite
def runs(draw: st.DrawFn) -> RunConfig:
    kept = {
        "name": draw(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,9}", fullmatch=True)),
        "manifest": draw(values),
        "output": draw(values),
        "labels": {
            "names": draw(st.lists(values, max_size=4)),
            "merge": draw(st.dictionaries(values, values, max_size=3)),
        },
        "protocol": draw(
            built(ProtocolConfig, folds=st.none() | st.integers(2, 9), folder=st.none() | values)
        ),
        "extra": draw(st.lists(built(ExtraConfig, manifest=values, repeat=counts), max_size=2)),
        "model": draw(models),
        "train": draw(trains),
        "seeds": draw(st.lists(st.integers(-(10**12), 10**12), min_size=1, unique=True)),
    }
    try:
        return RunConfig(**kept)
    except ValidationError:
        assume(False)
        raise


@some
@given(runs())
def test_the_config_of_a_run_reads_back(fresh, config):
    path = fresh()
    write_config(path, config)
    read = load_config(path)
    assert read == config
    assert read.digest == config.digest


def test_a_next_line_in_a_path_is_kept(fresh):
    path, config = fresh(), ServeConfig(models=("a\x85b",))
    write_config(path, config)
    assert load_serve_config(path) == config


origins = st.lists(st.just("*") | words.map(lambda x: f"https://{x.replace('/', '')}"), max_size=2)


@some
@given(
    built(
        ServeConfig,
        host=values,
        port=st.integers(0, 65535),
        models=st.lists(values, max_size=3),
        workers=st.none() | counts,
        batch_seconds=st.floats(0, 1e6),
        limits=built(ServeLimits, body_bytes=counts, deadline_seconds=positive),
        access=built(
            ServeAccess,
            keys=st.lists(st.from_regex("[0-9a-f]{64}", fullmatch=True), max_size=2),
            hosts=st.none() | st.lists(values, max_size=2),
            cors_origins=origins,
        ),
    )
)
def test_the_config_of_a_server_reads_back(fresh, config):
    path = fresh()
    write_config(path, config)
    assert load_serve_config(path) == config


@few
@given(
    st.builds(
        PretrainConfig,
        name=st.just("a"),
        teacher=values,
        manifests=st.lists(values, min_size=1, max_size=3),
        never_heard=st.lists(values, max_size=2),
        output=values,
        front_end=st.builds(StageConfig, steps=counts, batch_size=counts, rate_front=positive),
        whole=st.builds(
            StageConfig,
            steps=counts,
            batch_size=counts,
            rate_front=positive,
            hearing=st.builds(AugmentationConfig, noise_snr_db=st.none() | st.floats(-99, 99)),
        ),
    )
)
def test_the_config_of_a_pretraining_reads_back(fresh, config):
    path = fresh()
    write_config(path, config)
    assert load_pretrain_config(path) == config


scores = st.builds(
    Score,
    mean=shares,
    low=st.none() | shares,
    high=st.none() | shares,
    per_seed=st.lists(shares, max_size=3),
    fold_mean=shares,
    fold_sd=st.none() | shares,
)
calibrations = st.builds(
    CalibrationScore,
    ece=shares,
    brier=st.floats(0, 2),
    nll=st.floats(0, 1e3),
    bins=st.lists(
        st.builds(
            Bin,
            low=shares,
            high=shares,
            count=counts,
            confidence=st.none() | shares,
            accuracy=st.none() | shares,
        ),
        max_size=2,
    ),
)
confusions = st.lists(texts, min_size=1, max_size=3).flatmap(
    lambda labels: st.builds(
        Confusion,
        labels=st.just(labels),
        counts=st.lists(
            st.lists(st.integers(0, 99), min_size=len(labels), max_size=len(labels)),
            min_size=len(labels),
            max_size=len(labels),
        ),
    )
)
selective = st.builds(SelectiveScore, area=shares, curve=st.just(()), coverage=st.none() | shares)


@some
@given(scores | calibrations | confusions | selective)
def test_parts_of_results_read_back_to_the_last_digit(part):
    data = json.loads(json.dumps(part.model_dump(mode="json"), allow_nan=False))
    assert type(part).model_validate(data) == part
    assert type(part).model_validate_json(part.model_dump_json()) == part


@few
@given(
    temperature=st.floats(0.05, 20),
    threshold=shares,
    licence=texts,
    name=texts,
    labels=st.lists(words | st.sampled_from(EMOTIONS), min_size=3, max_size=3, unique=True),
)
def test_a_calibrated_bundle_reads_back_and_is_heard(
    tmp_path_factory, temperature, threshold, licence, name, labels
):
    """The label and the order of the scores stay; an answer below the threshold is unsure."""
    old = open_bundle(BUNDLE)
    says = old.card.model_dump(mode="json", exclude={"sha256", "head_sha256"})
    says |= {"temperature": temperature, "abstain_below": threshold, "labels": labels}
    says |= {"licence": licence, "name": name, "calibrated_on": 7}
    folder = tmp_path_factory.mktemp("bundle")
    written = write_bundle(folder, old.model, says, old.head)
    assert open_bundle(folder) == written
    assert BundleCard.model_validate_json(written.card.model_dump_json()) == written.card
    clip = make_clip(16_000, 300.0)
    wanted = OnnxRecognizer(old, threads=1).predict(clip, 16_000)
    found = OnnxRecognizer.load(folder, threads=1).predict(clip, 16_000)
    assert list(found.scores) == labels
    assert found.label == labels[list(wanted.scores).index(wanted.label)]
    assert ("unsure" in found.warnings) == (max(found.scores.values()) < threshold)
    powers = np_powers(list(wanted.scores.values()), old.card.temperature / temperature)
    assert list(found.scores.values()) == pytest.approx(powers, abs=1e-6)


def np_powers(shares, exponent):
    """Probabilities after another temperature."""
    grown = [share**exponent for share in shares]
    return [one / sum(grown) for one in grown]
