"""Audio decoding in separate processes."""
