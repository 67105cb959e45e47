"""Corpora as they are released, each read by one module; ``formats`` has those of common formats.

``phonemo.corpora.CORPORA`` lists the readers by the names that ``phonemo prepare`` takes.
"""
