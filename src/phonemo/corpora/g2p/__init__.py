"""Text to phonemes."""
