"""Phonemes: which are confused, and which carry the emotion; schemas, tables and pictures."""
