"""The table of docs/reliability.md: what is thrown, what must happen, its tests, what was measured.

PHONEMO_FIGURES=work/abuse.jsonl python -m pytest tests/abuse
python -m tests.abuse.table work/abuse.jsonl          # or: make abuse
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

FOLDER = Path(__file__).parent
DOCUMENT = FOLDER.parents[1] / "docs" / "reliability.md"
START, END = "<!-- abuse:start -->", "<!-- abuse:end -->"
_HEAD = ("| # | what is thrown | what happens | tested in | measured |", "|---|---|---|---|---|")
_NAME = re.compile(r"^def (test_case_(\d\d)_\w+)\(", re.MULTILINE)

PROMISES: Mapping[int, tuple[str, str]] = {
    1: ("an upload a byte above the limit, by its Content-Length", "413 before the body is read"),
    2: ("the same in chunks", "413 at the limit; its temporary file is gone"),
    3: ("2 h of silence as a small FLAC", "413 `audio_too_long`, without the memory it would take"),
    4: ("eight channels; a forged sample rate", "refused by the cap on decoded bytes"),
    5: ("a header that says 4 GB over 3 kB", "what is there is used, marked `truncated`; or 422"),
    6: ("no body, no samples, 20 bytes, zeros", "422 `empty_audio` or `unsupported_audio`"),
    7: ("less than a frame (400 samples)", "422 `too_short`"),
    8: ("NaN, infinity, silence, clipping, offset", "422; a warning; never NaN in an answer"),
    9: ("500 files with flipped bits", "200 or 4xx, never 5xx; the server lives"),
    10: ("a decoder that crashes", "that upload fails, its process is replaced, the next is 200"),
    11: ("a decoder that hangs", "504 at the limit; its process is ended"),
    12: ("playlists and session descriptions named .wav", "415; nothing is opened or called"),
    13: ("an address instead of a recording", "400; nothing is fetched"),
    14: ("file names with ../, NUL, 10 kB, marks", "never a path; shown in one printable line"),
    15: ("10,000 fields, huge heads, junk", "400 or 413; others are answered meanwhile"),
    16: ("200 posts at once, a queue of 16", "places are served, the rest told 429 and when"),
    17: ("a byte a second; who never reads", "closed at the time limit"),
    18: ("clients that leave", "work dropped, place free, temporary file gone"),
    19: ("SIGTERM under load", "not ready; what is in flight is answered; exit 0"),
    20: ("foreign origins; HTML in labels and names", "no CORS; 403; shown as text under a policy"),
    21: ("pickles, and configs that name code", "refused; nothing of it runs"),
    22: ("networks that lead outside, headers that lie, wrong hashes", "refused in one line"),
    23: ("kill -9 in training and in saves, twenty times", "the weights of an uninterrupted run"),
    24: ("a full disk", "one line, old files whole, nothing half; goes on with room"),
    25: ("1,000 recordings, 3 % bad, killed twice", "each once, and nothing twice"),
    26: ("a clip alone, in eight, beside a longer one", "the same scores"),
}


def main(figures: str) -> int:
    """Write the table anew with these figures; the exit status."""
    lines = Path(figures).read_text(encoding="utf-8").splitlines()
    text = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    table = "\n".join(rows([json.loads(line) for line in lines]))
    DOCUMENT.write_text(f"{before}{START}\n{table}\n{END}{after}", encoding="utf-8")
    return 0


def rows(figures: Sequence[Mapping[str, object]]) -> list[str]:
    """The table, line by line."""
    told = [_row(case, figures) for case in sorted(PROMISES)]
    return [*_HEAD, *told]


def cases() -> dict[int, list[tuple[str, str]]]:
    """By case, the files and names of its tests."""
    found: dict[int, list[tuple[str, str]]] = {}
    for path in sorted(FOLDER.glob("test_*.py")):
        for name, number in _NAME.findall(path.read_text(encoding="utf-8")):
            found.setdefault(int(number), []).append((path.name, name))
    return found


def _row(case: int, figures: Sequence[Mapping[str, object]]) -> str:
    thrown, promised = PROMISES[case]
    files = Counter(file for file, _ in cases().get(case, ()))
    tested = ", ".join(f"`{file}` ({count})" for file, count in sorted(files.items()))
    measured = "; ".join(_told(one) for one in figures if one["case"] == case)
    return f"| {case} | {thrown} | {promised} | {tested} | {measured} |"


def _told(figure: Mapping[str, object]) -> str:
    value, bar = figure["value"], figure["bar"]
    assert isinstance(value, int | float)
    text = f"{figure['what']} {value:.3g} {figure['unit']}".strip()
    if not isinstance(bar, int | float):
        return text
    verdict = "met" if value <= bar else "MISSED"
    return f"{text} (at most {bar:g}: {verdict})"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
