"""Known prices of every zip by month, kept as one array: the full panel of the country takes some thirty megabytes.

Prices of metros and of the nation are means of their zips, weighted by the people who live in each.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache, cached_property

import numpy as np
import polars as pl
import streamlit as st

from housing_assets.core.months import add_months, month_end
from housing_assets.core.panel.areas import PEOPLE, chained_mean, with_people
from housing_assets.core.panel.places import zip_table
from housing_dashboard.data.access import open_store, settings, stamps

_TABLE = "price_history"
_NO_ZIP = 100_000
"""One more than the largest number of a zip."""


@dataclass(frozen=True)
class PriceGrid:
    """Known prices.

    Attributes:
        first: the first month, `YYYY-MM`.
        zips: one row for each zip: `zipcode`, `city_full` (its last), `people`.
        prices: US dollars, shape (zips, months); NaN where not known. As float32 they are off by an eighth of a dollar
            at most, up to two million.
    """

    first: str
    zips: pl.DataFrame
    prices: np.ndarray

    @cached_property
    def dates(self) -> list[date]:
        """The last day of each month."""
        return [month_end(add_months(self.first, at)) for at in range(self.prices.shape[1])]

    @cached_property
    def _row_by_zip(self) -> dict[str, int]:
        return {zipcode: row for row, zipcode in enumerate(self.zips["zipcode"])}

    @cached_property
    def _row_by_number(self) -> np.ndarray:
        """The row of each zip by its number, which is faster to look up than its text; -1 where there is none."""
        rows = np.full(_NO_ZIP + 1, -1, np.int32)
        rows[_numbers(self.zips["zipcode"])] = np.arange(self.zips.height)
        rows[_NO_ZIP] = -1
        return rows

    @cached_property
    def _areas(self) -> dict[str | None, pl.DataFrame]:
        return {}

    def of_zip(self, zipcode: str) -> pl.DataFrame:
        """Known prices of a zip: `date`, `price`, by date."""
        row = self._row_by_zip.get(zipcode)
        return self._frame(np.full(len(self.dates), np.nan) if row is None else self.prices[row])

    def of_area(self, metro: str | None) -> pl.DataFrame:
        """Mean price of the zips of a metro (None: of all) by month, weighted by people: `date`, `price`, `zips`.

        The level is that of the newest month in which nearly all people's zips have a price. From there prices are
        chained by the growth of the zips that have a price in both of two months, so that zips which come or go change
        nothing.
        """
        if metro not in self._areas:
            self._areas[metro] = self._mean_of(metro)
        return self._areas[metro]

    def _mean_of(self, metro: str | None) -> pl.DataFrame:
        inside = pl.Series([True] * self.zips.height) if metro is None else self.zips["city_full"].eq_missing(metro)
        chosen = inside.arg_true().to_numpy()
        prices, weights = self.prices[chosen].astype(np.float64), self.zips[PEOPLE].to_numpy()[chosen]
        if not prices.size or np.isnan(prices).all():
            return self._frame(np.full(len(self.dates), np.nan), pl.Series("zips", [0] * len(self.dates)))
        return self._frame(chained_mean(prices, weights), pl.Series("zips", (~np.isnan(prices)).sum(axis=0)))

    def at(self, zipcodes: pl.Series, months: pl.Series) -> pl.Series:
        """Prices of zips in months (any day of each), null where they are not known."""
        begin = self.dates[0] if self.dates else date.min
        rows = self._row_by_number[_numbers(zipcodes)]
        columns = (months.dt.year() * 12 + months.dt.month() - (begin.year * 12 + begin.month)).to_numpy()
        inside = (rows >= 0) & (columns >= 0) & (columns < self.prices.shape[1])
        found = np.full(len(rows), np.nan)
        found[inside] = self.prices[rows[inside], columns[inside]]
        return pl.Series("actual_price", found).fill_nan(None)

    def gaps(self, zipcode: str) -> tuple[int, int]:
        """Months with a known price of a zip, and the longest run of months without one between them."""
        row = self._row_by_zip.get(zipcode)
        known = np.flatnonzero(~np.isnan(self.prices[row])) if row is not None else np.array([], dtype=int)
        return known.size, int(np.diff(known).max() - 1) if known.size > 1 else 0

    def _frame(self, prices: np.ndarray, *more: pl.Series) -> pl.DataFrame:
        table = pl.DataFrame([pl.Series("date", self.dates, pl.Date), pl.Series("price", prices, pl.Float64), *more])
        return table.filter(pl.col("price").is_not_nan())


def people_of(zipcodes: pl.Series) -> pl.Series:
    """The `people` of each zip, as `with_people` has them."""
    return pl.Series(PEOPLE, _people_by_number()[_numbers(zipcodes)])


@cache
def _people_by_number() -> np.ndarray:
    zips = with_people(zip_table().select("zipcode"))
    people = np.ones(_NO_ZIP + 1)
    people[_numbers(zips["zipcode"])] = zips[PEOPLE].to_numpy()
    people[_NO_ZIP] = 1
    return people


def _numbers(zipcodes: pl.Series) -> np.ndarray:
    """Zips as numbers; `_NO_ZIP` for what is none."""
    numbers = zipcodes.cast(pl.Int64, strict=False)
    return numbers.set((numbers < 0) | (numbers > _NO_ZIP), None).fill_null(_NO_ZIP).to_numpy()


def price_grid() -> PriceGrid | None:
    """Known prices of every zip; None before `price_history` exists.

    Raises:
        StoreError: `price_history` is damaged.
    """
    stamp = stamps(f"{_TABLE}.parquet").get(f"{_TABLE}.parquet")
    return _price_grid(settings().store_uri, stamp) if stamp else None


@st.cache_resource(max_entries=1, show_spinner=False)
def _price_grid(uri: str, stamp: str) -> PriceGrid:
    del stamp  # a key
    # By row groups: all rows with their texts at once would take half a gigabyte for a moment.
    rows: dict[str, int] = {}
    metros: dict[str, tuple[int, str]] = {}
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    number = pl.col("date").dt.year().cast(pl.Int16) * 12 + pl.col("date").dt.month().cast(pl.Int16)
    for piece in open_store(uri).table(_TABLE).pieces(("date", "zipcode", "city_full", "price")):
        if piece.is_empty():
            continue
        # Rows of a zip follow each other by month, so only where a run begins its texts are looked at.
        numbers = piece.select(
            pl.col("zipcode").rle_id().alias("run"),
            number.alias("month"),
            pl.col("price").cast(pl.Float32).fill_null(np.nan),
            (pl.col("city_full").is_not_null() & pl.col("price").is_not_null()).alias("has"),
        )
        run = numbers["run"].to_numpy()
        names = piece["zipcode"].gather(np.flatnonzero(np.diff(run, prepend=-1)))
        has = np.flatnonzero(numbers["has"].to_numpy())
        ends = has[np.diff(run[has], append=-1) != 0]
        texts = piece[ends].select("zipcode", "city_full")
        for (zipcode, metro), of_month in zip(texts.iter_rows(), numbers["month"].gather(ends), strict=True):
            if of_month >= metros.get(zipcode, (0, ""))[0]:
                metros[zipcode] = (of_month, metro)
        codes = np.array([rows.setdefault(name, len(rows)) for name in names], np.int32)
        parts.append((codes[run], numbers["month"].to_numpy(), numbers["price"].to_numpy()))
    begin, end = (int(edge([edge(month) for _, month, _ in parts])) if parts else 0 for edge in (np.min, np.max))
    prices = np.full((len(rows), end - begin + 1), np.nan, np.float32)
    for at, month, price in parts:
        prices[at, month - begin] = price
    return _known_part(rows, metros, prices, begin)


def _known_part(
    rows: Mapping[str, int], metros: Mapping[str, tuple[int, str]], prices: np.ndarray, begin: int
) -> PriceGrid:
    """The grid from the first month to the last with a known price, of the zips that have one."""
    known = ~np.isnan(prices)
    months, with_price = np.flatnonzero(known.any(axis=0)), np.flatnonzero(known.any(axis=1))
    every = list(rows)
    names = [every[row] for row in with_price]
    areas = [metros[name][1] if name in metros else None for name in names]
    listed = pl.DataFrame(
        {"zipcode": names, "city_full": areas}, schema=dict.fromkeys(("zipcode", "city_full"), pl.String)
    )
    zips = with_people(listed)
    if not names:
        return PriceGrid("2000-01", zips, np.empty((0, 0)))
    if with_price.size < len(every):
        prices = prices[with_price]
    begin += int(months[0])
    prices = prices[:, months[0] : months[-1] + 1]
    year, first = divmod(begin - 1, 12)
    return PriceGrid(f"{year:04d}-{first + 1:02d}", zips, prices)
