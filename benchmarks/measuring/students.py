"""A mean with Student's 95 % interval and p, for differences of few folds or corpora."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.stats import t as students_t

from phonemo.evaluation.comparison_text import p_text


@dataclass(frozen=True)
class Interval:
    """A mean in points with its 95 % interval and p."""

    points: float
    low: float
    high: float
    p: float

    def text(self) -> str:
        """Such as "+1.9 points (+0.6 to +3.2), p 0.004"."""
        interval = f"{self.low:+.1f} to {self.high:+.1f}"
        return f"{self.points:+.1f} points ({interval}), p {p_text(self.p)}"


def student(points: float, error: float, free: int) -> Interval:
    """The interval of a mean.

    Args:
        points: the mean.
        error: its standard error; with 0 the interval is the mean.
        free: degrees of freedom, 1 or more.
    """
    reach = float(students_t.ppf(0.975, free)) * error
    p = float(2 * students_t.sf(abs(points) / error, free)) if error else 0.0
    return Interval(points, points - reach, points + reach, p)
