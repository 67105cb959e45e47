"""Leave-one-corpus-out studies: networks, vectors, linear heads, and tests on another corpus.

``study_run.transfer`` is the entry point. Each corpus is a source: a network maps its utterances
to vectors, a linear head is fitted on those of all other corpora, and the left-out source is tested
one recording at a time, and adapted with its unlabeled recordings.
"""
