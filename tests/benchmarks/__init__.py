"""Tests of what benchmarks compute; the benchmarks themselves run by hand."""

import sys

from tests.laws import REPOSITORY

if str(REPOSITORY / "benchmarks") not in sys.path:  # where the scripts find what they share
    sys.path.append(str(REPOSITORY / "benchmarks"))
