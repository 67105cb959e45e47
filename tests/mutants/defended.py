"""Mutants that no test can kill, because they do the same: each with its reason.

A key is the module, its line and the mutated line, without indentation, so that it outlives
changes elsewhere in the module.
"""

from __future__ import annotations

_LENGTH = "a length is never negative"

DEFENDED: dict[tuple[str, str, str], str] = {
    (
        "runtime/phonemes/alignment.py",
        "if len(best) == 0:",
        "if len(best) <= 0:",
    ): _LENGTH,
    (
        "runtime/timeline.py",
        "if extent is None or not total > 0:",
        "if extent is None or not total != 0:",
    ): "total is a sum of shares of speech, and so never negative",
    (
        "runtime/windows.py",
        "if self.samples < self._start + 2 * self.hop:",
        "if self.samples < self._start + 2 + self.hop:",
    ): "it only saves joining the pieces; the loop below decides whether a window is complete",
    (
        "evaluation/calibration.py",
        "if scores.ndim != 2 or indices.shape != scores.shape[:1] or len(indices) == 0:",
        "if scores.ndim != 2 or indices.shape != scores.shape[:1] or len(indices) <= 0:",
    ): _LENGTH,
    (
        "evaluation/metrics.py",
        "return 0.0",
        "return -1.0",
    ): "the gap of an empty bin is multiplied by its count, which is zero",
    (
        "model/heads.py",
        "flattening = (square / self.radius**2).clamp(min=1.0) ** (DISTANCE_POWER / 2)",
        "flattening = (square / self.radius**2).clamp(min=1.0) ** (DISTANCE_POWER - 2)",
    ): "half of 4 is 4 less 2",
    (
        "evaluation/calibration.py",
        "colder = _loss(scores, indices, left) <= _loss(scores, indices, right)",
        "colder = _loss(scores, indices, left) < _loss(scores, indices, right)",
    ): "two equal losses have the optimum between them, and both choices keep it",
    (
        "evaluation/metrics.py",
        "best[1:] = np.minimum(best[1:], row[:-1] + unit * (symbols != codes.get(symbol, -1)))",
        "best[1:] = np.minimum(best[1:], row[:-1] + unit * (symbols != codes.get(symbol, - 2)))",
    ): "any number that is no code stands for a symbol that the hypothesis lacks",
}
