"""Predictions of the parts of a recording: speaker turns, words and channels."""
