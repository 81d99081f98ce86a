"""Ctrl-C where code cannot bear it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest

from housing_assets.core.interrupts import interrupts_held

BOTH = [signal.SIGINT, signal.SIGTERM]


class InterruptError(BaseException):
    """Raised by a handler, as Dagster's is."""


def interrupted() -> AbstractContextManager[pytest.ExceptionInfo[InterruptError]]:
    """A block that a handler's error ends."""
    return pytest.raises(InterruptError)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Handlers that raise; a test may not leave others behind."""

    def interrupt(*_: object) -> None:
        raise InterruptError

    before = {number: signal.signal(number, interrupt) for number in BOTH}
    yield
    left = {number: signal.signal(number, handler) for number, handler in before.items()}
    assert set(left.values()) == {interrupt}


@pytest.mark.parametrize("number", BOTH)
def test_a_signal_takes_effect_at_the_end_of_the_block(number):
    done = []
    with interrupted(), interrupts_held():
        signal.raise_signal(number)
        done.append("after the signal")
    assert done


@pytest.mark.parametrize("number", BOTH)
def test_the_second_signal_takes_effect_at_once(number):
    done = []
    with interrupted(), interrupts_held():
        signal.raise_signal(signal.SIGINT)
        done.append("after the first")
        signal.raise_signal(number)
        done.append("after the second")
    assert done == ["after the first"]


def test_a_signal_counts_more_than_the_error_of_its_block():
    with interrupted() as told, interrupts_held():
        signal.raise_signal(signal.SIGINT)
        raise ValueError
    assert isinstance(told.value.__context__, ValueError)


def test_without_a_signal_nothing_changes():
    with pytest.raises(ValueError, match="as it was"), interrupts_held():
        raise ValueError("as it was")


def test_a_block_within_a_block_waits_for_both():
    done = []
    with interrupted(), interrupts_held():
        with interrupts_held():
            signal.raise_signal(signal.SIGINT)
            done.append("inner")
        done.append("outer")
    assert done == ["inner", "outer"]


def test_a_signal_takes_effect_while_an_item_is_computed_and_not_while_it_is_used():
    def items() -> Iterator[int]:
        yield 1
        yield 2
        signal.raise_signal(signal.SIGINT)
        yield 3

    used = []
    with interrupted(), interrupts_held() as held:
        used.extend(held.between(items()))
    assert used == [1, 2]
    with interrupted(), interrupts_held() as held:
        for item in held.between([1, 2]):
            signal.raise_signal(signal.SIGINT)
            used.append(item)
    assert used == [1, 2, 1]


def test_a_handler_that_python_did_not_set_stays(monkeypatch):
    asked = signal.getsignal
    monkeypatch.setattr(signal, "getsignal", lambda number: None if number == signal.SIGTERM else asked(number))
    with interrupted(), interrupts_held():
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("SIGTERM was held")


def test_another_thread_runs_no_handler_and_sets_none():
    done = []

    def work() -> None:
        with interrupts_held() as held:
            done.extend(held.between([1, 2]))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [1, 2]
