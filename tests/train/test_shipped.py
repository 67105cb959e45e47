"""The weights that lie in the repository: they open, and say what they have heard."""

from __future__ import annotations

import torch

from phonemo.model.backbone import Backbone
from phonemo.model.build import load_backbone
from phonemo.train.lineage import lineage_of
from phonemo.train.seal import check_seal
from tests.laws import REPOSITORY

BACKBONE = REPOSITORY / "models" / "phonemo-small-backbone"


def test_the_backbone_is_whole_and_hears():
    check_seal(BACKBONE)
    backbone = Backbone(*load_backbone(str(BACKBONE))).eval()
    assert backbone.normalise
    assert (backbone.depth, backbone.semantic_features, backbone.grid.hop_samples) == (4, 512, 320)
    noise = torch.randn(2, 16_000, generator=torch.Generator().manual_seed(1))
    samples = torch.tensor([16_000, 16_000])
    with torch.no_grad():
        projected = backbone.project(backbone.convolve(noise, samples))
        mask = torch.ones(projected.shape[:2], dtype=torch.bool)
        states = backbone.run(backbone.embed(projected, mask), mask, 0, range(5))
    assert all(state.isfinite().all() for state in states.values())


def test_the_backbone_has_heard_none_of_the_corpora_with_emotions():
    past = lineage_of(BACKBONE)
    assert past.heard == {"csv", "speechocean762"}
    assert not past.taught
