"""Work on one month while the ones before it are still being used: two cores for what comes one after the other."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar, cast

_THREADS = 2
_AHEAD = 4

Item = TypeVar("Item")
Made = TypeVar("Made")


def read_ahead(items: Iterable[Item], name: str) -> Iterator[Item]:
    """The items in order, taken on a thread of their own, a few ahead of who asks: memory holds those alone.

    An error is raised where its item would have come.

    Args:
        items: taken from the other thread.
        name: of the thread.
    """
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(1, thread_name_prefix=name) as pool:
        pending = deque(pool.submit(next, iterator, end) for _ in range(_AHEAD))
        try:
            while (item := pending.popleft().result()) is not end:
                pending.append(pool.submit(next, iterator, end))
                yield cast(Item, item)
        finally:
            for future in pending:
                future.cancel()


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
