"""Work ahead of who asks for it: in order, bounded, and with its errors where their results would have come."""

import threading

import pytest

from housing_assets.core.prefetch import prefetch_map, read_ahead


def test_results_come_in_order_however_long_each_takes():
    first = threading.Event()

    def slow_at_first(number: int) -> int:
        if number == 0:
            first.wait(5)
        else:
            first.set()
        return number * 10

    assert list(prefetch_map(slow_at_first, range(20), "test")) == [number * 10 for number in range(20)]


def test_only_a_few_items_are_begun_ahead():
    begun: list[int] = []
    results = prefetch_map(begun.append, range(1_000), "test")
    next(results)
    results.close()
    assert len(begun) < 10


def test_an_error_comes_in_place_of_its_result():
    def fail_at_three(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    results = prefetch_map(fail_at_three, range(100), "test")
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)


def test_items_are_taken_in_the_thread_that_asks():
    def items():
        for _ in range(5):
            yield threading.current_thread()

    assert set(prefetch_map(lambda thread: thread, items(), "test")) == {threading.current_thread()}


def test_reading_ahead_keeps_order_and_ends_with_the_items():
    assert list(read_ahead(iter(range(50)), "test")) == list(range(50))
    assert list(read_ahead([], "test")) == []


def test_reading_ahead_takes_a_few_items_on_a_thread_of_its_own():
    taken: list[threading.Thread] = []

    def items():
        for number in range(1_000):
            taken.append(threading.current_thread())
            yield number

    ahead = read_ahead(items(), "test")
    assert next(ahead) == 0
    ahead.close()
    assert len(taken) < 10
    assert threading.current_thread() not in taken


def test_an_error_while_reading_ahead_comes_in_place_of_its_item():
    def items():
        yield from range(3)
        raise ValueError("three")

    ahead = read_ahead(items(), "test")
    assert [next(ahead) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(ahead)
