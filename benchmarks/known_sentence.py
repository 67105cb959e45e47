"""Does knowing the sentence help to recognize the emotion?

    python benchmarks/known_sentence.py work/emodb.jsonl work/ravdess.jsonl

A phoneme head may learn a corpus' few sentences, and the emotion head may then compare recordings
of one sentence. Here the sentence is given: it has a classifier of its own. Such a classifier has
fewer recordings to learn from, so it is compared with those of random parts of the same size, for
which the sentences are exchanged within each speaker and emotion. (To take off a sentence's mean
would show nothing: a discriminant removes what differs within an emotion by itself.)

Features are the means of hidden states two and three of phonemo-small's backbone over speech
frames, the classifier is a discriminant (ridge 0.3), and one speaker is left out at a time. The
interval of the difference is over speakers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from phonemo.corpora.manifest import read_manifest
from phonemo.errors import PhonemoError, UsageError
from phonemo.labels import LabelSet
from phonemo.runtime.adaptation.statistics import logits_of
from phonemo.train.transfer.corpora import Corpus, Indices, Names, Rows, read_corpus
from phonemo.train.transfer.linear_heads import HeadOptions, fit_head
from phonemo.train.transfer.testing import counted, resampled_interval, uas
from phonemo.train.transfer.vectors import FrozenNetwork, open_network, vectors_of

BACKBONE = "models/phonemo-small-backbone"
STATES = ("2-speech-mean", "3-speech-mean")
HEAD = HeadOptions(
    fit="discriminant",
    standardise="source-speaker",
    balance="size",
    inverse_penalty=0.001,
    ridge=0.3,
    mask=False,
    k_mean=1.0,
    k_spread=20.0,
    em_iterations=0,
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = _parse(arguments)
    network = open_network(BACKBONE)
    for path in options.manifests:
        emotions = sorted({row.emotion for row in read_manifest(path).utterances if row.emotion})
        labels = LabelSet(tuple(emotions), {})
        corpus = read_corpus(path, labels)
        rows, sentences = _read(corpus, labels, network, options.work)
        print(f"{corpus.name}: {len(rows)} utterances of {len(set(sentences))} sentences")
        _report(rows, sentences, len(emotions), options.draws)


def predict(rows: Rows, parts: Names, classes: int) -> Indices:
    """Class indices (utterance,), each speaker left out in turn, with a classifier for each part.

    Args:
        rows: all utterances.
        parts: the name of each utterance's part, (utterance,).
        classes: number of emotions.
    """
    answers = np.zeros(len(rows), np.int64)
    for part in np.unique(parts):
        inside = parts == part
        for speaker in np.unique(rows.speaker[inside]):
            tested = inside & (rows.speaker == speaker)
            head = fit_head(rows.where(inside & ~tested), classes, HEAD)
            answers[tested] = logits_of(head, rows.vectors[tested], None).argmax(axis=1)
    return answers


def exchanged(rows: Rows, sentences: Names, draw: np.random.Generator) -> Names:
    """The sentences, permuted within each speaker and emotion: parts of the same size."""
    parts = sentences.copy()
    for speaker in np.unique(rows.speaker):
        for emotion in np.unique(rows.truth):
            group = np.flatnonzero((rows.speaker == speaker) & (rows.truth == emotion))
            parts[group] = sentences[draw.permutation(group)]
    return parts


def _report(rows: Rows, sentences: Names, classes: int, draws: int) -> None:
    """Print UA with one classifier, one a sentence and one a random part."""

    def table(parts: Names) -> Any:
        return counted(rows.truth, predict(rows, parts, classes), rows.speaker, classes)

    one, known = table(np.full(len(rows), "all")), table(sentences)
    random = [table(exchanged(rows, sentences, np.random.default_rng(k))) for k in range(draws)]

    def difference(_: int, speakers: Indices) -> float:
        return _ua(known, speakers) - float(np.mean([_ua(part, speakers) for part in random]))

    everyone = np.arange(len(known))
    gain = difference(0, everyone)
    low, high = resampled_interval([len(known)], difference)
    margin = "" if low is None or high is None else f" ({low:+.1f} to {high:+.1f})"
    print(
        f"  UA {_ua(one, everyone):.1f} with one classifier, {_ua(known, everyone):.1f} with one "
        f"for each sentence: {gain:+.1f}{margin} against random parts of the same size"
    )


def _ua(table: Any, speakers: Indices) -> float:
    return 100 * float(uas(table[speakers].sum(axis=0)))


def sentences_of(corpus: Corpus, chosen: Indices) -> Names:
    """The transcripts of the chosen utterances, (utterance,).

    Raises:
        UsageError: an utterance without one, or one sentence only.
    """
    said = [corpus.utterances[index].transcript for index in chosen]
    if None in said or len(set(said)) < 2:
        raise UsageError(
            f"{corpus.name}: expected transcripts of two sentences or more, got {len(set(said))}; "
            "prepare the corpus again"
        )
    return np.array(said)


def _read(
    corpus: Corpus, labels: LabelSet, network: FrozenNetwork, work: Path
) -> tuple[Rows, Names]:
    found = vectors_of(work, network, corpus, STATES, lambda done, total: None)
    chosen, speakers = corpus.chosen(labels), corpus.speakers(labels)
    vectors = np.concatenate([found[name] for name in STATES], axis=1)[chosen]
    name = np.full(len(chosen), corpus.name)
    sentences = sentences_of(corpus, chosen)
    return Rows(vectors, corpus.truth(labels), name, speakers, speakers), sentences


def _parse(arguments: Sequence[str] | None) -> Any:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("manifests", type=Path, nargs="+")
    parser.add_argument("--work", type=Path, default=Path("work/vectors"), help="cache of vectors")
    parser.add_argument("--draws", type=int, default=3, help="random parts to average over")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        main()
    except PhonemoError as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")
