"""Mutants that no test can kill, because they do the same: each with its reason.

A key is the module, its line and the mutated line, without indentation, so that it outlives
changes elsewhere in the module.
"""

from __future__ import annotations

DEFENDED: dict[tuple[str, str, str], str] = {}
