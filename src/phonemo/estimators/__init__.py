"""phonemo as scikit-learn estimators."""
