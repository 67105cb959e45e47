"""Classifiers by sentence against those of random parts: where they help, and where not."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from tests.benchmarks import REPOSITORY

pytest.importorskip("torch")

from phonemo.corpora.manifest import Header, Manifest
from phonemo.errors import UsageError
from phonemo.train.transfer.corpora import Corpus, Rows
from tests.corpora.tiny_manifests import parallel

assert REPOSITORY
import known_sentence as benchmark  # noqa: E402


def rows_of(sign: float) -> tuple[Rows, np.ndarray]:
    """Six speakers, two emotions, two sentences; the emotion's sign in the second is ``sign``."""
    draw = np.random.default_rng(0)
    truth, sentences, speakers = (part.ravel() for part in np.indices((2, 2, 48)))
    vectors = draw.normal(size=(192, 3))
    vectors[:, 0] += (2 * truth - 1) * np.where(sentences, sign, 1) * 2
    names = np.char.add("s", (speakers % 6).astype(str))
    rows = Rows(vectors.astype(np.float32), truth, np.full(192, "c"), names, names)
    return rows, np.where(sentences, "b", "a")


def printed(capsys, sign: float) -> tuple[float, ...]:
    rows, sentences = rows_of(sign)
    benchmark._report(rows, sentences, 2, draws=3)
    return tuple(float(number) for number in re.findall(r"[-+]?\d+\.\d", capsys.readouterr().out))


def test_a_sentence_that_inverts_the_emotion_must_be_known(capsys):
    one, known, gain, low, high = printed(capsys, sign=-1.0)
    assert one < 65
    assert known > 90
    assert 25 < low < gain < high < 60


def test_sentences_that_are_alike_need_not_be_known(capsys):
    one, known, gain, low, high = printed(capsys, sign=1.0)
    assert one > 90
    assert known > 90
    assert low <= gain <= high
    assert abs(gain) < 4


def test_random_parts_have_the_size_of_the_sentences_by_speaker_and_emotion():
    rows, sentences = rows_of(1.0)
    sentences[:30] = "a"  # unequal
    parts = benchmark.exchanged(rows, sentences, np.random.default_rng(1))
    assert (parts != sentences).any()
    cells = [
        Counter(zip(rows.speaker, rows.truth, said, strict=True)) for said in (sentences, parts)
    ]
    assert cells[0] == cells[1]


@pytest.mark.parametrize("texts", [("red",), (None, None)])
def test_a_corpus_without_two_sentences_is_refused(texts):
    rows = parallel("ab", texts)
    header = Header(corpus="c", root=".", phonemo="0.1.0")
    corpus = Corpus(Manifest(header=header, utterances=tuple(rows)))
    with pytest.raises(UsageError, match="c: expected transcripts of two sentences or more, got 1"):
        benchmark.sentences_of(corpus, np.arange(len(rows)))
