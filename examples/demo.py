"""Hear the emotion of speech with the model that ships with phonemo; no torch, no network.

    python examples/demo.py              four synthetic moods, and real speech where it is there
    python examples/demo.py my.wav ...   your own files

Real speech is EmoDB's, from a folder `shared` beside the clone. The model has learnt from EmoDB's
actors, so these answers show what it does and not how good it is: RESULTS.md says that.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # speak.py lies beside this file

import speak

import phonemo
from phonemo.annotations.prediction import UNSURE
from phonemo.cli.console import table_row
from phonemo.errors import PhonemoError

SPOKEN = Path("work/spoken")
EMODB = Path("../shared/corpora/emodb/wav")
#: EmoDB's file names end in the emotion's letter and the version.
ACTED = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}
CLIPS = 14


def main(files: list[str]) -> int:
    """The exit status; every expected error is one line on standard error."""
    if {"-h", "--help"} & set(files):
        print(__doc__)
        return 0
    try:
        model = phonemo.load()
        return answer_own(model, files) if files else show(model)
    except PhonemoError as error:
        message, status = str(error), error.exit_code
    except OSError as error:
        message, status = f"{error}; check the path, its permissions and the free space", 1
    except KeyboardInterrupt:
        message, status = "stopped", 130
    print(f"demo: {message}", file=sys.stderr)
    return status


def answer_own(model: Any, files: list[str]) -> int:
    """The user's own recordings; 1 if some could not be used."""
    failed = 0
    for name in files:
        try:
            row = {"file": name, **model.predict(name).to_dict()}
        except PhonemoError as error:
            row, failed = {"file": name, "error": str(error)}, 1
        print(table_row(row))
    print("The model learnt from actors; how far to trust it: models/phonemo-small/README.md")
    return failed


def show(model: Any) -> int:
    """Synthetic moods, then real speech if it is there."""
    print("Four moods of a formant synthesiser, which no one acted (examples/speak.py):\n")
    speak.main(SPOKEN, tell=False)
    print_answers(model, ((SPOKEN / f"{mood}.wav", mood) for mood in speak.MOODS))
    if EMODB.is_dir():
        print("\nEmoDB, German, acted; the model has heard these actors, so this is no test:\n")
        print_answers(model, real_speech())
    print("\nHow good it is on speakers it never heard: RESULTS.md. How it was made, and what it")
    print("is not for: models/phonemo-small/README.md. Your own file: make demo FILE=my.wav")
    return 0


def real_speech() -> Iterator[tuple[Path, str]]:
    """Some clips of EmoDB, spread over speakers and emotions, with what was acted."""
    paths = sorted(path for path in EMODB.iterdir() if path.stem[5:6] in ACTED)
    for path in paths[:: max(1, len(paths) // CLIPS)][:CLIPS]:
        yield path, ACTED[path.stem[5]]


def print_answers(model: Any, clips: Iterator[tuple[Path, str]]) -> None:
    """One line a clip: what was acted, what is recognised, how sure, and the phonemes."""
    print("x: another emotion than was acted; ?: the model marks its prediction as unsure")
    print(f"{'file':<16}{'acted':<11}{'found':<11}{'score':>6}   phonemes")
    for path, acted in clips:
        found = model.predict(path)
        mark = " " if found.label == acted else "x"
        if UNSURE in found.warnings:
            mark = "?"
        heard = " ".join(found.phonemes or ())
        score = found.scores[found.label]
        print(f"{path.name:<16}{acted:<11}{found.label:<11}{score:>6.1%} {mark} {heard[:60]}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
