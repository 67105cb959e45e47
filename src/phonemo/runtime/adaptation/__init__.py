"""Profiles: adaptation to a source by its unlabelled recordings."""
