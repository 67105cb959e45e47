"""Readers of corpora in a common format, whatever their release."""
