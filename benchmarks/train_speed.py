"""Speed of training with cached lower layers, against a plain transformers Trainer.

    python benchmarks/train_speed.py [--clips 128] [--epochs 3] [--rounds 3] [--threads 2]

Both train one fold of EmoDB on the same backbone (random weights) with the same frozen layers,
batch size, epochs, and validation after each epoch; the Trainer runs the frozen layers in every
step. phonemo starts without a cache, then once more with it ("again"), as for each further fold.
The systems alternate, each run in a process of its own; seconds exclude imports and preparation.
Frames are those of the training part times the epochs. Needs the extra train and EmoDB.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time

from measuring import CORPORA, machine, ratio, spread

from phonemo.corpora.manifest import read_manifest, write_manifest
from phonemo.corpora.prepare import prepare

CORPUS = "emodb"
LABELS = ("anger", "boredom", "disgust", "fear", "happiness", "neutral", "sadness")
BATCH, TRAINED_LAYERS, SEED = 8, 1, 1
SYSTEMS = ("phonemo", "again", "trainer")
SAMPLES_PER_FRAME = 320


def main(args: argparse.Namespace) -> int:
    """Print each run, and the ratios over all rounds; return the exit status."""
    if not (CORPORA / CORPUS).is_dir():
        print(f"skipped: needs the recordings of {CORPORA / CORPUS}")
        return 0
    print(f"{machine()}; {args.clips} clips, {args.epochs} epochs, {args.threads} threads")
    runs: dict[str, list[dict]] = {name: [] for name in SYSTEMS}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        write_inputs(home, args.clips)
        for number in range(args.rounds):
            shutil.rmtree(home / "cache", ignore_errors=True)
            for name in SYSTEMS if number % 2 else ("trainer", "phonemo", "again"):
                runs[name].append(measured(name, home, args))
                print_run(name, runs[name][-1])
    for name in ("phonemo", "again"):
        for key in ("seconds", "processor", "first"):
            slow, quick = ([run[key] for run in runs[which]] for which in ("trainer", name))
            print(f"trainer / {name}, {key}: {ratio(slow, quick)}")
    return 0


def print_run(name: str, run: dict) -> None:
    """Print a line for a run."""
    rate = run["frames"] / run["seconds"]
    print(
        f"  {name:<8} {rate:9.0f} frames a second, {run['seconds']:6.1f} s, processor "
        f"{run['processor']:6.1f} s, first epoch after {run['first']:5.1f} s",
        flush=True,
    )


def write_inputs(home: Path, clips: int) -> None:
    """Write the manifest, and a backbone with random weights."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    whole = home / "whole.jsonl"
    prepare(CORPUS, CORPORA / CORPUS, whole)
    source = read_manifest(whole)
    write_manifest(home / "manifest.jsonl", source.header, spread(source.utterances, clips))
    torch.manual_seed(SEED)
    sizes = {"hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 1024}
    config = Wav2Vec2Config(num_hidden_layers=6, conv_dim=(256,) * 7, **sizes)
    Wav2Vec2Model(config).save_pretrained(home / "backbone")
    Wav2Vec2FeatureExtractor(return_attention_mask=False).save_pretrained(home / "backbone")


def measured(name: str, home: Path, args: argparse.Namespace) -> dict:
    """Run a system in a process of its own."""
    words = [str(home), "--epochs", str(args.epochs), "--threads", str(args.threads)]
    command = [sys.executable, __file__, "--one", name, "--home", *words]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout.splitlines()[-1])


def one(args: argparse.Namespace) -> int:
    """Run a system in this process and print its times as JSON."""
    import torch

    from phonemo.audio import audio_seconds
    from phonemo.train.experiments.experiment_data import prepare_experiment

    torch.set_num_threads(args.threads)
    home = Path(args.home)
    settings = config(home, args)
    experiment = prepare_experiment(settings)
    fold = experiment.split.folds[0]
    train = [experiment.utterances[key] for key in fold.train]
    seconds = sum(audio_seconds(experiment.manifest.audio_path(row)) for row in train)
    work = trainer(home, experiment, args) if args.one == "trainer" else phonemo(settings, fold)
    began, spent = perf_counter(), process_time()
    first = work() - began
    times = {"seconds": perf_counter() - began, "processor": process_time() - spent}
    frames = args.epochs * int(seconds * 16000 / SAMPLES_PER_FRAME)
    print(json.dumps({**times, "first": first, "frames": frames}))
    return 0


