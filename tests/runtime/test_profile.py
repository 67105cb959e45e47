"""A profile's file: whole or not at all, nothing that identifies, and nothing hostile gets in."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonemo.errors import AudioError, UsageError
from phonemo.runtime.adaptation.pool import VectorPool, Vectors
from phonemo.runtime.adaptation.profile import MAX_BYTES, Profile
from phonemo.runtime.adaptation.statistics import Statistics
from tests.runtime.test_adaptation import REFERENCE

GOOD = {
    "format": 1,
    "model": REFERENCE.digest,
    "count": 7,
    "seconds": 12.5,
    "mean": [1.5, -2.25],
    "deviation": [0.5, 3.0],
}


def test_a_file_holds_the_same_profile(tmp_path):
    statistics = Statistics(7, np.array([1 / 3, -1e-7]), np.array([np.pi, 123456.789]))
    made = Profile.of(statistics, 12.345, REFERENCE)
    assert made.mean == (0.333333, -1e-07)
    assert made.deviation == (3.14159, 123457.0)
    made.save(tmp_path / "deep" / "office.json")
    result = Profile.load(tmp_path / "deep" / "office.json")
    assert result == made
    assert result.hash == made.hash
    assert len(result.hash) == 12
    result.check(REFERENCE)
    assert os.listdir(tmp_path / "deep") == ["office.json"], "nothing is left beside it"
    assert Profile.parse(made.text()) == Profile.from_dict(made.to_dict()) == made


def test_numbers_as_javascript_writes_them_are_the_same_profile():
    given = GOOD | {"seconds": 8.0, "mean": [3.0, -0.0], "deviation": [1e-07, 2.0]}
    text = (
        f'{{"format":1,"model":"{REFERENCE.digest}","count":7,"seconds":8,"mean":[3,0],'
        '"deviation":[1e-7,2]}'
    )
    result = Profile.parse(text)
    assert result == Profile.from_dict(given)
    assert result.hash == Profile.from_dict(given).hash
    assert result.text() == Profile.from_dict(given).text()


def test_a_profile_file_contains_only_numbers(tmp_path):
    Profile.from_dict(GOOD).save(tmp_path / "office.json")
    data = json.loads((tmp_path / "office.json").read_text(encoding="utf-8"))
    assert data == GOOD


@pytest.mark.parametrize("key", ["count", "seconds", "mean", "deviation"])
def test_the_hash_changes_with_the_content(key):
    value = GOOD[key]
    other = GOOD | {key: [*value[:-1], 9.0] if isinstance(value, list) else value + 1}
    assert Profile.from_dict(other).hash != Profile.from_dict(GOOD).hash


def changed(**values):
    return json.dumps(GOOD | values)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "expected JSON"),
        ("no json", "expected JSON"),
        ("[" * 100_000, "expected JSON"),
        ("[]", "expected an object of format"),
        ("null", "expected an object of format"),
        ("{}", "expected an object of format"),
        (json.dumps(GOOD | {"path": "a.wav"}), "expected an object of format"),
        (json.dumps({key: GOOD[key] for key in list(GOOD)[1:]}), "expected an object of format"),
        (changed(format=2), "expected format 1, got 2"),
        (changed(format=True), "expected format 1, got True"),
        (changed(format="1"), "expected format 1, got '1'"),
        (changed(format=None), "expected format 1, got None"),
        (changed(model="f" * 63), "64 hexadecimal"),
        (changed(model=5), "64 hexadecimal"),
        (changed(model="F" * 64), "64 hexadecimal"),
        (changed(model="f" * 64 + "\n"), "64 hexadecimal"),
        (changed(count=0), "count"),
        (changed(count=-1), "count"),
        (changed(count=2.5), "count"),
        (changed(count=True), "count"),
        (changed(count=10**400), "count"),
        (changed(count=10**9 + 1), "expected a count from 1 to 1000000000"),
        (changed(seconds=-1), "seconds"),
        (changed(seconds=float("nan")), "seconds"),
        (changed(seconds="9"), "seconds"),
        (changed(mean="ab"), "expected a list in mean"),
        (changed(mean={"0": 1}), "expected a list in mean"),
        (changed(mean=[]), "0 means and 2 deviations"),
        (changed(mean=[1.0]), "1 means and 2 deviations"),
        (changed(mean=[1.0, None]), "expected means"),
        (changed(mean=[1.0, [2.0]]), "expected means"),
        (changed(mean=[1.0, True]), "expected means"),
        (changed(mean=[1.0, float("nan")]), "expected means"),
        (changed(mean=[1.0, float("inf")]), "expected means"),
        (changed(mean=[1.0, 1e30]), "expected means"),
        (changed(mean=[1.0, 10**400]), "expected means"),
        (changed(deviation=[1.0, 0.0]), "expected deviations"),
        (changed(deviation=[1.0, -2.0]), "expected deviations"),
        (changed(deviation=[1.0, 1e-300]), "expected deviations"),
        (changed(deviation=[1.0, float("nan")]), "expected deviations"),
        (changed(deviation=["1", 2.0]), "expected deviations"),
        (changed(mean=[1.0] * 20_000, deviation=[1.0] * 20_000), "20000 means"),
        (" " * (MAX_BYTES + 1), "expected a profile of at most 1048576 bytes"),
    ],
)
def test_hostile_files(tmp_path, text, what):
    path = tmp_path / "odd\u202e.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=what) as caught:
        Profile.load(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_missing_and_unreadable_files_are_rejected(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        Profile.load(tmp_path / "absent.json")
    with pytest.raises(UsageError, match="no such file"):
        Profile.load(tmp_path)
    with pytest.raises(UsageError):
        Profile.load("a\0b")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(UsageError, match="expected JSON"):
        Profile.load(tmp_path / "bytes.json")


def test_an_unwritable_path_is_rejected(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        Profile.from_dict(GOOD).save(tmp_path / "file" / "office.json")


VALUES = st.none() | st.booleans() | st.floats() | st.integers() | st.text()


@given(st.recursive(VALUES, st.lists), st.sampled_from(list(GOOD)))
def test_any_value_gives_a_profile_or_one_error(value, key):
    try:
        result = Profile.from_dict(GOOD | {key: value})
    except UsageError:
        return
    assert np.isfinite(result.statistics.mean).all()
    assert (result.statistics.deviation > 0).all()


@pytest.mark.parametrize("digit", ["0", "f"])
def test_another_model_is_refused(digit):
    other = Profile.from_dict(GOOD | {"model": digit * 64})
    expected = f"expected a profile of model .* got one of model {digit * 12}"
    with pytest.raises(UsageError, match=expected):
        other.check(REFERENCE)


def test_a_profile_of_another_width_is_refused():
    wide = Profile.from_dict(GOOD | {"mean": [1.0] * 3, "deviation": [1.0] * 3})
    with pytest.raises(UsageError, match="expected a profile of 2 features, got 3"):
        wide.check(REFERENCE)


def test_a_pool_grows_and_can_be_reset():
    pool = VectorPool(REFERENCE)
    with pytest.raises(UsageError, match="expected speech to make a profile from"):
        pool.profile()
    pool.add([3.0, 10.0], 1.5)
    assert pool.take(Vectors(np.array([[7.0, 2.0]], np.float32), 2.0))
    assert not pool.take(Vectors(np.zeros((0, 0), np.float32), 0.0))
    assert not pool.take(AudioError("empty_audio", "nothing"))
    assert (len(pool), pool.seconds, pool.silent, pool.failed) == (2, 3.5, 1, 1)
    made = pool.profile()
    assert (made.count, made.seconds, made.mean) == (2, 3.5, (5.0, 6.0))
    assert (made.mark.hash, made.mark.count) == (made.hash, 2)
    pool.reset()
    assert (len(pool), pool.seconds, pool.silent, pool.failed) == (0, 0.0, 0, 0)
    with pytest.raises(UsageError, match="0 recordings without speech"):
        pool.statistics()


def test_the_same_pool_in_any_order_is_the_same_profile():
    draws = np.random.default_rng(5).normal(0, 2, (40, 2))
    made = []
    for rows in (draws, draws[::-1], np.random.default_rng(6).permutation(draws)):
        pool = VectorPool(REFERENCE)
        for row in rows:
            pool.add(row, 0.1)
        made.append(pool.profile())
    assert made[0] == made[1] == made[2]
    assert len({item.hash for item in made}) == 1


def test_a_pool_of_a_stream_keeps_the_newest():
    pool = VectorPool(REFERENCE, most=2)
    for value in (100.0, 3.0, 7.0):
        pool.add([value, value])
    assert len(pool) == 2
    assert pool.profile().mean == (5.0, 5.0)
    with pytest.raises(UsageError, match="most=0"):
        VectorPool(REFERENCE, most=0)


@pytest.mark.parametrize("vector", [[1.0], [1.0, np.nan], [[1.0, 2.0]], [1.0, 1e60]])
def test_invalid_vectors_are_rejected(vector):
    pool = VectorPool(REFERENCE)
    with (
        pytest.raises(UsageError, match="expected a vector of 2 finite features"),
        np.errstate(over="ignore"),
    ):
        pool.add(vector)
    assert len(pool) == 0
