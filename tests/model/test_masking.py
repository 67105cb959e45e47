"""SpecAugment spans, by hand."""

from __future__ import annotations

import torch

from phonemo.model.masks import lengths_of, mask_of, mask_spans


def _ones(batch: int, frames: int, features: int) -> torch.Tensor:
    return torch.ones(batch, frames, features)


def test_time_spans_by_hand():
    """Each utterance has spans of its own; the end is past the last; two may overlap."""
    spans = {"time": torch.tensor([[[1.0, 3.0], [2.0, 4.0]], [[0.0, 0.0], [4.0, 5.0]]])}
    masked = mask_spans(_ones(2, 5, 2), spans)
    assert masked[:, :, 0].tolist() == [[1, 0, 0, 0, 1], [1, 1, 1, 1, 0]]
    assert torch.equal(masked[:, :, 0], masked[:, :, 1])


def test_feature_spans_are_shares_of_any_width():
    spans = {"feature": torch.tensor([[[0.25, 0.5]], [[0.5, 1.0]]])}
    assert mask_spans(_ones(2, 1, 4), spans)[:, 0].tolist() == [[1, 0, 1, 1], [1, 1, 0, 0]]
    eight = mask_spans(_ones(2, 1, 8), spans)[:, 0]
    assert eight.tolist() == [[1, 1, 0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0, 0, 0]]


def test_time_and_feature_spans_are_applied_together():
    spans = {"time": torch.tensor([[[0.0, 1.0]]]), "feature": torch.tensor([[[0.0, 0.5]]])}
    sequence = torch.arange(1.0, 5.0).reshape(1, 2, 2)
    assert mask_spans(sequence, spans).tolist() == [[[0, 0], [0, 4]]]
    assert sequence[0, 0, 0] == 1  # the caller's own is left alone


def test_without_spans_it_is_the_same_tensor():
    sequence = _ones(1, 2, 2)
    assert mask_spans(sequence, None) is sequence
    assert mask_spans(sequence, {}) is sequence


def test_spans_beyond_the_frames_mask_what_is_there():
    masked = mask_spans(_ones(1, 3, 1), {"time": torch.tensor([[[2.0, 9.0]]])})
    assert masked[0, :, 0].tolist() == [1, 1, 0]


def test_masked_values_are_replaced_and_get_no_gradient():
    sequence = torch.tensor([[[float("nan")], [2.0]]], requires_grad=True)
    masked = mask_spans(sequence, {"time": torch.tensor([[[0.0, 1.0]]])})
    masked.sum().backward()
    assert masked[0, :, 0].tolist() == [0, 2]
    assert sequence.grad[0, :, 0].tolist() == [0, 1]


def test_a_mask_and_its_lengths_are_each_others_inverse():
    lengths = torch.tensor([3, 0, 5])
    assert lengths_of(mask_of(lengths, 5)).tolist() == [3, 0, 5]
