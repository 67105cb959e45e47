"""When two transcripts count as the same sentence, and when as nearly the same.

Texts are compared in one normal form: lower case, unicode NFC, no punctuation, words apart by one
space. A character of a script that is written without spaces (Chinese, Japanese) is a word.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

#: Guards ceil() and >= against 0.7 * 10 being 7.000000000000001.
_TOLERANCE = 1e-9
_APOSTROPHES = dict.fromkeys(map(ord, "'\u2018\u2019\u02bc"))
_UNSPACED = re.compile("([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff])")


def sentence(transcript: str) -> str:
    """The normal form; "" for a transcript without words.

    Letters, marks and digits stay; an apostrophe vanishes ("don't" -> "dont") and any other
    character parts words ("well-known" -> "well known").
    """
    text = unicodedata.normalize("NFC", transcript.casefold()).translate(_APOSTROPHES)
    kept = "".join(char if unicodedata.category(char)[0] in "LMN" else " " for char in text)
    return " ".join(_UNSPACED.sub(r" \1 ", kept).split())


def near_duplicates(
    sentences: Iterable[str], threshold: float, least_words: int = 1
) -> dict[str, frozenset[str]]:
    """Other sentences whose set of words has a Jaccard index of at least ``threshold``.

    Args:
        sentences: normal forms; repeated ones count once.
        threshold: in (0, 1].
        least_words: shorter sentences are not compared.

    Returns:
        Every sentence that was compared, with its near-duplicates, itself left out.

    Only sentences that share one of their rarest words are compared (prefix filtering: Bayardo,
    Ma and Srikant, WWW 2007), which is exact and spares the pairs that share "the" alone.
    """
    bags = {one: frozenset(one.split()) for one in sentences if len(one.split()) >= least_words}
    bags.pop("", None)
    counts = Counter(word for bag in bags.values() for word in bag)
    index: defaultdict[str, list[str]] = defaultdict(list)
    found: dict[str, set[str]] = {one: set() for one in bags}
    for one in sorted(bags, key=lambda text: (len(bags[text]), text)):
        rare = _rarest(bags[one], counts, threshold)
        for other in {other for word in rare for other in index[word]}:
            if _near(bags[one], bags[other], threshold):
                found[one].add(other)
                found[other].add(one)
        for word in rare:
            index[word].append(one)
    return {one: frozenset(others) for one, others in found.items()}


def _rarest(bag: frozenset[str], counts: Mapping[str, int], threshold: float) -> list[str]:
    """So many of the rarest words that a near-duplicate must share at least one of them."""
    size = len(bag) - math.ceil(threshold * len(bag) - _TOLERANCE) + 1
    return sorted(bag, key=lambda word: (counts[word], word))[:size]


def _near(one: frozenset[str], other: frozenset[str], threshold: float) -> bool:
    fewer, more = sorted((len(one), len(other)))
    if fewer < threshold * more - _TOLERANCE:
        return False
    common = len(one & other)
    return common >= threshold * (len(one) + len(other) - common) - _TOLERANCE
