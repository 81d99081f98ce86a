"""Ctrl-C and termination, kept out of code that cannot bear them.

A signal raises wherever Python happens to be. Within a library's transaction that leaves a database locked, or another
error is raised in its place.
"""

import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_T = TypeVar("_T")


class HeldInterrupts:
    """The signals of a block of `interrupts_held`."""

    def __init__(self) -> None:
        self._handlers: dict[int, Any] = {}
        self._arrived: list[int] = []

    def between(self, items: Iterable[_T]) -> Iterator[_T]:
        """The same items; a signal takes effect while one of them is computed."""
        iterator = iter(items)
        while True:
            self._let_go()
            try:
                item = next(iterator)
            except StopIteration:
                return
            finally:
                self._hold()
            yield item

    def _hold(self) -> None:
        if threading.current_thread() is threading.main_thread():
            # A handler that Python did not set is None, and could not be set again.
            held = [number for number in _SIGNALS if signal.getsignal(number) is not None]
            self._handlers = {number: signal.signal(number, self._arrive) for number in held}

    def _let_go(self) -> None:
        self._restore()  # first: what comes from here on is no longer held, and cannot be lost
        arrived, self._arrived = self._arrived, []
        for number in arrived:
            signal.raise_signal(number)

    def _arrive(self, number: int, _frame: FrameType | None) -> None:
        self._arrived.append(number)
        self._restore()

    def _restore(self) -> None:
        handlers, self._handlers = self._handlers, {}
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def interrupts_held() -> Iterator[HeldInterrupts]:
    """A block that SIGINT and SIGTERM do not interrupt: what their handler does is done at its end.

    The second signal is not held: who is tired of waiting can insist. Outside the main thread, where no handler runs,
    nothing changes.
    """
    held = HeldInterrupts()
    held._hold()
    try:
        yield held
    finally:
        held._let_go()
