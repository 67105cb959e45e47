"""Folds, seeds and studies: what trains and scores more than one network."""
