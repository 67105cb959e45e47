"""EmoBox' published scores, to be shown beside ours.

Source: Ma et al., EmoBox: Multilingual Multi-corpus Speech Emotion Recognition Toolkit and
Benchmark (Interspeech 2024, arXiv 2406.07162), Table 4: frozen backbones, a small head, EmoBox
own folds, unweighted accuracy in per cent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Published:
    """A row of the table."""

    backbone: str
    millions: int
    """Parameters."""
    ua: Mapping[str, float]
    """Corpus -> unweighted accuracy in per cent."""


TABLE_4: tuple[Published, ...] = (
    Published("wav2vec 2.0 base", 95, {"emodb": 82.06, "ravdess": 54.33, "iemocap": 58.27}),
    Published("HuBERT base", 95, {"emodb": 87.73, "ravdess": 65.43, "iemocap": 63.87}),
    Published("WavLM base", 95, {"emodb": 87.03, "ravdess": 61.56, "iemocap": 62.92}),
    Published("HuBERT large", 316, {"emodb": 89.81, "ravdess": 70.00, "iemocap": 67.42}),
    Published("WavLM large", 316, {"emodb": 92.58, "ravdess": 72.00, "iemocap": 69.47}),
    Published("Whisper large v3", 635, {"emodb": 91.26, "ravdess": 75.32, "iemocap": 73.54}),
)
#: Corpora of which the table's scores are here, and the protocol that EmoBox' folds are.
PROTOCOLS = {"emodb": "published-leaky", "ravdess": "published", "iemocap": "published"}


def table_lines(
    corpus: str, ours: str, millions: float, metrics: Mapping[str, Any]
) -> Iterator[str]:
    """The table of a corpus, the best first, with our row in its place.

    Args:
        corpus: a key of PROTOCOLS.
        ours: what our system is called.
        millions: its parameters.
        metrics: the metrics.json of its run.
    """
    score = metrics["results"]["ua"]
    rows = [(one.ua[corpus], one.backbone, f"{one.millions} M", "") for one in TABLE_4]
    interval = (
        "" if score["low"] is None else f"({100 * score['low']:.1f} to {100 * score['high']:.1f})"
    )
    rows.append((100 * score["mean"], f"> {ours}", f"{millions:.0f} M", interval))
    width = max(len(name) for _, name, _, _ in rows)
    yield f"{corpus}, EmoBox' folds, UA %" + (
        " (LEAKY: they share speakers)" if metrics["leaky"] else ""
    )
    for ua, name, size, note in sorted(rows, reverse=True):
        yield f"  {name:<{width}}  {size:>6}  {ua:6.2f}  {note}".rstrip()
