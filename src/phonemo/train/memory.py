"""Freed memory is kept for the next step instead of going back to the system."""

from __future__ import annotations

import ctypes
import sys

#: mallopt's numbers (malloc.h of glibc).
_TRIM_THRESHOLD = -1
_TOP_PAD = -2
_MMAP_THRESHOLD = -3
#: The largest that glibc takes for the last one: blocks up to this come from the heap.
_LARGEST_BLOCK = 32 << 20
_KEPT = 1 << 30


def keep_freed_memory() -> bool:
    """Tell glibc not to give freed blocks back; whether it was told.

    Each step of a training frees tensors of some MB and asks for the same again. By default glibc
    hands blocks of that size back, and the system clears every page anew: where page faults are
    dear, as in some containers, that costs more than the arithmetic
    (benchmarks/training_memory.py). On other systems nothing is done.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library, as musl
        return False
    settings = {_MMAP_THRESHOLD: _LARGEST_BLOCK, _TRIM_THRESHOLD: _KEPT, _TOP_PAD: _LARGEST_BLOCK}
    told = [mallopt(name, value) for name, value in settings.items()]
    return all(told)
