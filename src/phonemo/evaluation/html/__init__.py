"""Runs as pages that a browser opens, with all they need inside."""
