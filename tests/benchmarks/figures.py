"""One row of the report of `make bench`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """What was measured, and what it should be.

    Attributes:
        group: of figures.
        name: what it is.
        value: as people read it.
        target: what it should be; empty: it has none.
        met: is it so? None without a target.
    """

    group: str
    name: str
    value: str
    target: str = ""
    met: bool | None = None
