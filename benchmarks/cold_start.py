"""Time from starting the command to the first prediction, against two floors and a pipeline.

    python benchmarks/cold_start.py [ROUNDS]         default: 5

All run as new processes, in turn, on one 3 s recording. Models are on disk and in the page cache,
and modules are compiled, as an installer leaves them: the first round, which is not counted, writes
the bytecode into a folder of this run. (Some environments set PYTHONDONTWRITEBYTECODE, and then
every start compiles what changed.) The floors: the interpreter with numpy; and with onnxruntime and
the opened network too, which is what any program needs that uses this network. Processor time is
that of the process and its threads, and suffers less from other work on the machine than seconds.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import soundfile
from measuring import interleaved, machine, ratio, real_clips
from measuring.networks import base_folder

from phonemo.audio import RATE
from phonemo.runtime.bundle import MODEL, packaged

#: A minimal script with transformers.
SCRIPT = """
import sys, soundfile
from transformers import pipeline
pipe = pipeline("audio-classification", model=sys.argv[1], device="cpu")
samples, rate = soundfile.read(sys.argv[2], dtype="float32")
print(pipe({"raw": samples, "sampling_rate": rate})[0])
"""
FLOOR = "interpreter, numpy"
OPENED = "interpreter, numpy, onnxruntime, network"
COMMAND, LIBRARY, PIPELINE = "phonemo predict", "phonemo.predict", "pipeline"
OPEN_SCRIPT = """
import sys, numpy, onnxruntime
with open(sys.argv[1], "rb") as file:
    onnxruntime.InferenceSession(file.read(), providers=["CPUExecutionProvider"])
"""
LIBRARY_SCRIPT = "import sys, phonemo; print(phonemo.predict(sys.argv[1]).label)"


def main(rounds: int) -> int:
    """Print times and their ratios; return the exit status."""
    clip = real_clips(3, 3.0)[0]
    with tempfile.TemporaryDirectory() as folder:
        wave = str(Path(folder) / "clip.wav")
        soundfile.write(wave, clip, RATE)
        model = str(base_folder(Path(folder) / "base"))
        environment = compiled(Path(folder) / "bytecode")
        used: dict[str, list[float]] = {name: [] for name in commands(wave, model)}
        works = {
            name: lambda name=name, command=command: used[name].append(run(command, environment))
            for name, command in commands(wave, model).items()
        }
        seconds = interleaved(works, rounds)
    print_times(seconds, {name: times[1:] for name, times in used.items()}, rounds)
    return 0


def commands(wave: str, model: str) -> dict[str, list[str]]:
    """Every program with its arguments, by its name in the table."""
    network = str(packaged("phonemo-open") / MODEL)
    python = [sys.executable, "-c"]
    return {
        FLOOR: [*python, "import numpy"],
        OPENED: [*python, OPEN_SCRIPT, network],
        LIBRARY: [*python, LIBRARY_SCRIPT, wave],
        COMMAND: [str(Path(sys.executable).with_name("phonemo")), "predict", wave],
        PIPELINE: [*python, SCRIPT, model, wave],
    }


def compiled(folder: Path) -> dict[str, str]:
    """An environment in which Python keeps bytecode in a folder of its own."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return environment | {"PYTHONPYCACHEPREFIX": str(folder)}


def run(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Run a command and return its processor seconds; raise if it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def print_times(
    seconds: Mapping[str, list[float]], used: Mapping[str, list[float]], rounds: int
) -> None:
    """Print seconds and processor seconds of each program, and the ratios to both floors."""
    print(f"{machine()}\ncold start to the first prediction, {rounds} rounds in turn")
    for name, times in seconds.items():
        spread = f"({min(times):.2f} to {max(times):.2f})"
        print(f"  {name:<42}{median(times):6.2f} s {spread}, {median(used[name]):.2f} s used")
    for name in (COMMAND, LIBRARY):
        for other in (FLOOR, OPENED, PIPELINE):
            elapsed, processor = (ratio(kind[name], kind[other]) for kind in (seconds, used))
            print(f"  {name} / {other}: {elapsed}; processor time {processor}")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
