"""Vectors standardised by their source, so that microphones, rooms and people compare."""

from __future__ import annotations

import os
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from phonemo.errors import UsageError
from phonemo.runtime.adaptation.profile import Profile
from phonemo.runtime.adaptation.statistics import (
    Reference,
    Statistics,
    affine,
    moments,
    shrink_towards,
)

Floats = npt.NDArray[np.float64]
GivenProfile = Profile | str | os.PathLike[str] | None


class SourceStandardizer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Each source's vectors minus its own mean, over its own deviation; no label is used.

    A source is whatever ``groups`` names: microphones, corpora or speakers. A group's mean counts
    as its n vectors, that of the training sources as ``k_mean``: (n mean + k mean0) / (n + k);
    variances likewise, with n - 1 and ``k_spread`` (phonemo.runtime.adaptation.statistics).
    Without groups
    and profile, vectors are standardised by the training sources, each by itself; or, with
    ``adapt``, everything that one call transforms is one source.

    Args:
        k_mean: how many vectors of a source weigh as much as the training sources' mean.
        k_spread: the same for the deviation.
        adapt: whether ``transform`` without groups and profile takes what it is given as one
            source. A vector then depends on the others of the call.

    Attributes:
        centre_: (feature,), the mean of the training sources' means.
        spread_: (feature,), the root of the mean of their variances; 1 where nothing varies.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(self, k_mean: float = 5.0, k_spread: float = 20.0, adapt: bool = False) -> None:
        self.k_mean = k_mean
        self.k_spread = k_spread
        self.adapt = adapt

    def fit(
        self,
        X: Any,  # noqa: N803  scikit-learn's name
        y: Any = None,
        groups: Any = None,
        sample_weight: Any = None,
    ) -> SourceStandardizer:
        """Measure the training sources.

        Args:
            X: (recording, feature).
            y: nothing; scikit-learn passes it.
            groups: the source of each vector, (recording,); None is one source.
            sample_weight: how much each counts, (recording,); None counts all alike.

        Raises:
            UsageError: a negative k_mean or k_spread.
            ValueError: no table that scikit-learn takes, or groups that are not as many.
        """
        if min(self.k_mean, self.k_spread) < 0:
            raise UsageError(
                f"k_mean={self.k_mean}, k_spread={self.k_spread}: 0 or more is expected"
            )
        rows = validate_data(self, X, dtype=[np.float64, np.float32])
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, rows, ensure_non_negative=True)
        scalers = [
            StandardScaler().fit(rows[own].astype(np.float64), None, _part(weights, own))
            for own in _sources(rows, groups)
            if weights is None or weights[own].any()
        ]
        self.centre_ = np.mean([one.mean_ for one in scalers], axis=0)
        self.spread_ = np.sqrt(np.mean([one.scale_**2 for one in scalers], axis=0))
        return self

    def transform(
        self,
        X: Any,  # noqa: N803
        groups: Any = None,
        profile: GivenProfile = None,
    ) -> npt.NDArray[Any]:
        """The vectors, standardised, (recording, feature).

        Args:
            X: (recording, feature).
            groups: the source of each vector, (recording,).
            profile: of ``profile``, or the path of its file: all vectors are of that source.

        Raises:
            UsageError: groups together with a profile, or a profile of another standardizer.
            ValueError: no table that scikit-learn takes, or groups that are not as many.
        """
        check_is_fitted(self)
        rows: npt.NDArray[Any] = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        if profile is not None:
            if groups is not None:
                raise UsageError("groups and profile: expected one of them, got both")
            return self._standardised(rows, self._known(profile))
        if groups is None and not self.adapt:
            return self._standardised(rows, None)
        found = np.empty_like(rows)
        for own in _sources(rows, groups):
            found[own] = self._standardised(rows[own], moments(rows[own], self._reference()))
        return found

    def fit_transform(
        self,
        X: Any,  # noqa: N803
        y: Any = None,
        groups: Any = None,
        sample_weight: Any = None,
    ) -> npt.NDArray[Any]:
        """``fit``, and ``transform`` with the same groups."""
        return self.fit(X, y, groups, sample_weight).transform(X, groups)

    def profile(self, X: Any) -> Profile:  # noqa: N803
        """The profile of one source's vectors (recording, feature), for this standardizer alone.

        It is a JSON file as ``phonemo adapt`` writes it, of this standardizer's vectors; a
        profile of one person is personal data.

        Raises:
            ValueError: no table that scikit-learn takes.
        """
        check_is_fitted(self)
        rows = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        reference = self._reference()
        return Profile.of(moments(rows, reference), 0.0, reference)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _standardised(self, rows: npt.NDArray[Any], source: Statistics | None) -> npt.NDArray[Any]:
        """Of one source, (recording, feature); None is the training sources."""
        mapped: Floats = rows.astype(np.float64)
        if source is not None:
            reference = self._reference()
            scale, shift = affine(shrink_towards(source, reference), reference)
            mapped = mapped * scale + shift
        found: npt.NDArray[Any] = (mapped - self.centre_) / self.spread_
        return found.astype(rows.dtype, copy=False)

    def _known(self, profile: GivenProfile) -> Statistics:
        found = profile if isinstance(profile, Profile) else Profile.load(profile or "")
        reference = self._reference()
        if found.model != reference.digest or len(found.mean) != len(reference.centre):
            raise UsageError(
                f"expected a profile of this standardizer ({reference.digest[:12]}), got one of "
                f"{found.model[:12]}; make it with its own method profile"
            )
        return found.statistics

    def _reference(self) -> Reference:
        """The training sources without a head: classes' shares cannot be estimated."""
        nothing = np.zeros((1, len(self.centre_)))
        sources = (self.centre_, self.spread_, nothing, nothing, nothing[:, 0])
        return Reference(*sources, self.k_mean, self.k_spread, em_iterations=0)


def _sources(rows: npt.NDArray[Any], groups: Any) -> list[npt.NDArray[np.bool_]]:
    """Which rows each source has, (recording,); all of them where there are no groups."""
    if groups is None:
        return [np.ones(len(rows), dtype=bool)]
    names = column_or_1d(groups)
    check_consistent_length(rows, names)
    return [names == name for name in np.unique(names)]


def _part(weights: Floats | None, own: npt.NDArray[np.bool_]) -> Floats | None:
    return None if weights is None else weights[own]
