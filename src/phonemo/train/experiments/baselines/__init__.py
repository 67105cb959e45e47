"""Baselines beside the network: acoustic features, text alone, linear probes."""
