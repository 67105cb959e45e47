"""The study of emotional phonemes: its schema, its section of RESULTS.md and its picture."""
