"""What is known about a recording in time: predictions, writers, TextGrids, turns."""
