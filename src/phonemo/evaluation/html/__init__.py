"""Runs as self-contained HTML pages."""
