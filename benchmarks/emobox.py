"""EmoBox' folds with a frozen backbone and a linear head, beside its published Table 4.

    python benchmarks/emobox.py ravdess --manifest work/ravdess.jsonl --folds EMOBOX/data/ravdess

Source: Ma et al., EmoBox: Multilingual Multi-corpus Speech Emotion Recognition Toolkit and
Benchmark (Interspeech 2024, arXiv 2406.07162), Table 4: frozen backbones, a small head, EmoBox'
own folds, unweighted accuracy in per cent. Nothing is chosen on a test part: the layers are the
middle ones, whatever the corpus, and the head's penalty is the one that phonemo always takes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phonemo.cli import progress_bars
from phonemo.config import RunConfig
from phonemo.corpora.manifest import read_manifest
from phonemo.errors import PhonemoError, ProtocolError, UsageError
from phonemo.files import loads_json
from phonemo.labels import canonical_emotion as canonical
from phonemo.runtime.bundle import weights_of
from phonemo.train.callbacks import RunProgress
from phonemo.train.experiments.experiment_data import prepare_experiment
from phonemo.train.experiments.finetune import model_settings
from phonemo.train.experiments.training_run import run
from phonemo.train.provenance import ancestors


@dataclass(frozen=True)
class Published:
    """A row of the table."""

    backbone: str
    millions: int
    """Parameters."""
    ua: Mapping[str, float]
    """Corpus -> unweighted accuracy in per cent."""


TABLE_4: tuple[Published, ...] = (
    Published("wav2vec 2.0 base", 95, {"emodb": 82.06, "ravdess": 54.33, "iemocap": 58.27}),
    Published("HuBERT base", 95, {"emodb": 87.73, "ravdess": 65.43, "iemocap": 63.87}),
    Published("WavLM base", 95, {"emodb": 87.03, "ravdess": 61.56, "iemocap": 62.92}),
    Published("HuBERT large", 316, {"emodb": 89.81, "ravdess": 70.00, "iemocap": 67.42}),
    Published("WavLM large", 316, {"emodb": 92.58, "ravdess": 72.00, "iemocap": 69.47}),
    Published("Whisper large v3", 635, {"emodb": 91.26, "ravdess": 75.32, "iemocap": 73.54}),
)
#: Corpora of which the table's scores are here, and the protocol that EmoBox' folds are.
PROTOCOLS = {"emodb": "published-leaky", "ravdess": "published", "iemocap": "published"}


def table_lines(
    corpus: str, ours: str, millions: float, metrics: Mapping[str, Any]
) -> Iterator[str]:
    """The table of a corpus, the best first, with our row in its place.

    Args:
        corpus: a key of PROTOCOLS.
        ours: what our system is called.
        millions: its parameters.
        metrics: the metrics.json of its run.
    """
    score = metrics["results"]["ua"]
    rows = [(one.ua[corpus], one.backbone, f"{one.millions} M", "") for one in TABLE_4]
    interval = (
        "" if score["low"] is None else f"({100 * score['low']:.1f} to {100 * score['high']:.1f})"
    )
    rows.append((100 * score["mean"], f"> {ours}", f"{millions:.0f} M", interval))
    width = max(len(name) for _, name, _, _ in rows)
    yield f"{corpus}, EmoBox' folds, UA %" + (
        " (LEAKY: they share speakers)" if metrics["leaky"] else ""
    )
    for ua, name, size, note in sorted(rows, reverse=True):
        yield f"  {name:<{width}}  {size:>6}  {ua:6.2f}  {note}".rstrip()


#: How EmoBox writes an emotion -> our name, beyond capitals.
_SPELLINGS = {"boredem": "boredom"}


@dataclass(frozen=True)
class Compared:
    """Our row beside theirs."""

    metrics: dict[str, Any]
    lines: tuple[str, ...]


def emobox_config(
    corpus: str,
    manifest: str | Path,
    folds: str | Path,
    backbone: str | Path,
    output: str | Path,
    threads: int = 2,
) -> RunConfig:
    """The run that belongs into the table of a corpus.

    Raises:
        UsageError: a corpus that the table has not.
        ProtocolError: a manifest of another corpus, or fold files with other emotions.
    """
    if corpus not in PROTOCOLS:
        raise UsageError(f"{corpus!r}: EmoBox' scores are here for {', '.join(PROTOCOLS)}")
    found = read_manifest(manifest)
    if found.header.corpus != corpus:
        raise ProtocolError(
            f"{manifest}: expected a manifest of {corpus}, got {found.header.corpus}"
        )
    names = emotions_of(Path(folds))
    heard = {one.emotion for one in found.utterances if one.emotion}
    missing = sorted(set(names) - heard)
    if missing:
        raise ProtocolError(f"{manifest}: no utterance has {missing[0]!r}, which {folds} tests")
    folder = weights_of(str(backbone))
    return RunConfig.model_validate(
        {
            "name": f"emobox-{corpus}",
            "manifest": str(manifest),
            "output": str(output),
            "labels": {"names": names},
            "protocol": {"name": PROTOCOLS[corpus], "folder": str(folds)},
            "model": model_settings(folder, "logistic", spoken=False),
            "train": {"strategy": "logistic", "select_by": "last"},
            "threads": threads,
        }
    )


def compare(config: RunConfig, command: str, progress: RunProgress | None = None) -> Compared:
    """Train and test every fold, and print the table.

    Args:
        config: of ``emobox_config``.
        command: what was typed.
        progress: told what happens.

    Raises:
        PhonemoError: of any kind; what was finished stays.
    """
    metrics = run(config, command, progress=progress)
    corpus = config.name.removeprefix("emobox-")
    name = Path(config.model.start or config.model.backbone).name
    lines = [*table_lines(corpus, name, _millions(config), metrics)]
    heard = sorted(ancestors(config.model).trained_on)
    lines.append(f"  {name} was trained on: {', '.join(heard) or 'nothing on record'}")
    experiment = prepare_experiment(config)
    return Compared(metrics, (*lines, *(f"  {note}" for note in experiment.split.notes)))


def emotions_of(folds: Path) -> list[str]:
    """The emotions in label_map.json by phonemo's names, sorted.

    Raises:
        ProtocolError: there is no such file, or it is no map of names.
    """
    path = folds / "label_map.json"
    try:
        named = loads_json(path.read_bytes())
        theirs = [str(one).strip().lower() for one in dict(named).values()]
    except (OSError, ValueError, TypeError) as error:
        raise ProtocolError(
            f"{path}: no map of emotions; give the folder of one corpus of EmoBox' data"
        ) from error
    return sorted({canonical(_SPELLINGS.get(one, one)) for one in theirs})


def _millions(config: RunConfig) -> float:
    """Parameters of the backbone, as the table counts them."""
    from phonemo.model.pretrained import load_backbone

    network, _ = load_backbone(config.model.backbone, config.model.layers)
    return sum(one.numel() for one in network.parameters()) / 1e6


def main(arguments: argparse.Namespace) -> int:
    """Print the table; the exit status."""
    output = arguments.output or Path("work") / "runs" / f"emobox-{arguments.corpus}"
    try:
        config = emobox_config(
            arguments.corpus, arguments.manifest, arguments.folds, arguments.backbone, output
        )
        with progress_bars.run_progress(False) as progress:
            result = compare(config, " ".join(["python", *sys.argv]), progress)
    except PhonemoError as error:
        print(f"emobox.py: {error}", file=sys.stderr)
        return error.exit_code
    print("\n".join([*result.lines, f"  run folder: {output}"]))
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("corpus", help=", ".join(PROTOCOLS))
    parser.add_argument("--manifest", type=Path, required=True, help="of the whole corpus")
    parser.add_argument("--folds", type=Path, required=True, help="EmoBox' folder with fold_1, ...")
    parser.add_argument(
        "--backbone", default="models/phonemo-small-backbone", help="a backbone or model folder"
    )
    parser.add_argument("--output", type=Path, help="default: work/runs/emobox-CORPUS")
    sys.exit(main(parser.parse_args()))
