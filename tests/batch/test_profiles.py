"""A batch with a profile: made once of a sample, kept in the folder, the same for every row."""

from __future__ import annotations

import json
import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from phonemo.batch import adaptation
from phonemo.batch import adaptation as vectors
from phonemo.batch.adaptation import sample_of, vectors_of_item
from phonemo.batch.job import PlanSummary
from phonemo.batch.job_profile import keep_profile, read_profile
from phonemo.batch.plan import BatchItem, plan
from phonemo.batch.stores import open_store
from phonemo.batch.worker import WorkerSpec, open_recognizer
from phonemo.loader import model_digest
from phonemo.runtime.adaptation.pool import Vectors
from phonemo.runtime.adaptation.profile import Profile
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from tests.answers import Answer, without_nulls
from tests.batch.batches import (
    assert_once,
    assert_one_line,
    batch,
    batch_options,
    clips,
    parts,
    rows,
    some,
)
from tests.tiny_bundle import ADAPTABLE, BUNDLE, RATE, make_clip

pytestmark = pytest.mark.usefixtures("at_once", "inline")


def inline_vectors(
    work: WorkerSpec, items: list[BatchItem], workers: int
) -> Iterator[Vectors | None]:
    """The first pass without processes, for tests that do not need them."""
    recognizer = open_recognizer(work.options)
    return (vectors_of_item(recognizer, item) for item in items)


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adaptation, "vectors_by_processes", inline_vectors)


def adaptable(*words: object) -> Answer:
    """A batch with the golden bundle that takes a profile."""
    return batch("--model", ADAPTABLE, *words)


def office(here: Path, count: int = 8) -> list[str]:
    """Recordings, one without speech and one that is text."""
    names = clips(here / "in", *some(count), "bad.wav")
    soundfile.write(here / "in/silent.wav", np.zeros(RATE), RATE)
    return [*names, str(here / "in/silent.wav")]


def by_file(out: Path) -> dict[str, dict]:
    return {row["file"]: row for row in rows(out)}


def profile_of(out: Path) -> Profile:
    return Profile.load(out / "profile.json")


# The sample ---------------------------------------------------------------------------------------


def test_a_sample_depends_on_the_set_alone(tmp_path):
    items = [BatchItem(str(number), f"/{number}") for number in range(50)]
    samples = []
    for number, size in enumerate((1, 7, 50)):
        store = open_store(str(tmp_path / str(number)))
        total = plan(store, items, PlanSummary(), size)
        samples.append(sample_of(store, total.parts, 10))
        random.Random(number).shuffle(items)
    assert samples[0] == samples[1] == samples[2]
    assert samples[0] == sorted(items, key=lambda item: item.key)[:10]


def test_a_sample_is_of_all_folders_of_the_set(tmp_path):
    """It is drawn by hashes, not by order or folder."""
    items = [BatchItem(f"{n}", f"/{'ab'[n % 2]}/{n}.wav") for n in range(400)]
    store = open_store(str(tmp_path))
    total = plan(store, items, PlanSummary(), 100)
    numbers = [int(item.file) for item in sample_of(store, total.parts, 100)]
    assert 30 < sum(number % 2 for number in numbers) < 70
    assert 30 < sum(number < 200 for number in numbers) < 70


def test_a_sample_of_a_small_set_is_the_whole_set(tmp_path):
    store = open_store(str(tmp_path))
    items = [BatchItem("a", "/a"), BatchItem("b", "/b")]
    total = plan(store, items, PlanSummary(), 1)
    assert {item.file for item in sample_of(store, total.parts, 300)} == {"a", "b"}


def test_memory_does_not_grow_with_the_number_of_recordings(tmp_path):
    store = open_store(str(tmp_path))
    names = (
        BatchItem(f"/nowhere/{number}.wav", f"/nowhere/{number}.wav") for number in range(20_000)
    )
    total = plan(store, names, PlanSummary(), 100)
    tracemalloc.start()
    try:
        sample_of(store, total.parts, 50)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000  # the items alone are several times as much


