"""Phonemes in time: alignment of posteriors, and their contribution to the emotion."""
