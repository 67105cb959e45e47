"""Who speaks when: written by phonemo or by other programs, it is read as it was meant."""

from __future__ import annotations

import csv
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from phonemo.annotations.tiers import tiers_of
from phonemo.annotations.turns import Turn, read_turns
from phonemo.annotations.writers import rttm, textgrid
from phonemo.runtime.onnx_recognizer import OnnxRecognizer
from tests.properties.strategies import RATE, few, predictions, some, stretches, texts
from tests.tiny_bundle import BUNDLE, make_clip

#: A speaker as a file may hold him: what is at the ends of a name, and breaks in it, is lost.
named = texts.map(lambda text: " ".join(text.split())).filter(lambda name: name not in ("", "<NA>"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("turns")


@pytest.fixture(scope="module")
def recognizer():
    return OnnxRecognizer.load(BUNDLE, threads=1)


def close(turns, wanted, within):
    """Whether they are the same turns, up to rounding."""
    assert [one.speaker for one in turns] == [one.speaker for one in wanted]
    times = [time for one in turns for time in (one.start, one.end)]
    assert times == pytest.approx([x for one in wanted for x in (one.start, one.end)], abs=within)


@some
@given(predictions(apart=True, who=named))
def test_the_turns_of_a_textgrid_of_phonemo_are_the_segments(folder, found):
    assume(found.segments)
    path = folder / "a.TextGrid"
    path.write_bytes(textgrid("a.wav", found).encode())
    wanted = [Turn(one.start, one.end, one.speaker) for one in found.segments]
    close(read_turns(path, "a.wav"), wanted, 5.1e-7)


@some
@given(predictions(apart=False, who=named))
def test_turns_that_overlap_come_back_by_their_speaker(folder, found):
    """Each speaker has a tier; what two segments of one speaker share belongs to the earlier."""
    assume(found.segments)
    path = folder / "b.TextGrid"
    path.write_bytes(textgrid("a.wav", found).encode())
    read = read_turns(path, "a.wav")
    if "speaker" in tiers_of(found):
        assert {one.speaker for one in read} == {one.speaker for one in found.segments}
        return
    for name in {one.speaker for one in found.segments}:
        wanted = np.zeros(20 * RATE, dtype=bool)
        told = np.zeros(20 * RATE, dtype=bool)
        for one in found.segments:
            if one.speaker == name:
                wanted[round(one.start * RATE) : round(one.end * RATE)] = True
        for one in read:
            if one.speaker == name:
                told[round(one.start * RATE) : round(one.end * RATE)] = True
        np.testing.assert_array_equal(told, wanted)


@some
@given(predictions(who=named))
def test_the_turns_of_an_rttm_of_phonemo_are_its_segments(folder, found):
    assume(found.segments)
    assume(all(one.end - one.start >= 1e-3 for one in found.segments))
    path = folder / "a.rttm"
    path.write_bytes(rttm("a b.wav", found).encode())
    wanted = sorted(
        (one.start, one.end, "_".join(f"{one.speaker}_{one.label}".split()))
        for one in found.segments
    )
    read = sorted((one.start, one.end, one.speaker) for one in read_turns(path, "a b.wav"))
    assert sorted(one[2] for one in read) == sorted(one[2] for one in wanted)
    starts = sorted(one[0] for one in wanted)
    assert sorted(one[0] for one in read) == pytest.approx(starts, abs=5.1e-4)


@some
@given(
    times=stretches(20 * RATE, apart=True), data=st.data(), suffix=st.sampled_from(["csv", "tsv"])
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_table_of_turns_reads_back(folder, encoding, times, data, suffix):
    assume(times)
    turns = tuple(Turn(start, end, data.draw(st.none() | named)) for start, end in times)
    path = folder / f"a.{suffix}"
    with path.open("w", encoding=encoding, newline="") as stream:
        rows = csv.writer(stream, delimiter="," if suffix == "csv" else "\t")
        rows.writerow(["speaker", "end", "start"])
        rows.writerows([one.speaker or "", one.end, one.start] for one in turns)
    assert read_turns(path, "any.wav") == turns


#: Boundaries that touch where a hand has put them: between two samples.
edges = st.lists(st.floats(0, 2), min_size=2, max_size=5, unique=True).map(sorted)


@few
@example([0.0, 1.00004, 2.0])
@example([0.00001, 1.0, 2.0])
@given(edges)
def test_turns_that_touch_do_not_overlap_and_end_in_the_recording(recognizer, times):
    """Whatever is no multiple of a sample: hand-made boundaries never are."""
    assume(all(after - one > 0.03 for one, after in pairwise(times)))
    turns = [Turn(start, end, str(n)) for n, (start, end) in enumerate(pairwise(times))]
    found = recognizer.predict(make_clip(2 * RATE, 300.0), RATE, turns=turns)
    for one, after in pairwise(found.segments):
        assert one.end <= after.start + 1e-9
    for one in (*found.segments, *found.spans):
        assert 0 <= one.start < one.end <= found.seconds + 1e-9
    for one, after in pairwise(found.spans):
        assert one.end <= after.start + 1e-9
    assert [one.speaker for one in found.segments] == [one.speaker for one in turns]
    assert list(tiers_of(found))[:2] == ["emotion", "speaker"]
