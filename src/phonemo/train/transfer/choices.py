"""What a system can be: every combination of the choices that its config lists."""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass
from typing import Any

from phonemo.config import SystemConfig
from phonemo.train.transfer.heads import HeadOptions
from phonemo.train.transfer.networks import MEAN, POOLED, SPEECH


@dataclass(frozen=True)
class Choice:
    """One combination.

    Attributes:
        training: the number of the template; 0 too where the network is used as it is.
        start_share: how far a trained backbone goes back to its start.
        statistics: hidden states that the head reads.
        frames: which frames those statistics are over: "all" or "speech".
        moments: "mean-deviation", or "mean" alone.
        pooled: whether it reads the pooled fusion.
        head: how it is fitted and adapted.
    """

    training: int
    start_share: float
    statistics: tuple[int, ...]
    frames: str
    moments: str
    pooled: bool
    head: HeadOptions

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the vectors that stand side by side."""
        end = (SPEECH if self.frames == "speech" else "") + (MEAN if self.moments == "mean" else "")
        states = (f"{number}{end}" for number in self.statistics)
        return (*((POOLED,) if self.pooled else ()), *states)

    def to_json(self) -> dict[str, Any]:
        """Plain data, flat, by the keys of a system's config."""
        found = asdict(self)
        head = found.pop("head")
        return {**found, "statistics": list(self.statistics), **head}


def choices_of(system: SystemConfig) -> tuple[Choice, ...]:
    """All combinations, in the order of the config; of equals the first is picked."""
    heads = [
        HeadOptions(*values)
        for values in itertools.product(
            system.fit,
            system.standardise,
            system.balance,
            system.inverse_penalty,
            system.ridge,
            system.mask,
            system.k_mean,
            system.k_spread,
            system.em_iterations,
        )
    ]
    below = itertools.product(
        range(max(1, len(system.train))),
        system.start_share,
        system.statistics,
        system.frames,
        system.moments,
        system.pooled,
    )
    found = (Choice(*one, head) for one, head in itertools.product(below, heads))
    return tuple(one for one in found if one.statistics or one.pooled)