def test_only_the_beginning_of_a_long_recording_is_decoded(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.wav", make_clip(8 * RATE, 200.0), RATE)
    monkeypatch.setattr(vectors, "LONGEST_SECONDS", 2.0)
    recognizer = OnnxRecognizer.load(ADAPTABLE)
    name = str(tmp_path / "a.wav")

    def seconds(*stretch):
        return vectors_of_item(recognizer, BatchItem(name, name, None, *stretch)).seconds

    assert seconds() == seconds(0.0, 8.0) == pytest.approx(2.0, abs=0.1)
    assert seconds(3.0, None) == seconds(3.0, 99.0) == pytest.approx(2.0, abs=0.1)
    assert seconds(1.0, 2.0) == pytest.approx(1.0, abs=0.1)


def test_the_first_pass_ends_with_enough_vectors(here, monkeypatch):
    monkeypatch.setattr(adaptation, "MOST_VECTORS", 3)
    clips(here / "in", *some(8))
    assert adaptable("in", "-o", "out", "--adapt").code == 0
    assert profile_of(here / "out").count == 3
    profile = json.loads((here / "out/summary.json").read_text())["profile"]
    assert (profile["recordings"], profile["count"]) == (3, 3)


# Rows ---------------------------------------------------------------------------------------------


def test_rows_are_those_of_predict_with_the_profile_of_the_sample(here):
    names = office(here)
    answer = adaptable("in", "-o", "out", "--adapt", "--part-files", 3)
    assert answer.code == 1, "one of them is text"
    model = OnnxRecognizer.load(ADAPTABLE).adapted(names)
    assert profile_of(here / "out") == OnnxRecognizer.load(ADAPTABLE).profile(names)
    mark = model.applied.to_dict()
    assert answer.out.splitlines()[2] == (
        f"  profile {mark['hash']} of 8 recordings (8 vectors); skipped: 1 without speech and 1 "
        "unusable"
    )
    results = by_file(here / "out")
    assert "profile" not in results.pop("in/bad.wav")
    for name, row in results.items():
        expected = model.predict(name)
        assert row == {"file": name, **expected.to_dict()}
        assert row["profile"] == mark
    plain = OnnxRecognizer.load(ADAPTABLE).predict("in/a0000.wav")
    assert results["in/a0000.wav"]["scores"] != plain.scores
    summary = json.loads((here / "out/summary.json").read_text())
    seconds = profile_of(here / "out").seconds
    assert summary["profile"] == mark | {
        **{"seconds": seconds, "recordings": 8, "silent": 1, "failed": 1}
    }


def test_a_profile_that_is_given_is_applied_and_kept(here):
    names = office(here)
    OnnxRecognizer.load(ADAPTABLE).profile(names[:6]).save(here / "office.json")
    answer = adaptable("in", "-o", "out", "--profile", "office.json")
    assert (here / "out/profile.json").read_bytes() == (here / "office.json").read_bytes()
    profile = Profile.load(here / "office.json")
    assert f"  profile {profile.hash} (6 vectors)\n" in answer.out
    model = OnnxRecognizer.load(ADAPTABLE).with_profile("office.json")
    for name, row in by_file(here / "out").items():
        if "error" not in row:
            assert row == {"file": name, **model.predict(name).to_dict()}
    summary = json.loads((here / "out/summary.json").read_text())["profile"]
    assert summary == {"hash": profile.hash, "count": 6, "seconds": profile.seconds}


WAYS = [
    ["in", "--part-files", 1],
    ["in", "--part-files", 4, "-j", 3],
    ["list.txt", "--part-files", 5],
    ["in/a0005.wav", "in/a0000.wav", "in", "--part-files", 2],
]


def test_rows_do_not_depend_on_the_order_and_the_parts(here):
    names = clips(here / "in", *some(12))
    random.Random(1).shuffle(names)
    (here / "list.txt").write_text("\n".join(f"in/{Path(name).name}" for name in names))
    results = []
    for number, words in enumerate(WAYS):
        out = here / f"out{number}"
        assert adaptable(*words, "-o", out, "--adapt", "--adapt-sample", 5).code == 0
        assert profile_of(out).count == 5
        results.append((by_file(out), (out / "profile.json").read_bytes()))
    assert results == results[:1] * len(WAYS)


def test_parquet_has_the_same_rows_and_a_column_where_there_is_a_profile(here):
    pytest.importorskip("pyarrow")
    from pyarrow import parquet

    office(here)
    for name, words in {"a": ["--adapt"], "plain": []}.items():
        adaptable("in", "-o", name, "--format", "parquet", *words)
        adaptable("in", "-o", f"{name}-lines", *words)
        table = parquet.read_table(here / name / "parts")
        assert ("profile" in table.column_names) is bool(words)
        assert without_nulls(table.to_pylist()) == without_nulls(rows(here / f"{name}-lines"))


def test_without_a_profile_the_files_are_unchanged(here):
    """Folders of earlier versions resume, and the files keep their format."""
    clips(here / "in", *some(2))
    assert adaptable("in", "-o", "out").code == 0
    card = json.loads((here / "out/batch.json").read_text())
    assert list(card) == ["format", "phonemo", "command", "asked", "planned"]
    assert list(card["asked"])[-2:] == ["threshold", "format"]
    assert "profile" not in json.loads((here / "out/summary.json").read_text())
    assert not any("profile" in row for row in rows(here / "out"))
    assert not (here / "out/profile.json").exists()
    assert adaptable("in", "-o", "out").code == 0


# Resuming -----------------------------------------------------------------------------------------


def test_a_batch_resumes_with_its_profile(here, monkeypatch):
    office(here)
    words = ["in", "-o", "out", "--adapt", "--part-files", 3]
    adaptable(*words)
    before, kept = by_file(here / "out"), (here / "out/profile.json").read_bytes()
    soundfile.write(here / "in/a0001.wav", make_clip(9000, 900.0), RATE)  # it was in the sample
    clips(here / "in", "new.wav")
    (here / "out/parts/part-000001.jsonl").unlink()
    monkeypatch.setattr(adaptation, "vectors_by_processes", None)  # there is no second first pass
    answer = adaptable(*words)
    assert (
        f"  profile {profile_of(here / 'out').hash} of 8 recordings (8 vectors); skipped: 1"
        in answer.out
    )
    assert (here / "out/profile.json").read_bytes() == kept
    after = by_file(here / "out")
    assert after["in/new.wav"]["profile"] == before["in/a0000.wav"]["profile"]
    assert {name: after[name] for name in before} == before


def test_retry_uses_the_same_profile(here):
    office(here)
    words = ["in", "-o", "out", "--adapt"]
    adaptable(*words)
    kept = (here / "out/profile.json").read_bytes()
    soundfile.write(here / "in/bad.wav", make_clip(9000, 900.0), RATE)
    assert adaptable(*words, "--retry").code == 0
    assert (here / "out/profile.json").read_bytes() == kept
    assert by_file(here / "out")["in/bad.wav"]["profile"]["count"] == 8


OTHERWISE = {
    "no profile": ([], "adapt: expected 300, got None"),
    "another sample": (["--adapt", "--adapt-sample", 5], "adapt: expected 300, got 5"),
    "a given one": (["--profile", "out/profile.json"], "profile: expected None, got '"),
}


@pytest.mark.parametrize(("words", "what"), OTHERWISE.values(), ids=OTHERWISE)
def test_another_setting_is_refused(here, words, what):
    clips(here / "in", *some(3))
    adaptable("in", "-o", "out", "--adapt")
    before = (here / "out/batch.json").read_bytes()
    assert_one_line(adaptable("in", "-o", "out", *words), 1, what, "--output")
    assert (here / "out/batch.json").read_bytes() == before


def test_another_profile_is_refused(here):
    names = clips(here / "in", *some(6))
    model = OnnxRecognizer.load(ADAPTABLE)
    model.profile(names).save(here / "a.json")
    model.profile(names[:3]).save(here / "b.json")
    assert adaptable("in", "-o", "out", "--profile", "a.json").code == 0
    answer = adaptable("in", "-o", "out", "--profile", "b.json")
    hashes = [Profile.load(here / name).hash for name in ("a.json", "b.json")]
    assert_one_line(answer, 1, f"profile: expected '{hashes[0]}', got '{hashes[1]}'")
    assert_one_line(adaptable("in", "-o", "out"), 1, f"profile: expected '{hashes[0]}', got None")
    (here / "a.json").rename(here / "moved.json")
    assert adaptable("in", "-o", "out", "--profile", "moved.json").code == 0


LOST = {
    "absent": (lambda path: path.unlink(), "got no file"),
    "text": (lambda path: path.write_text("{"), "got a malformed file"),
    "another": (
        lambda path: path.write_text(path.read_text().replace('"seconds": ', '"seconds": 1')),
        "got profile ",
    ),
}


@pytest.mark.parametrize(("spoil", "what"), LOST.values(), ids=LOST)
def test_a_profile_that_was_lost_or_changed_is_refused(here, spoil, what):
    clips(here / "in", *some(3))
    adaptable("in", "-o", "out", "--adapt")
    expected = profile_of(here / "out").hash
    (here / "out/parts/part-000000.jsonl").unlink()
    spoil(here / "out/profile.json")
    answer = adaptable("in", "-o", "out", "--adapt")
    assert_one_line(answer, 1, what, f"expected profile {expected}, got ", "restore it")
    assert parts(here / "out") == []


def test_a_worker_takes_no_other_profile(tmp_path):
    from phonemo.batch.worker import PartWorker
    from phonemo.errors import RunError

    names = clips(tmp_path / "in", *some(4))
    store = open_store(str(tmp_path / "out"))
    model = OnnxRecognizer.load(ADAPTABLE)
    kept = keep_profile(store, model.profile(names))
    assert read_profile(store, kept.hash) == model.profile(names)
    expected = batch_options(model=str(ADAPTABLE), model_sha256=model_digest(ADAPTABLE))
    PartWorker(WorkerSpec(store.address, expected, kept.hash))
    with pytest.raises(
        RunError, match=f"profile.json: expected profile 0000, got profile {kept.hash}"
    ):
        PartWorker(WorkerSpec(store.address, expected, "0000"))


# What is refused ----------------------------------------------------------------------------------


def test_a_sample_without_speech_leaves_the_folder_usable(here):
    (here / "in").mkdir()
    soundfile.write(here / "in/silent.wav", np.zeros(RATE), RATE)
    clips(here / "in", "bad.wav")
    answer = adaptable("in", "-o", "out", "--adapt")
    assert_one_line(
        answer,
        2,
        "no speech in the sample of 2 recordings: 1 without speech, 1 unusable",
        "--adapt-sample",
    )
    assert not (here / "out/profile.json").exists()
    assert not (here / "out/summary.json").exists()
    assert parts(here / "out") == []
    assert adaptable("in", "-o", "out").code == 1
    assert_once(here / "out", ["in/silent.wav", "in/bad.wav"])


USAGE = {
    "both": (
        ["--adapt", "--profile", "office.json"],
        2,
        ["--profile and --adapt are mutually exclusive"],
    ),
    "a sample alone": (["--adapt-sample", 5], 2, ["--adapt-sample requires --adapt"]),
    "no file": (["--profile", "absent.json"], 2, ["absent.json: no such file"]),
    "no profile": (["--profile", "list.txt"], 2, ["list.txt: expected JSON"]),
    "another model's": (["--profile", "other.json"], 2, ["got one of model 00000000"]),
    "no adaptation": (["--adapt", "--model", BUNDLE], 1, ["this model takes no profile"]),
    "nor a profile": (
        ["--profile", "office.json", "--model", BUNDLE],
        1,
        ["this model takes no profile"],
    ),
}


@pytest.mark.parametrize(("words", "code", "fragments"), USAGE.values(), ids=USAGE)
def test_wrong_usage_is_one_line_and_nothing_is_written(here, words, code, fragments):
    names = clips(here / "in", *some(3))
    (here / "list.txt").write_text("\n".join(names))
    profile = OnnxRecognizer.load(ADAPTABLE).profile(names)
    profile.save(here / "office.json")
    Profile(**(vars(profile) | {"model": "0" * 64})).save(here / "other.json")
    assert_one_line(adaptable("in", "-o", "out", *words), code, *fragments)
    assert not (here / "out").exists()


def test_a_sample_of_none_is_refused(here):
    clips(here / "in", "a.wav")
    assert adaptable("in", "-o", "out", "--adapt", "--adapt-sample", 0).code == 2
    assert not (here / "out").exists()


def test_at_addresses(here):
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    for name in clips(here / "in", *some(6, bad=(3,))):
        memory.put_file(name, f"/office/in/{Path(name).name}")
    words = ["memory://office/in", "-o", "memory://office/out", "--adapt", "--part-files", 2]
    answer = adaptable(*words)
    assert answer.code == 1
    assert "of 5 recordings (5 vectors); skipped: 1 unusable" in answer.out
    again = adaptable(*words)
    assert "6 of 6 were recognized before" in again.err
    model = OnnxRecognizer.load(ADAPTABLE)
    names = [str(here / "in" / name) for name in some(6) if "3" not in name]
    assert Profile.parse(memory.cat_file("/office/out/profile.json")) == model.profile(names)
    memory.store.clear()
