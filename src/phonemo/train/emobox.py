"""EmoBox' folds with a frozen backbone and a linear head, as its Table 4 has them.

Nothing is chosen on a test part: the layers are the middle ones, whatever the corpus, and the
head's penalty is the one that phonemo always takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phonemo.config import RunConfig
from phonemo.corpora.folders import canonical
from phonemo.corpora.manifest import read_manifest
from phonemo.emobox import PROTOCOLS, table_lines
from phonemo.errors import ProtocolError, UsageError
from phonemo.plain_json import parsed
from phonemo.shipped import weights_of
from phonemo.train.callbacks import Progress
from phonemo.train.experiment import prepare_experiment
from phonemo.train.finetune import model_settings
from phonemo.train.lineage import ancestors
from phonemo.train.runner import run

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
        raise ProtocolError(f"{manifest}: of {found.header.corpus}, and {corpus} is wanted")
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


def compare(config: RunConfig, command: str, progress: Progress | None = None) -> Compared:
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
    heard = sorted(ancestors(config.model).heard)
    lines.append(f"  {name} has heard: {', '.join(heard) or 'nothing on record'}")
    experiment = prepare_experiment(config)
    return Compared(metrics, (*lines, *(f"  {note}" for note in experiment.split.notes)))


def emotions_of(folds: Path) -> list[str]:
    """Our names of the emotions in label_map.json, sorted.

    Raises:
        ProtocolError: there is no such file, or it is no map of names.
    """
    path = folds / "label_map.json"
    try:
        named = parsed(path.read_bytes())
        theirs = [str(one).strip().lower() for one in dict(named).values()]
    except (OSError, ValueError, TypeError) as error:
        raise ProtocolError(
            f"{path}: no map of emotions; give the folder of one corpus of EmoBox' data"
        ) from error
    return sorted({canonical(_SPELLINGS.get(one, one)) for one in theirs})


def _millions(config: RunConfig) -> float:
    """Parameters of the backbone, as the table counts them."""
    from phonemo.model.build import load_backbone

    network, _ = load_backbone(config.model.backbone, config.model.layers)
    return sum(one.numel() for one in network.parameters()) / 1e6
