"""Which phonemes carry the emotion: a study over corpora."""
