"""Raters' votes as a distribution over the emotions of a label set."""

from __future__ import annotations

from phonemo.corpora.manifest import Utterance
from phonemo.labels import LabelSet


def vote_shares(utterance: Utterance, labels: LabelSet) -> dict[str, float] | None:
    """Return the share of each label among the votes for any of them, after merging.

    Votes for other emotions are left out, and the rest sums to 1. None without a vote for one of
    the labels.
    """
    shares: dict[str, float] = {}
    for name, count in (utterance.votes or {}).items():
        if count and name in labels:
            merged = labels.merged(name)
            shares[merged] = shares.get(merged, 0.0) + count
    total = sum(shares.values())
    return {name: count / total for name, count in shares.items()} if total else None
