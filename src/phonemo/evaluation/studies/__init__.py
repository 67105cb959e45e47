"""Studies of several runs: ablations and crossings of corpora."""
