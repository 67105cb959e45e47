"""Other people's libraries: scikit-learn, datasets, audformat, Lhotse, pyannote, the hub."""
