"""What the property tests draw: hostile names, answers, and finite audio of any kind."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from phonemo.annotations.prediction import PhonemeSpan, Prediction, Segment
from phonemo.audio import WARNINGS

RATE = 16_000

#: The same examples in every run, on every machine, however slow it is.
few = settings(max_examples=15, derandomize=True, deadline=None, database=None)
some = settings(few, max_examples=40)
many = settings(few, max_examples=150)

#: Letters that formats use for themselves, that end lines for some readers, or that are not seen.
HOSTILE = (
    *"aZ09 .,;:|/\\'\"`<>&%#=+-_[]{}()!?\t\n\r",
    *"\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\ufeff",
    *"\u0301\u200b\u200d\u202e\u2066\u05e9\u0627\u8a9e\u00df\u0130\U0001f600\U0001f469",
)
HOSTILE_WORDS = "\"'<>&,;|%-_:é語ʃ\u0301\u202e\U0001f600"
any_letter = st.characters(codec="utf-8", exclude_characters="\0")
no_blank = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"])


def mixed(letters: str, others: st.SearchStrategy[str], least: int = 0) -> st.SearchStrategy[str]:
    """Text of few letters that are hostile, as often as of any others."""
    return st.text(letters, min_size=least, max_size=8) | st.text(
        others, min_size=least, max_size=12
    )


#: Any text that a person or a program may type; it may be empty.
texts = mixed("".join(HOSTILE), any_letter)
#: Names of files: bytes that are no text come as lone surrogates.
file_names = mixed("".join(HOSTILE) + "\udce9", any_letter | st.characters(categories=["Cs"]), 1)
#: Names on one line, as emotions and phonemes have them: nothing at their ends is cut off.
words = mixed(HOSTILE_WORDS, no_blank, 1)
speakers = st.none() | texts | words


@st.composite
def stretches(draw: st.DrawFn, samples: int, apart: bool) -> list[tuple[float, float]]:
    """Starts and ends in seconds, in order and apart; or anywhere, in any order."""
    places = st.integers(0, samples)
    if apart:
        count = draw(st.sampled_from([0, 2, 4, 4, 8]))
        edges = sorted(draw(st.lists(places, min_size=count, max_size=count, unique=True)))
        pairs = list(zip(edges[::2], edges[1::2], strict=False))
    else:
        two = st.tuples(places, places).filter(lambda pair: pair[0] != pair[1])
        least = draw(st.sampled_from([0, 1, 3]))
        drawn = draw(st.lists(two, min_size=least, max_size=5))
        pairs = [(min(pair), max(pair)) for pair in drawn]
    return [(start / RATE, end / RATE) for start, end in pairs]


@st.composite
def scores(draw: st.DrawFn, labels: tuple[str, ...]) -> dict[str, float]:
    """Probabilities that sum to one."""
    shares = draw(st.lists(st.integers(0, 1000), min_size=len(labels), max_size=len(labels)))
    total = sum(shares) or 1
    return {
        name: share / total if sum(shares) else 1 / len(labels)
        for name, share in zip(labels, shares, strict=True)
    }


@st.composite
def predictions(
    draw: st.DrawFn,
    *,
    apart: bool | None = None,
    who: st.SearchStrategy[str | None] = speakers,
    labels: tuple[str, ...] | None = None,
) -> Prediction:
    """An answer for a recording, with segments, phonemes and warnings as a model may give them.

    Args:
        apart: whether no segments overlap; None leaves it open.
        who: the speakers of the segments.
        labels: the emotions; None draws them.
    """
    drawn = st.lists(words, min_size=2, max_size=4, unique=True).map(tuple)
    names = labels or draw(drawn)
    samples = draw(st.integers(400, 20 * RATE))
    times = draw(stretches(samples, draw(st.booleans()) if apart is None else apart))
    segments = tuple(_segment(draw, start, end, names, who) for start, end in times)
    whole = draw(scores(names))
    return Prediction(
        label=max(whole, key=whole.__getitem__),
        scores=whole,
        seconds=samples / RATE,
        spans=draw(spans(samples)) if draw(st.integers(0, 3)) else None,
        warnings=tuple(draw(st.lists(st.sampled_from([*WARNINGS, "unsure"]), unique=True))),
        segments=segments,
        speech_ratio=draw(st.none() | st.floats(0, 1)),
    )


@st.composite
def spans(draw: st.DrawFn, samples: int) -> tuple[PhonemeSpan, ...]:
    """Phonemes in time."""
    shares, shared = st.floats(-1, 1), draw(st.booleans())
    return tuple(
        PhonemeSpan(
            draw(words), start, end, draw(st.floats(0, 1)), draw(shares) if shared else None
        )
        for start, end in draw(stretches(samples, apart=True))
    )


def _segment(
    draw: st.DrawFn,
    start: float,
    end: float,
    names: tuple[str, ...],
    who: st.SearchStrategy[str | None],
) -> Segment:
    found = draw(scores(names))
    return Segment(start, end, max(found, key=found.__getitem__), found, draw(who))


@st.composite
def finite_audio(draw: st.DrawFn, longest: int = 4000) -> np.ndarray:
    """Finite samples, (sample,), of any kind, level and shape that a program may hand over."""
    size = draw(st.integers(0, longest))
    kind = draw(st.sampled_from(["float32", "float64", "int16", "int32", "uint8", "float16"]))
    if kind.startswith("float"):
        top = min(1e30, float(np.finfo(kind).max))
        level = draw(st.sampled_from([0.0, 5e-324, 1e-45, 1e-30, 1e-8, 1e-4, 1.0, 2.0**31, top]))
    else:
        level = float(np.iinfo(kind).max)
    shape = SHAPES[draw(st.sampled_from(sorted(SHAPES)))](size, draw(st.integers(0, 99)))
    with np.errstate(over="ignore"):
        return np.asarray(np.clip(shape * level, -level, level)).astype(kind)


#: Name -> samples between -1 and 1 from a length and a seed.
SHAPES = {
    "all equal": lambda size, seed: np.ones(size),
    "alternating": lambda size, seed: 1.0 - 2.0 * (np.arange(size) % 2),
    "impulse": lambda size, seed: (np.arange(size) == seed).astype(float),
    "noise": lambda size, seed: np.random.default_rng(seed).uniform(-1, 1, size),
    "ramp": lambda size, seed: np.linspace(-1, 1, size),
    "step": lambda size, seed: np.where(np.arange(size) < size // 2, -1.0, 1.0),
    "clipped": lambda size, seed: np.clip(3 * np.sin(np.arange(size) / (seed + 2)), -1, 1),
}
