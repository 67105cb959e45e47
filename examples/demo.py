"""Recognize the emotion of speech with the model included in phonemo; no torch, no network.

    python examples/demo.py              four synthetic moods, and real speech if available
    python examples/demo.py my.wav ...   your own files

Real speech is EmoDB's, from a folder `shared` next to the clone. The model was trained on EmoDB's
actors, so these predictions only show that it runs; RESULTS.md has its scores.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # for speak.py in this folder

import speak

import phonemo
from phonemo.annotations.prediction import UNSURE
from phonemo.cli.prediction_text import table_row
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
    """Run the demo; every expected error is one line on standard error."""
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
    """Predict the user's recordings; return 1 if one failed."""
    failed = 0
    for name in files:
        try:
            row = {"file": name, **model.predict(name).to_dict()}
        except PhonemoError as error:
            row, failed = {"file": name, "error": str(error)}, 1
        print(table_row(row))
    print("The model was trained on actors; for its limits see models/phonemo-small/README.md")
    return failed


def show(model: Any) -> int:
    """Predict synthetic moods, then real speech if available."""
    print("Four moods from a formant synthesizer, not acted (examples/speak.py):\n")
    speak.main(SPOKEN, tell=False)
    print_answers(model, ((SPOKEN / f"{mood}.wav", mood) for mood in speak.MOODS))
    if EMODB.is_dir():
        print(
            "\nEmoDB, German, acted; the model was trained on its actors, so this is not a test:\n"
        )
        print_answers(model, real_speech())
    print("\nScores on unseen speakers: RESULTS.md. Training and intended use:")
    print("models/phonemo-small/README.md. Your own file: make demo FILE=my.wav")
    return 0


def real_speech() -> Iterator[tuple[Path, str]]:
    """Yield some clips of EmoDB, spread over speakers and emotions, with the acted emotion."""
    paths = sorted(path for path in EMODB.iterdir() if path.stem[5:6] in ACTED)
    for path in paths[:: max(1, len(paths) // CLIPS)][:CLIPS]:
        yield path, ACTED[path.stem[5]]


def print_answers(model: Any, clips: Iterator[tuple[Path, str]]) -> None:
    """Print a line per clip: acted and recognized emotion, score, and phonemes."""
    print("x: differs from the acted emotion; ?: the model marks its prediction as unsure")
    print(f"{'file':<16}{'acted':<11}{'found':<11}{'score':>6}   phonemes")
    for path, acted in clips:
        prediction = model.predict(path)
        mark = " " if prediction.label == acted else "x"
        if UNSURE in prediction.warnings:
            mark = "?"
        phonemes = " ".join(prediction.phonemes or ())
        found = prediction.label or "no speech"
        score = f"{prediction.score:>6.1%}"
        print(f"{path.name:<16}{acted:<11}{found:<11}{score} {mark} {phonemes[:60]}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
