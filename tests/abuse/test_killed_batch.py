"""Case 25: a batch of 1,000 recordings, 3 % of them bad, killed twice; a killed rank of a training.

Of a training of several processes, tests/train/test_ranks.py kills one: torchrun ends with another
exit status than 0, and the same command goes on to the same weights.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.abuse.figures import figure
from tests.batch.batches import Place, assert_once, clips, parts, rows, some, until
from tests.tiny_bundle import RATE, make_clip

pytestmark = [
    pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="looks into /proc"),
    pytest.mark.extras,  # slow, and the same with and without them
]

FILES, PART_FILES, SEED = 1000, 20, 7


def _header_alone(path: Path) -> None:
    soundfile.write(path, make_clip(2000, 300.0), RATE)
    os.truncate(path, 20)


def _without_sound(path: Path) -> None:
    soundfile.write(path, np.zeros(0, np.float32), RATE)


def _no_number(path: Path) -> None:
    soundfile.write(path, np.full(2000, np.nan, np.float32), RATE, subtype="FLOAT")


#: What is wrong with a recording, and what its row says.
BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "text": (lambda path: path.write_text("these are words\n" * 20), "unsupported_audio"),
    "empty": (lambda path: path.touch(), "empty_audio"),
    "playlist": (
        lambda path: path.write_text("#EXTM3U\nfile:///etc/passwd\n"),
        "unsupported_audio",
    ),
    "header": (_header_alone, "unsupported_audio"),
    "silent": (_without_sound, "empty_audio"),
    "nan": (_no_number, "invalid_audio"),
    "gone": (lambda path: None, "missing_file"),
}
BAD_FILES = 30


def _recordings(folder: Path) -> tuple[list[str], dict[str, str]]:
    """The names of all, in a random order; and of the bad ones the codes of their errors."""
    good = some(FILES - BAD_FILES)
    clips(folder / "in", *good)
    codes = {}
    for number in range(BAD_FILES):
        kind, (spoil, code) = list(BAD.items())[number % len(BAD)]
        name = f"{kind}{number:02d}.wav"
        spoil(folder / "in" / name)
        codes[f"in/{name}"] = code
    names = [*(f"in/{one}" for one in good), *codes]
    random.Random(SEED).shuffle(names)
    (folder / "list.txt").write_text("\n".join(names), encoding="utf-8")
    return names, codes


def _stamps(out: Path) -> dict[str, int]:
    """When each part was written."""
    return {one: (out / "parts" / one).stat().st_mtime_ns for one in parts(out)}


def test_case_25_a_thousand_recordings_are_heard_once_in_spite_of_two_kills(tmp_path):
    names, codes = _recordings(tmp_path)
    draw = random.Random(SEED)
    words = ["list.txt", "-q", "-j", 2, "--part-files", PART_FILES]
    before: dict[str, int] = {}
    began = time.monotonic()
    with closing(Place(tmp_path)) as place:
        for _ in range(2):
            enough = len(before) + draw.randint(1, 15)
            running = place.begin(*words)
            until(lambda enough=enough: len(parts(place.out)) >= enough)
            time.sleep(draw.uniform(0, 0.05))
            running.kill()
            now = _stamps(place.out)
            assert {one: now[one] for one in before} == before, "a part was written again"
            before = now
        assert len(before) < FILES // PART_FILES
        answer = place.run(*words)
    assert answer.code == 1, answer
    assert "Traceback" not in answer.err
    now = _stamps(tmp_path / "out")
    assert {one: now[one] for one in before} == before, "a part was written again"
    assert f"{FILES} recordings ({PART_FILES * len(before)} in earlier runs)" in answer.out
    assert_once(tmp_path / "out", names)
    failed = {row["file"]: row["code"] for row in rows(tmp_path / "out") if "error" in row}
    assert failed == codes
    told = json.loads((tmp_path / "out" / "summary.json").read_text())["errors"]
    assert told == dict(Counter(codes.values()))
    figure(25, "recordings of a batch killed twice", len(names), "recordings")
    figure(25, "missing, doubled or heard again", 0, "recordings", 0.0)
    figure(25, "heard in spite of two kills in", time.monotonic() - began, "s")
