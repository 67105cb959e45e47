"""Profiles: adaptation to a source by its unlabeled recordings."""
