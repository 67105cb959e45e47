"""Returns freed memory to the system, where the C library would keep it.

glibc raises its threshold for separate mappings with each large block that is freed, up to 32 MiB;
later blocks of that size come from the heap, and stay there when a small block lies above them.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import traceback
from functools import cache
from typing import Any

#: glibc's numbers of its options, and their values here.
_OPTIONS = {
    -3: 2**20,  # M_MMAP_THRESHOLD
    -1: 2**22,  # M_TRIM_THRESHOLD
    -2: 2**20,  # M_TOP_PAD
    -8: 2,  # M_ARENA_MAX
}


def map_large_blocks() -> None:
    """Give each large block a mapping of its own, for good, in this process; only with glibc."""
    if (libc := _glibc()) is not None:
        for option, value in _OPTIONS.items():
            libc.mallopt(option, value)


def release_memory() -> None:
    """Collect reference cycles, and return free pages to the system."""
    gc.collect()
    return_free_pages()


def return_free_pages() -> None:
    """Return free pages to the system."""
    if (libc := _glibc()) is not None:
        libc.malloc_trim(0)


def clear_frames(error: BaseException | None) -> None:
    """Drop the local variables behind an error and its causes, such as decoded audio.

    A traceback keeps the variables of its functions, and a task that keeps its error is often one
    of them: a cycle, which Python collects late, because it does not count the bytes of arrays.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


@cache
def _glibc() -> Any:
    """The C library, or None where it is another one."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "malloc_trim") and hasattr(libc, "mallopt") else None
