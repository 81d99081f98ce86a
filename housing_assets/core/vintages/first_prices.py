"""First published prices, and the text that names the vintages which rows rest on.

A publisher restates a price for years. What it first said of a month is in the earliest vintage that has a price of the
zip and month. How vintages are kept and read belongs in `housing_assets.store`.
"""

import re
from collections.abc import Mapping

import polars as pl

from housing_assets.core.panel.schema import BY_NAME

WANTED_SCHEMA: dict[str, pl.DataType] = {"date": pl.Date(), "zipcode": pl.String()}
"""Of zips and months whose first price is wanted; `date` is the month's last day."""

FIRST_SCHEMA: dict[str, pl.DataType] = {**WANTED_SCHEMA, "first_price": pl.Float64()}
"""Of first published prices (US dollars)."""

_VINTAGE = re.compile(r"([a-z][a-z0-9_-]*) ([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9-]+Z)")


def describe_vintages(times: Mapping[str, str]) -> str:
    """Vintages as text, such as `zillow 2026-11-27T10-45-00Z, redfin 2026-11-20T08-00-00Z`.

    Args:
        times: time of the vintage by source, in the order of the sources' addresses.
    """
    return ", ".join(f"{source} {time}" for source, time in times.items())


def parse_vintages(text: str) -> dict[str, str]:
    """The time of the vintage by source, from what `describe_vintages` returned; other texts name none."""
    matches = [_VINTAGE.fullmatch(part) for part in text.split(", ")]
    return {match[1]: match[2] for match in matches if match} if all(matches) else {}


def prices_of_vintage(wanted: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """The valid prices that a vintage has of wanted zips and months, in the columns of `FIRST_SCHEMA`.

    Args:
        wanted: `WANTED_SCHEMA`.
        rows: of the vintage: `date`, `zipcode`, `price`. Of several rows of a zip and month the first counts.
    """
    low, high = BY_NAME["price"].low, BY_NAME["price"].high
    valid = rows.filter(pl.col("price").is_between(pl.lit(low), pl.lit(high)))
    once = valid.unique(["date", "zipcode"], keep="first", maintain_order=True)
    prices = once.select("date", "zipcode", pl.col("price").cast(pl.Float64).alias("first_price"))
    return wanted.join(prices, on=["date", "zipcode"], how="inner", maintain_order="left").select(*FIRST_SCHEMA)


def still_wanted(wanted: pl.DataFrame, first: pl.DataFrame) -> pl.DataFrame:
    """Those of the wanted zips and months that have no first price yet.

    Args:
        wanted: `WANTED_SCHEMA`.
        first: `FIRST_SCHEMA`.
    """
    return wanted.join(first, on=["date", "zipcode"], how="anti", maintain_order="left")


def with_vintage(predictions: pl.DataFrame, vintage: str, first: pl.DataFrame) -> pl.DataFrame:
    """Predictions of a month with the columns `vintage` and `first_price`, in the same order.

    Args:
        predictions: with `date` and `zipcode`.
        vintage: of the raw rows of the month; empty: not known, which is null.
        first: `FIRST_SCHEMA`; what it lacks is null.
    """
    named = predictions.with_columns(pl.lit(vintage or None, pl.String).alias("vintage"))
    return named.join(first, on=["date", "zipcode"], how="left", maintain_order="left")
