"""Integrations with scikit-learn, datasets, audformat, Lhotse, pyannote, the hub and agents."""
