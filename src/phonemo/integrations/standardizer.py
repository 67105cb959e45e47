"""Standardize vectors by source, to remove differences of microphones, rooms and people."""

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
    """Standardize each source's vectors to zero mean and unit deviation, without labels.

    Sources are the values of ``groups``: microphones, corpora or speakers. Means are shrunk
    towards the training sources' mean, (n mean + k mean0) / (n + k) with n vectors and k =
    ``k_mean``; variances likewise, with n - 1 and ``k_spread``
    (phonemo.runtime.adaptation.statistics). Without groups and profile, vectors are standardized
    independently by the training sources, or, with ``adapt``, as one source per call.

    Args:
        k_mean: number of vectors that weigh as much as the training sources' mean.
        k_spread: the same for the deviation.
        adapt: whether ``transform`` without groups and profile treats its input as one source. A
            vector then depends on the others of the call.

    Attributes:
        centre_: (feature,), the mean of the training sources' means.
        spread_: (feature,), the root of the mean of their variances; 1 for constant features.
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
        """Estimate the statistics of the training sources.

        Args:
            X: (recording, feature).
            y: ignored; part of scikit-learn's interface.
            groups: the source of each vector, (recording,); None is one source.
            sample_weight: weights, (recording,); None weights all equally.

        Raises:
            UsageError: a negative k_mean or k_spread.
            ValueError: scikit-learn rejects X, or the length of groups differs.
        """
        if min(self.k_mean, self.k_spread) < 0:
            raise UsageError(
                f"expected k_mean and k_spread of at least 0, got {self.k_mean} and {self.k_spread}"
            )
        rows = validate_data(self, X, dtype=[np.float64, np.float32])
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, rows, ensure_non_negative=True)
        scalers = [
            StandardScaler().fit(rows[mask].astype(np.float64), None, _select(weights, mask))
            for mask in _sources(rows, groups)
            if weights is None or weights[mask].any()
        ]
        self.centre_ = np.mean([scaler.mean_ for scaler in scalers], axis=0)
        self.spread_ = np.sqrt(np.mean([scaler.scale_**2 for scaler in scalers], axis=0))
        return self

    def transform(
        self,
        X: Any,  # noqa: N803
        groups: Any = None,
        profile: GivenProfile = None,
    ) -> npt.NDArray[Any]:
        """Standardize vectors, (recording, feature).

        Args:
            X: (recording, feature).
            groups: the source of each vector, (recording,).
            profile: from ``profile``, or the path of its file; applied to all vectors.

        Raises:
            UsageError: both groups and a profile, or another standardizer's profile.
            ValueError: scikit-learn rejects X, or the length of groups differs.
        """
        check_is_fitted(self)
        rows: npt.NDArray[Any] = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        if profile is not None:
            if groups is not None:
                raise UsageError("expected groups or profile, got both; pass only one")
            return self._standardize(rows, self._profile_statistics(profile))
        if groups is None and not self.adapt:
            return self._standardize(rows, None)
        standardized = np.empty_like(rows)
        for mask in _sources(rows, groups):
            standardized[mask] = self._standardize(
                rows[mask], moments(rows[mask], self._reference())
            )
        return standardized

    def fit_transform(
        self,
        X: Any,  # noqa: N803
        y: Any = None,
        groups: Any = None,
        sample_weight: Any = None,
    ) -> npt.NDArray[Any]:
        """Call ``fit``, then ``transform`` with the same groups."""
        return self.fit(X, y, groups, sample_weight).transform(X, groups)

    def profile(self, X: Any) -> Profile:  # noqa: N803
        """Compute the profile of one source's vectors, (recording, feature).

        Saved, it has the JSON format of ``phonemo adapt``, but fits only this standardizer. A
        profile of one person is personal data.

        Raises:
            ValueError: scikit-learn rejects X.
        """
        check_is_fitted(self)
        rows = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        reference = self._reference()
        return Profile.of(moments(rows, reference), 0.0, reference)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _standardize(self, rows: npt.NDArray[Any], source: Statistics | None) -> npt.NDArray[Any]:
        """Standardize vectors of one source, (recording, feature); None is the training sources."""
        mapped: Floats = rows.astype(np.float64)
        if source is not None:
            reference = self._reference()
            scale, shift = affine(shrink_towards(source, reference), reference)
            mapped = mapped * scale + shift
        standardized: npt.NDArray[Any] = (mapped - self.centre_) / self.spread_
        return standardized.astype(rows.dtype, copy=False)

    def _profile_statistics(self, profile: GivenProfile) -> Statistics:
        loaded = profile if isinstance(profile, Profile) else Profile.load(profile or "")
        reference = self._reference()
        if loaded.model != reference.digest or len(loaded.mean) != len(reference.centre):
            raise UsageError(
                f"expected a profile of this standardizer ({reference.digest[:12]}), got one of "
                f"{loaded.model[:12]}; create it with this standardizer's profile method"
            )
        return loaded.statistics

    def _reference(self) -> Reference:
        """The training sources' statistics, without a head and so without class shares."""
        nothing = np.zeros((1, len(self.centre_)))
        sources = (self.centre_, self.spread_, nothing, nothing, nothing[:, 0])
        return Reference(*sources, self.k_mean, self.k_spread, em_iterations=0)


def _sources(rows: npt.NDArray[Any], groups: Any) -> list[npt.NDArray[np.bool_]]:
    """A mask (recording,) for each source; one mask of all rows without groups."""
    if groups is None:
        return [np.ones(len(rows), dtype=bool)]
    names = column_or_1d(groups)
    check_consistent_length(rows, names)
    return [names == name for name in np.unique(names)]


def _select(weights: Floats | None, mask: npt.NDArray[np.bool_]) -> Floats | None:
    return None if weights is None else weights[mask]
