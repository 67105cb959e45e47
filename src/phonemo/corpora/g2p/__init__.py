"""Grapheme-to-phoneme conversion."""
