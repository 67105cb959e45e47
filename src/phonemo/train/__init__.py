"""Training, evaluation and everything that needs torch and the corpora at once."""
