"""Zips that are not predicted from their history at an origin, and why."""

import numpy as np
import polars as pl

from housing_assets.core.features.history import CARRIED_MONTHS, LEAST_MONTHS, History
from housing_assets.core.months import add_months

UNPREDICTED_SCHEMA: dict[str, pl.DataType] = {
    "zipcode": pl.String(),
    "city_full": pl.String(),
    "first_price": pl.String(),
    "last_price": pl.String(),
    "prices": pl.Int64(),
    "reason": pl.String(),
}
"""Columns: the months (YYYY-MM) of the first and last price up to the origin, how many there are, and the reason."""


def unpredicted(history: History, origin: str) -> pl.DataFrame:
    """Zips of the history that `History.known` leaves out at an origin: `UNPREDICTED_SCHEMA`, by zip.

    Raises:
        HousingError: the origin is outside the history.
    """
    at = history.column(origin)
    rows = []
    for place in np.flatnonzero(~history.known(origin)):
        priced = np.flatnonzero(history.priced[place, : at + 1])
        months = [add_months(history.first_month, int(m)) for m in priced]
        ends = (months[0], months[-1]) if months else (None, None)
        metro = history.metros[history.metro[place]] or None
        rows.append((history.zips[place], metro, *ends, len(months), _reason(priced, at, months, origin)))
    return pl.DataFrame(rows, schema=UNPREDICTED_SCHEMA, orient="row").sort("zipcode")


def reasons(zips: pl.DataFrame) -> dict[str, int]:
    """How many zips of `unpredicted` there are by the kind of their reason, the most first."""
    kinds = zips["reason"].str.extract(r"^([^:]+)").value_counts().sort(["count", "reason"], descending=[True, False])
    return dict(kinds.iter_rows())


def _reason(priced: np.ndarray, at: int, months: list[str], origin: str) -> str:
    """Why a zip is left out, from the places of its prices on the axis of months and their names."""
    if not months:
        return f"no price yet: none up to {origin}"
    if at - priced[-1] > CARRIED_MONTHS:
        return f"ended: the last price is of {months[-1]}, more than {CARRIED_MONTHS} months before {origin}"
    if at - priced[0] < LEAST_MONTHS:
        return f"begins late: the first price is of {months[0]}, less than {LEAST_MONTHS} months before {origin}"
    return f"gaps: too few of its prices are near {origin} and {add_months(origin, -LEAST_MONTHS)}"
