"""The modules that are broken on purpose, and the tests that must notice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Room:
    """Modules under src/phonemo, and their tests under tests/, the fastest first."""

    sources: tuple[str, ...]
    tests: tuple[str, ...]


ROOMS = {
    "metrics": Room(
        ("evaluation/metrics.py",),
        (
            "evaluation/test_metrics.py",
            "evaluation/test_boundaries.py",
            "evaluation/test_scoring.py",
        ),
    ),
    "calibration": Room(
        ("evaluation/calibration.py",),
        (
            "evaluation/test_calibration.py",
            "evaluation/test_selective.py",
            "properties/test_scores.py",
            "train/test_calibrating.py",
        ),
    ),
    "significance": Room(
        ("evaluation/significance.py", "evaluation/permutation.py"),
        (
            "evaluation/test_comparison.py",
            "evaluation/test_ratings.py",
            "evaluation/test_studies.py",
        ),
    ),
    "splits": Room(
        ("corpora/splits.py", "corpora/groups.py", "corpora/folds.py", "corpora/given_split.py"),
        (
            "corpora/test_splits.py",
            "corpora/test_given_split.py",
            "corpora/test_published.py",
            "corpora/test_leakage.py",
            "corpora/test_copied_splits.py",
        ),
    ),
    "leakage": Room(
        ("corpora/leakage.py", "corpora/leakage_text.py"),
        (
            "corpora/test_leakage.py",
            "corpora/test_splits.py",
            "corpora/test_copied_splits.py",
            "corpora/test_given_split.py",
            "train/test_planted_leaks.py",
        ),
    ),
    "losses": Room(
        ("model/losses.py", "model/rating_losses.py"),
        ("model/test_losses.py", "model/test_rating_losses.py"),
    ),
    "fusion": Room(
        ("model/fusion.py",),
        ("model/test_fusion.py", "model/test_streams.py", "model/test_network.py"),
    ),
    "pooling": Room(
        ("model/pooling.py",),
        ("model/test_pooling.py", "model/test_phoneme_route.py", "model/test_network.py"),
    ),
    "heads": Room(
        ("model/heads.py", "model/phoneme_route.py"),
        ("model/test_heads.py", "model/test_phoneme_route.py", "model/test_network.py"),
    ),
    "attention": Room(
        ("model/attention.py", "model/masks.py"),
        (
            "model/test_attention.py",
            "model/test_masking.py",
            "model/test_fusion.py",
            "model/test_speech.py",
            "model/test_build.py",
            "model/test_network.py",
        ),
    ),
    "alignment": Room(
        ("runtime/phonemes/alignment.py", "runtime/phonemes/edges.py"),
        (
            "runtime/test_alignment.py",
            "runtime/test_edges.py",
            "properties/test_alignment_properties.py",
            "runtime/test_spans.py",
            "runtime/test_phoneme_decoder.py",
        ),
    ),
    "windows": Room(
        ("runtime/sliding.py", "runtime/windows.py"),
        (
            "runtime/test_windows.py",
            "properties/test_windows.py",
            "runtime/test_sliding_inference.py",
            "runtime/test_growing.py",
            "runtime/test_spoken.py",
        ),
    ),
    "timeline": Room(
        ("runtime/timeline.py",),
        ("runtime/test_timeline.py", "properties/test_windows.py"),
    ),
    "attribution": Room(
        ("runtime/phonemes/attribution.py",),
        ("runtime/test_attribution.py", "properties/test_alignment_properties.py"),
    ),
    "profiles": Room(
        (
            "runtime/adaptation/profile.py",
            "runtime/adaptation/pool.py",
            "runtime/adaptation/statistics.py",
            "runtime/adaptation/adaptable.py",
        ),
        (
            "runtime/test_profile.py",
            "runtime/test_adaptation.py",
            "runtime/test_adapted.py",
            "runtime/test_reference_file.py",
            "runtime/test_growing.py",
            "runtime/test_sharing.py",
        ),
    ),
}
