"""Batch recognition of many recordings, on one machine or many, resumable."""
