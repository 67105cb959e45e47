"""Corpora as they are released, each read by one module."""
