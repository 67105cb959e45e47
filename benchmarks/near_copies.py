"""How many changed recordings the fingerprint finds, and how many strangers it takes for copies.

    python benchmarks/near_copies.py FOLDER...    default: the corpora in ../shared/corpora

Every EACH-th recording of a folder is changed in each way and matched against the whole folder, in
which speakers repeat the same sentences: it must match its original and nothing else. A pair of
unchanged recordings that match each other is printed, to be judged by its names.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from phonemo.audio import RATE, load_waveform
from phonemo.corpora.copies.fingerprint import Words, fingerprint
from phonemo.corpora.copies.matching import match_fingerprints

Samples = NDArray[np.float32]

CORPORA = tuple(Path("../shared/corpora") / name for name in ("emodb", "ravdess", "nemo"))
SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
EACH = 20
#: Keyword arguments for 64 kbit/s.
MP3 = {"bitrate_mode": "CONSTANT", "compression_level": 0.8}


def coded(form: str, subtype: str, **options: object) -> Callable[[Samples], Samples]:
    """Encode and decode."""

    def change(samples: Samples) -> Samples:
        file = io.BytesIO()
        soundfile.write(file, samples, RATE, format=form, subtype=subtype, **options)
        return load_waveform(file.getvalue()).samples

    return change


def noisy(decibels: float) -> Callable[[Samples], Samples]:
    """Add white noise at a ratio of signal to noise."""
    draw = np.random.default_rng(0)
    return lambda samples: (
        samples
        + draw.normal(0, np.sqrt(np.mean(samples**2)) * 10 ** (-decibels / 20), len(samples))
    ).astype(np.float32)


def quiet(samples: Samples) -> Samples:
    """Lower the level by 20 dB, and round to 16 bits."""
    return (np.round(samples * 3276.8) / 32768).astype(np.float32)


def resampled(samples: Samples) -> Samples:
    """Resample to 8 kHz and back."""
    return soxr.resample(soxr.resample(samples, RATE, 8000), 8000, RATE).astype(np.float32)


CHANGES: dict[str, Callable[[Samples], Samples]] = {
    "mp3, 64 kbit/s": coded("MP3", "MPEG_LAYER_III", **MP3),
    "opus": coded("OGG", "OPUS"),
    "vorbis, low": coded("OGG", "VORBIS", compression_level=0.9),
    "gain -20 dB": quiet,
    "resampled 8 kHz": resampled,
    "0.1 s cut off": lambda samples: samples[RATE // 10 :],
    "noise 30 dB": noisy(30),
    "noise 20 dB": noisy(20),
    "polarity": lambda samples: -samples,
}


def main(folders: Sequence[Path]) -> int:
    """Print a table per folder; return the exit status."""
    for folder in folders:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
        if not files:
            print(f"{folder}: no recordings; name folders with audio")
            continue
        measure(folder, files)
    return 0


def measure(folder: Path, files: Sequence[Path]) -> None:
    """Match the unchanged recordings with each other, and the changed ones with them."""
    began = time.perf_counter()
    prints = [fingerprint(load_waveform(path).samples) for path in files]
    decoded = time.perf_counter()
    pairs = match_fingerprints(prints)
    matched = time.perf_counter()
    scale = 1000 / len(files)
    print(
        f"{folder.name}: {len(files)} recordings, {len(pairs)} pairs of near-copies; per 1,000: "
        f"decoding and fingerprints {(decoded - began) * scale:.1f} s, matching "
        f"{(matched - decoded) * scale:.2f} s"
    )
    for pair in pairs:
        names = f"{files[pair.first].name} = {files[pair.second].name}"
        print(f"  {names} ({100 * pair.bit_errors:.1f} % of bits differ)")
    known = {(pair.first, pair.second) for pair in pairs}
    for name, change in CHANGES.items():
        print_change(name, change, files, prints, known)


def print_change(
    name: str,
    change: Callable[[Samples], Samples],
    files: Sequence[Path],
    prints: Sequence[Words],
    known: set[tuple[int, int]],
) -> None:
    """Print the share of originals found, their bit errors, and the number of wrong matches."""
    chosen = range(0, len(files), EACH)
    changed = [
        fingerprint(np.ascontiguousarray(change(load_waveform(files[number]).samples)))
        for number in chosen
    ]
    errors, wrong = [], 0
    twins = {frozenset(pair) for pair in known}
    for pair in match_fingerprints([*prints, *changed]):
        if pair.second < len(files):
            continue
        original = chosen[pair.second - len(files)]
        if pair.first == original:
            errors.append(pair.bit_errors)
        elif pair.first < len(files):
            wrong += frozenset((pair.first, original)) not in twins
    found = len(errors) / len(chosen)
    mean, most = (np.mean(errors), max(errors)) if errors else (np.nan, np.nan)
    print(
        f"  {name:<16} found {found:6.1%} of {len(chosen)}; bit errors {mean:.3f}, at most "
        f"{most:.3f}; wrong {wrong}"
    )


if __name__ == "__main__":
    sys.exit(main([Path(name) for name in sys.argv[1:]] or CORPORA))
