"""Time-aligned annotations of a recording: predictions, writers, TextGrids, speaker turns."""
