"""Does knowing the sentence help to recognize the emotion?

    python benchmarks/known_sentence.py work/emodb.jsonl work/ravdess.jsonl work/nemo.jsonl

A phoneme head may learn a corpus' few sentences, and the emotion head may then compare recordings
of one sentence. Here the sentence is given: its mean, over the training speakers and with equal
weight for each emotion, is taken off its recordings. Features are the means of hidden states two
and three of phonemo-small's backbone over speech frames, the classifier is a discriminant (ridge
0.3), and one speaker is left out at a time. The interval of the difference is over speakers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from phonemo.corpora.manifest import read_manifest
from phonemo.errors import PhonemoError
from phonemo.labels import LabelSet
from phonemo.runtime.adaptation.statistics import logits_of
from phonemo.train.transfer.corpora import Corpus, Rows, read_corpus
from phonemo.train.transfer.linear_heads import HeadOptions, fit_head
from phonemo.train.transfer.testing import counted, resampled_interval, uas
from phonemo.train.transfer.vectors import open_network, vectors_of

Floats = npt.NDArray[np.float32]
Names = npt.NDArray[np.str_]
BACKBONE = "models/phonemo-small-backbone"
STATES = ("2-speech-mean", "3-speech-mean")
HEAD = HeadOptions("discriminant", "source-speaker", "size", 0.001, 0.3, False, 1.0, 20.0, 0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = _parse(arguments)
    for path in options.manifests:
        emotions = sorted({row.emotion for row in read_manifest(path).utterances if row.emotion})
        labels = LabelSet(tuple(emotions), {})
        corpus = read_corpus(path, labels)
        rows, sentences = _read(corpus, labels, options.work)
        print(f"{corpus.name}: {len(rows)} utterances of {len(set(sentences))} sentences")
        _report(rows, sentences, len(emotions))


def without_sentence(rows: Rows, sentences: Names, trained: npt.NDArray[np.bool_]) -> Floats:
    """Vectors without their sentence's mean over the training part, emotions weighing the same.

    Args:
        rows: all utterances.
        sentences: what was said, (utterance,).
        trained: the training part, (utterance,).

    Returns:
        (utterance, feature); a sentence that is not in the training part keeps its vectors.
    """
    vectors = rows.vectors.copy()
    whole = rows.vectors[trained].mean(axis=0)
    for sentence in np.unique(sentences[trained]):
        said = sentences == sentence
        groups = [said & trained & (rows.truth == emotion) for emotion in np.unique(rows.truth)]
        means = [rows.vectors[group].mean(axis=0) for group in groups if group.any()]
        vectors[said] -= np.mean(means, axis=0) - whole
    return vectors


def predict(rows: Rows, classes: int, sentences: Names | None = None) -> npt.NDArray[np.int64]:
    """Class indices (utterance,), each speaker left out in turn; ``sentences`` are known."""
    answers = np.zeros(len(rows), np.int64)
    for speaker in np.unique(rows.speaker):
        trained = rows.speaker != speaker
        vectors = rows.vectors
        if sentences is not None:
            vectors = without_sentence(rows, sentences, trained)
        head = fit_head(_with_vectors(rows, vectors).where(trained), classes, HEAD)
        answers[~trained] = logits_of(head, vectors[~trained], None).argmax(axis=1)
    return answers


def _report(rows: Rows, sentences: Names, classes: int) -> None:
    tables = [
        counted(rows.truth, answers, rows.speaker, classes)
        for answers in (predict(rows, classes), predict(rows, classes, sentences))
    ]
    plain, known = (100 * float(uas(table.sum(axis=0))) for table in tables)

    def difference(_: int, speakers: npt.NDArray[np.int64]) -> float:
        before, after = (float(uas(table[speakers].sum(axis=0))) for table in tables)
        return 100 * (after - before)

    low, high = resampled_interval([len(tables[0])], difference)
    margin = "" if low is None or high is None else f" ({low:+.1f} to {high:+.1f})"
    print(f"  UA {plain:.1f}, with known sentences {known:.1f}: {known - plain:+.1f}{margin}")


def _read(corpus: Corpus, labels: LabelSet, work: Path) -> tuple[Rows, Names]:
    network = open_network(BACKBONE)
    found = vectors_of(work, network, corpus, STATES, lambda done, total: None)
    chosen, speakers = corpus.chosen(labels), corpus.speakers(labels)
    vectors = np.concatenate([found[name] for name in STATES], axis=1)[chosen]
    name = np.full(len(chosen), corpus.name)
    sentences = np.array([corpus.utterances[index].transcript or "" for index in chosen])
    return Rows(vectors, corpus.truth(labels), name, speakers, speakers), sentences


def _with_vectors(rows: Rows, vectors: Floats) -> Rows:
    return Rows(vectors, rows.truth, rows.corpus, rows.source, rows.speaker)


def _parse(arguments: Sequence[str] | None) -> Any:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("manifests", type=Path, nargs="+")
    parser.add_argument("--work", type=Path, default=Path("work/vectors"), help="cache of vectors")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        main()
    except PhonemoError as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")
