"""Leave one corpus out: networks, vectors, linear heads, and tests on speakers of another corpus.

``protocol.transfer`` is the way in. A corpus is a source; a network turns its utterances into
vectors, a linear head is fitted on those of all other corpora, and the source that was left out is
tested one recording at a time and adapted by its own unlabelled recordings.
"""