def config(home: Path, args: argparse.Namespace):
    """The config of phonemo's run."""
    from phonemo.config import RunConfig

    train = {"strategy": "top_k", "top_k": TRAINED_LAYERS, "batch_size": BATCH}
    return RunConfig.model_validate(
        {
            "name": "train-speed",
            "manifest": str(home / "manifest.jsonl"),
            "output": str(home / "run"),
            "labels": {"names": LABELS},
            "protocol": {"name": "speaker", "validation_units": 2},
            "model": {"backbone": str(home / "backbone"), "auxiliary": None},
            "train": {**train, "epochs": args.epochs, "patience": args.epochs},
            "seeds": [SEED],
            "threads": args.threads,
        }
    )


def phonemo(settings, fold):
    """One fold; returns when its first epoch had been validated."""
    from phonemo.train.callbacks import RunProgress
    from phonemo.train.experiments.training_run import run

    class Clock(RunProgress):
        """Notes the first validation."""

        first = 0.0

        def step(self, done, total, scores):
            """Count a step."""
            if scores and not self.first:
                self.first = perf_counter()

    def work() -> float:
        clock = Clock()
        shutil.rmtree(settings.output, ignore_errors=True)
        run(settings, "benchmarks/train_speed.py", [fold.name], progress=clock)
        return clock.first

    return work


def trainer(home: Path, experiment, args: argparse.Namespace):
    """The same with transformers alone."""
    from transformers import (
        Trainer,
        TrainerCallback,
        TrainingArguments,
        Wav2Vec2ForSequenceClassification,
    )

    class Clock(TrainerCallback):
        """Notes the first validation."""

        first = 0.0

        def on_evaluate(self, *_, **__):
            """Count a validation."""
            self.first = self.first or perf_counter()

    fold, clock = experiment.split.folds[0], Clock()
    made = {
        "output_dir": str(home / "trainer"),
        "num_train_epochs": args.epochs,
        "per_device_train_batch_size": BATCH,
        "per_device_eval_batch_size": BATCH,
        "eval_strategy": "epoch",
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
        "seed": SEED,
    }

    def work() -> float:
        model = Wav2Vec2ForSequenceClassification.from_pretrained(
            home / "backbone", num_labels=len(LABELS)
        )
        freeze(model)
        parts = [Clips(experiment, keys) for keys in (fold.train, fold.validation, fold.test)]
        system = Trainer(
            model,
            TrainingArguments(**made),
            padded,
            train_dataset=parts[0],
            eval_dataset=parts[1],
            callbacks=[clock],
        )
        system.train()
        system.predict(parts[2])
        return clock.first

    return work


def freeze(model) -> None:
    """Leave the upper layers of the Transformer, and the heads, to be trained."""
    model.freeze_base_model()
    for layer in model.wav2vec2.encoder.layers[-TRAINED_LAYERS:]:
        layer.requires_grad_(True)


class Clips:
    """Decoded clips with their labels, as a data set of torch."""

    def __init__(self, experiment, keys) -> None:
        self.experiment = experiment
        self.rows = [experiment.utterances[key] for key in keys]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int):
        from phonemo.audio import load_waveform

        row = self.rows[index]
        samples = load_waveform(self.experiment.manifest.audio_path(row)).samples
        return samples, LABELS.index(row.emotion)


def padded(batch):
    """Make a batch of clips: normalized, padded with zeros."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    clips = [torch.from_numpy((clip - clip.mean()) / (clip.std() + 1e-7)) for clip, _ in batch]
    labels = torch.tensor([label for _, label in batch])
    return {"input_values": pad_sequence(clips, batch_first=True), "labels": labels}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", choices=SYSTEMS, help=argparse.SUPPRESS)
    parser.add_argument("--home", help=argparse.SUPPRESS)
    given = parser.parse_args()
    sys.exit(one(given) if given.one else main(given))
