"""Compare transcripts: identical sentences and near-duplicates.

Texts are compared in normal form: lower case, Unicode NFC, no punctuation, words separated by one
space. In scripts without spaces (Chinese, Japanese) every character is a word.
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
    """Return the normal form; "" for a transcript without words.

    Letters, marks and digits are kept; apostrophes are removed ("don't" -> "dont"), and any other
    character separates words ("well-known" -> "well known").
    """
    text = unicodedata.normalize("NFC", transcript.casefold()).translate(_APOSTROPHES)
    spaced = "".join(char if unicodedata.category(char)[0] in "LMN" else " " for char in text)
    return " ".join(_UNSPACED.sub(r" \1 ", spaced).split())


def near_duplicates(
    sentences: Iterable[str], threshold: float, least_words: int = 1
) -> dict[str, frozenset[str]]:
    """Find sentences whose sets of words have a Jaccard index of at least ``threshold``.

    Args:
        sentences: normal forms; repeated ones count once.
        threshold: in (0, 1].
        least_words: shorter sentences are not compared.

    Returns:
        Every compared sentence -> its near-duplicates, excluding itself.

    Only sentences that share one of their rarest words are compared (prefix filtering: Bayardo, Ma
    and Srikant, WWW 2007), which is exact and avoids pairs that only share words such as "the".
    """
    bags = {text: frozenset(text.split()) for text in sentences if len(text.split()) >= least_words}
    bags.pop("", None)
    counts = Counter(word for bag in bags.values() for word in bag)
    index: defaultdict[str, list[str]] = defaultdict(list)
    similar: dict[str, set[str]] = {text: set() for text in bags}
    for current in sorted(bags, key=lambda text: (len(bags[text]), text)):
        rare = _rarest_words(bags[current], counts, threshold)
        for other in {other for word in rare for other in index[word]}:
            if _is_near(bags[current], bags[other], threshold):
                similar[current].add(other)
                similar[other].add(current)
        for word in rare:
            index[word].append(current)
    return {text: frozenset(others) for text, others in similar.items()}


def _rarest_words(bag: frozenset[str], counts: Mapping[str, int], threshold: float) -> list[str]:
    """The rarest words, enough that a near-duplicate must share at least one of them."""
    size = len(bag) - math.ceil(threshold * len(bag) - _TOLERANCE) + 1
    return sorted(bag, key=lambda word: (counts[word], word))[:size]


def _is_near(first: frozenset[str], second: frozenset[str], threshold: float) -> bool:
    smaller, larger = sorted((len(first), len(second)))
    if smaller < threshold * larger - _TOLERANCE:
        return False
    common = len(first & second)
    return common >= threshold * (len(first) + len(second) - common) - _TOLERANCE
