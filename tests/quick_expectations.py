"""Great Expectations without a third of what a validation costs.

It asks an expectation for its configuration some 170 times for each validation, and makes it anew each time.
"""

import contextlib
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

import pytest

from housing_assets.orchestration.checks import suites

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration


@contextlib.contextmanager
def quick_expectations() -> Iterator[None]:
    """In this process, from its first validation to the end of the block."""
    batches = suites._batches
    with pytest.MonkeyPatch.context() as patch:

        @cache
        def keep_configurations() -> None:
            from great_expectations.expectations.expectation import Expectation

            patch.setattr(Expectation, "configuration", property(_kept(Expectation.configuration.fget)))

        def quick_batches():
            keep_configurations()  # not before: to import it takes seconds
            return batches()

        patch.setattr(suites, "_batches", quick_batches)
        yield


def _kept(make):
    """A configuration is made again once its expectation has changed."""
    last: dict[int, tuple[Expectation, dict[str, object], ExpectationConfiguration]] = {}

    def configuration(self: "Expectation") -> "ExpectationConfiguration":
        kept = last.get(id(self))
        if kept and kept[0] is self and kept[1] == self.__dict__:
            return kept[2]
        if len(last) > 1_000:
            last.clear()
        last[id(self)] = (self, dict(self.__dict__), make(self))
        return last[id(self)][2]

    return configuration
