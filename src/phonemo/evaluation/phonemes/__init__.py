"""Which phonemes are confused: counts, a table and a picture."""
