"""Memory of a process with some thirty threads, most of them of libraries, under glibc.

glibc gives each busy thread an arena of its own, up to eight for each core, and keeps what is freed in it. A server
that loads models and answers many kinds of calls came to twice its size that way. Where the C library is another one,
nothing is done.
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
    """Let all threads share two arenas; to be called before there are threads."""
    if _LIBRARY:
        _LIBRARY.mallopt(_M_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """Give back what is free: after a model is replaced that is as much as the model."""
    if _LIBRARY:
        _LIBRARY.malloc_trim(0)
