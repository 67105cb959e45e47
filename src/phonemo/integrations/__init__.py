"""Integrations with scikit-learn, datasets, audformat, Lhotse, pyannote and the hub."""
