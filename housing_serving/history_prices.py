"""Prices that a model predicts from the history of each zip: one table a month, computed when it is first needed.

A row's price is looked up, never computed for the row. So it is the very number of `monthly_predictions`, alone or in
any batch. A table costs tenths of a second for thousands of zips, so that no event loop should compute one: see
`is_ready`. Prices from a row's own figures belong in `predictor`.
"""

import math
import threading
from datetime import date

import numpy as np

from housing_assets.core.features.history import History, history_needed
from housing_assets.core.models.price import PriceModel
from housing_assets.core.months import add_months, month_at, month_index
from housing_serving.rows import Rows

_WARM = 3
"""Newest months whose tables are computed before the first request."""


class HistoryPriceTables:
    """One model's prices from one history. Safe to share between threads.

    There are at most as many tables as the history has months, 8 bytes for each zip.
    """

    def __init__(self, model: PriceModel, history: History) -> None:
        """Begin without tables.

        Args:
            model: that uses history.
            history: of all zips.
        """
        self.model, self.history = model, history
        self._first = month_index(history.first_month) + model.lag
        self._last = month_index(history.last_month) + model.lag
        self._tables: dict[int, np.ndarray] = {}
        self._computing = threading.Lock()

    def warm(self) -> None:
        """Compute the tables of the newest months."""
        for month in range(max(self._first, self._last - _WARM + 1), self._last + 1):
            self._table(month)

    def is_ready(self, rows: Rows) -> bool:
        """True if all tables that these rows need are computed."""
        months = {_month(day) for day in rows.dates}
        return all(month in self._tables or not self._first <= month <= self._last for month in months)

    def prices(self, rows: Rows) -> np.ndarray:
        """US dollars, shape (n,); NaN where the history says nothing."""
        prices = np.full(len(rows), np.nan)
        zip_index = self.history.zip_index
        # No table is computed for a month of which only unknown zips are asked.
        asked = {day for day, zipcode in zip(rows.dates, rows.zipcodes, strict=True) if zipcode in zip_index}
        months = {day: _month(day) for day in asked}
        tables = {day: self._table(month) for day, month in months.items() if self._first <= month <= self._last}
        for i, (day, zipcode) in enumerate(zip(rows.dates, rows.zipcodes, strict=True)):
            if (table := tables.get(day)) is not None and (zip_at := zip_index.get(zipcode)) is not None:
                prices[i] = table[zip_at]
        return prices

    def ready_price(self, day: date, zipcode: str) -> float:
        """US dollars, looked up, never computed; NaN without a table of the month, or where the history is silent."""
        table, zip_at = self._tables.get(_month(day)), self.history.zip_index.get(zipcode)
        return math.nan if table is None or zip_at is None else float(table[zip_at])

    def metro(self, zipcode: str) -> str:
        """Name of the metro of a zip that the history knows; empty if it has none."""
        return self.history.metros[self.history.metro[self.history.zip_index[zipcode]]]

    def why_unknown(self, zipcode: str, month: str) -> tuple[str, str]:
        """The field and the reason, in words, of a row whose history says nothing."""
        instead = "predicted from the figures of that month alone, less surely"
        first, last = self.history.first_month, self.history.last_month
        if zipcode not in self.history.zip_index:
            return (
                "zipcode",
                f"{zipcode} has no price history for {month}, {len(self.history.zips):,} zips have: {instead}",
            )
        if month_index(month) > self._last:
            message = f"{month} is after the history of {zipcode}, which ends with {last}: {instead}"
            return "date", f"{message}. For forecasts: GET /forecasts/{zipcode}"
        origin = add_months(month, -self.model.lag)
        needed = f"{history_needed(origin)} (the panel begins with {first})"
        message = f"{zipcode} has too little history for {month}, which needs {needed}"
        return "zipcode", f"{message}: {instead}"

    def _table(self, month: int) -> np.ndarray:
        table = self._tables.get(month)
        if table is None:
            with self._computing:
                table = self._tables.get(month)
                if table is None:
                    table = self._tables[month] = self.model.month_prices(self.history, month_at(month))
        return table


def _month(day: date) -> int:
    """The month of a day, as `housing_assets.core.months.month_index` counts it."""
    return day.year * 12 + day.month - 1
