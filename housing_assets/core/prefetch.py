"""Work on one month while the ones before it are still being used: two cores for what comes one after the other."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_THREADS = 2
_AHEAD = 4

Item = TypeVar("Item")
Made = TypeVar("Made")


def prefetch_map(function: Callable[[Item], Made], items: Iterable[Item], name: str) -> Iterator[Made]:
    """`map` in order, on two threads, a few items ahead of who asks: memory holds those alone.

    An error of `function` is raised where its result would have come; what was begun ahead of it is dropped.

    Args:
        function: of one item; it is called from other threads.
        items: taken from the caller's thread.
        name: of the threads.
    """
    with ThreadPoolExecutor(_THREADS, thread_name_prefix=name) as pool:
        pending: deque[Future[Made]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) == _AHEAD:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
