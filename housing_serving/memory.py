"""Memory of a process with some thirty threads, most of them of libraries, under glibc.

glibc gives each busy thread an arena of its own, up to eight for each core, and keeps freed memory in it. A server that
loads models and answers many kinds of calls grew to twice its size that way. With another C library these functions do
nothing.
"""

import ctypes

_M_ARENA_MAX = -8  # malloc.h
_ARENAS = 2


def _glibc() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL("libc.so.6")
        return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
    except OSError:
        return None


_LIBRARY = _glibc()


def share_arenas() -> None:
    """Let all threads share two arenas. Call it before other threads are started."""
    if _LIBRARY:
        _LIBRARY.mallopt(_M_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """Return free memory to the system, which after a model is replaced is as much as the model took."""
    if _LIBRARY:
        _LIBRARY.malloc_trim(0)
