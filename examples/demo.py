"""Recognise the emotion of real speech with a model that is trained here, on EmoDB.

    python examples/demo.py              answers for speakers the model has never heard
    python examples/demo.py my.wav ...   answers for your own files

The first run prepares the corpus, computes the frozen backbone's features and trains the heads:
a few minutes on two cores. Later runs use what is there.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import phonemo
from phonemo.audio import load_waveform
from phonemo.config import load_config
from phonemo.console import counter, run_progress, table_row
from phonemo.corpora.prepare import prepare
from phonemo.errors import AudioError, PhonemoError

CONFIG = Path("configs/demo.yaml")
CORPUS = Path("../shared/corpora/emodb")
CLIPS = 12


def main(files: list[str]) -> int:
    """The exit status; every expected error is one line on standard error."""
    try:
        return demo(files)
    except PhonemoError as error:
        message, status = str(error), error.exit_code
    except OSError as error:
        message, status = f"{error}; check the path, its permissions and the free space", 1
    except KeyboardInterrupt:
        message, status = "stopped; run the same command again to go on where it stopped", 130
    print(f"demo: {message}", file=sys.stderr)
    return status


def demo(files: list[str]) -> int:
    """Train if need be, then answer; the exit status."""
    if {"-h", "--help"} & set(files):
        print(__doc__)
        return 0
    faults = [fault for name in files if (fault := fault_of(name))]
    if files and len(faults) == len(files):  # do not train for minutes to say so
        print("\n".join(f"demo: {fault}" for fault in faults), file=sys.stderr)
        return 1
    config = load_config(CONFIG)
    missing = [str(path) for path in (CORPUS, Path(config.model.backbone)) if not path.is_dir()]
    if missing:
        print(
            f"demo: {', '.join(missing)} not found; the demo trains on EmoDB with a small "
            "pretrained backbone, which lie in a folder `shared` beside the clone",
            file=sys.stderr,
        )
        return 2
    fold, model, metrics = trained(config)
    return answer_own(files, model) if files else answer_held_out(config, fold, model, metrics)


def fault_of(name: str) -> str:
    """Why a file is not usable audio; empty if it is."""
    try:
        load_waveform(name)
    except AudioError as error:
        return str(error)
    return ""


def trained(config: Any) -> tuple[Path, Path, dict[str, Any]]:
    """The first fold's folder, its model, and its test scores, after training if need be."""
    from phonemo.train.experiment import prepare_experiment
    from phonemo.train.runner import run

    if not Path(config.manifest).is_file():
        with counter("reading EmoDB", quiet=False) as progress:
            prepare("emodb", CORPUS, config.manifest, progress=progress)
    name = prepare_experiment(config).split.folds[0].name
    fold = Path(config.output) / f"seed-{config.seeds[0]}" / name
    if not (fold / "metrics.json").is_file():
        print("training on six speakers (a few minutes the first time) ...", flush=True)
        with run_progress(quiet=False) as display:
            run(config, f"phonemo train {CONFIG} --fold {name}", [name], progress=display)
    return fold, fold / "model", json.loads((fold / "metrics.json").read_text(encoding="utf-8"))


def answer_held_out(config: Any, fold: Path, model: Path, metrics: dict[str, Any]) -> int:
    """Clips of the held-out speakers, with what was really acted."""
    from phonemo.corpora.manifest import read_manifest

    recognizer = phonemo.load(str(model))
    manifest = read_manifest(config.manifest)
    by_id = {one.id: one for one in manifest.utterances}
    text = (fold / "predictions.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    speakers = sorted({row["speaker"] for row in rows})
    print(
        f"\nEmoDB, German, acted. Speakers {' and '.join(speakers)} were never heard in training."
    )
    print(f"{'file':<14}{'acted':<12}{'heard':<12}{'score':>6}   phonemes heard")
    for row in rows[:: max(1, len(rows) // CLIPS)][:CLIPS]:
        one = by_id[row["id"]]
        found = recognizer.predict(manifest.audio_path(one))
        mark = " " if found.label == one.emotion else "x"
        heard = " ".join(found.phonemes or ())
        print(
            f"{one.id:<14}{one.emotion:<12}{found.label:<12}{found.scores[found.label]:>6.1%} "
            f"{mark} {heard[:60]}"
        )
    results = metrics["results"]
    print(
        f"\nAll {results['utterances']} clips of these speakers: UA {results['ua']['mean']:.1%}, "
        f"WA {results['wa']['mean']:.1%} (chance {results['chance']['ua']:.1%}). "
        f"One fold, one seed: see RESULTS.md for the whole protocol."
    )
    print(f"Your own file: make demo FILE=my.wav   (the model is {model})")
    return 0


def answer_own(files: list[str], model: Path) -> int:
    """The user's own recordings."""
    recognizer = phonemo.load(str(model))
    failed = 0
    for name in files:
        try:
            row = {"file": name, **recognizer.predict(name).to_dict()}
        except PhonemoError as error:
            row, failed = {"file": name, "error": str(error)}, 1
        print(table_row(row))
    print("The model learnt from six German actors; other voices and languages are guesses.")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
