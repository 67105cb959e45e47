"""A linear CTC layer on frozen frames, which aligns a corpus that it was fitted on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from phonemo.corpora.manifest import Utterance
from phonemo.corpora.phoneme_inventory import PhonemeInventory

Floats = npt.NDArray[np.float32]
#: Passes over the utterances, rate, and utterances a step.
_EPOCHS, _RATE, _BATCH = 8, 0.01, 16


def fit_alignment_layer(
    rows: Sequence[Utterance],
    features: Mapping[str, Floats],
    inventory: PhonemeInventory,
    seed: int,
) -> nn.Module:
    """Fit a linear CTC layer on frozen frames, for the alignment only.

    Args:
        rows: utterances with phonemes.
        features: by utterance id, (frame, feature).
        inventory: the phonemes.
        seed: of the initialization and the order of the utterances.

    Returns:
        A module from (frame, feature) to logits (frame, phoneme).
    """
    torch.manual_seed(seed)
    every = np.concatenate([features[row.id] for row in rows])
    layer = _AlignmentLayer(every.mean(axis=0), every.std(axis=0) + 1e-5, len(inventory))
    optimizer = torch.optim.Adam(layer.parameters(), lr=_RATE)
    targets = {row.id: torch.tensor(inventory.encode(row.phonemes, None, None)) for row in rows}
    order = np.random.default_rng(seed)
    for _ in range(_EPOCHS):
        shuffled = order.permutation(len(rows))
        for first in range(0, len(rows), _BATCH):
            batch = [rows[index].id for index in shuffled[first : first + _BATCH]]
            optimizer.zero_grad()
            _ctc_loss(
                layer, [features[name] for name in batch], [targets[n] for n in batch]
            ).backward()
            optimizer.step()
    return layer.eval()


class _AlignmentLayer(nn.Module):
    """Standardized frames to phoneme logits, (frame, feature) to (frame, phoneme)."""

    def __init__(self, mean: Floats, spread: Floats, symbols: int) -> None:
        super().__init__()
        self.mean, self.spread = torch.from_numpy(mean), torch.from_numpy(spread)
        self.output = nn.Linear(len(mean), symbols)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.output((frames - self.mean) / self.spread)
        return logits


def _ctc_loss(
    layer: nn.Module, clips: Sequence[Floats], targets: Sequence[torch.Tensor]
) -> torch.Tensor:
    lengths = torch.tensor([len(clip) for clip in clips])
    padded = nn.utils.rnn.pad_sequence([torch.from_numpy(clip) for clip in clips])
    return nn.functional.ctc_loss(
        layer(padded).log_softmax(dim=2),  # (frame, batch, phoneme)
        torch.cat(list(targets)),
        lengths,
        torch.tensor([len(target) for target in targets]),
        zero_infinity=True,
    )
