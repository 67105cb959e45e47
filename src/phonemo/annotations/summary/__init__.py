"""Summaries of calls: what each party felt, for how long, and how it changed."""
