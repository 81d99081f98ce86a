"""Predictions of raw rows by one bundle: encoders as dictionaries, few rows through ONNX, many through XGBoost."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any

import numpy as np
import polars as pl

from housing_assets.core.cleaning import CleaningRules
from housing_assets.core.features import FEATURES
from housing_assets.core.metros import METRO_BY_KEY, metro_key
from housing_assets.core.model import PriceModel, twin_problem
from housing_assets.core.months import add_months, month_of
from housing_assets.core.onnx_twin import open_twin, twin_output
from housing_assets.core.schema import BY_NAME, NUMERIC_FEATURES, Zero
from housing_assets.store.bundles import Bundle, BundleError
from housing_serving.engine import import_xgboost
from housing_serving.rows import attribute

import_xgboost()

FEW_ROWS = 64
"""Rows up to which onnxruntime answers faster than XGBoost."""
_UNKNOWN_METRO = (float("nan"), float("nan"))
_NUMBERS = attrgetter(*(attribute(name) for name in NUMERIC_FEATURES))
_FIRST = len(FEATURES) - len(NUMERIC_FEATURES)
_GAPS = [_FIRST + i for i, n in enumerate(NUMERIC_FEATURES) if BY_NAME[n].zero is Zero.MISSING]
_CENSUS_GAPS = [_FIRST + i for i, n in enumerate(NUMERIC_FEATURES) if BY_NAME[n].zero is Zero.MISSING_WITH_CENSUS]
_PEOPLE = FEATURES.index("Total Population")
_MAX_LIST_PRICE = CleaningRules().max_list_price


@lru_cache(maxsize=4096)
def _place(name: str) -> tuple[str, float, float]:
    """Standard name of a metro, with its place (degrees; NaN if it is not known)."""
    metro = METRO_BY_KEY.get(metro_key(name))
    return (metro.name, metro.latitude, metro.longitude) if metro else (" ".join(name.split()), *_UNKNOWN_METRO)


@dataclass(frozen=True)
class RowWarning:
    """Why one row's prediction deserves less trust."""

    row: int
    field: str
    message: str


@dataclass(frozen=True)
class Predictions:
    """Prices in US dollars with their 90% intervals, shape (n,), in the order of the rows."""

    price: np.ndarray
    low: np.ndarray
    high: np.ndarray
    warnings: tuple[RowWarning, ...]


class Predictor:
    """One bundle, ready to predict. Safe to share between threads."""

    def __init__(self, bundle: Bundle, calibration: pl.DataFrame | None, threads: int = 2) -> None:
        """Load and check a verified bundle.

        Args:
            bundle: whose hashes agree.
            calibration: newest `interval_calibration` of its version; None for the bundle's own.
            threads: that XGBoost's calls may run in side by side.

        Raises:
            BundleError: golden rows or the ONNX twin disagree with the trees.
        """
        self.bundle = bundle
        self.version = bundle.version
        self.model: PriceModel = bundle.model()
        if problem := twin_problem(bundle.files, self.model):
            raise BundleError(f"model {bundle.version}: {problem}")
        self._twin = open_twin(bundle.files["model.onnx"])
        table = self.model.intervals if calibration is None else calibration
        rows = table.select("city_full", "log_low", "log_high").iter_rows()
        self._ends = {metro: (low, high) for metro, low, high in rows}
        # A row unlike those the intervals were measured on gets the widest that was measured anywhere.
        self._widest = (min(low for low, _ in self._ends.values()), max(high for _, high in self._ends.values()))
        self.last_month: str | None = None if calibration is None else calibration["last_month"][0]
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="xgboost")

    def warm(self) -> None:
        """Answer once through each engine, so that the first request is no slower than the next."""
        nothing = np.full((FEW_ROWS + 1, len(FEATURES)), np.nan, np.float32)
        self.prices(nothing[:1])
        self.prices(nothing)

    def matrix(self, rows: Sequence[Any]) -> np.ndarray:
        """Features of `RawRow`s: float32 of shape (n, len(FEATURES)), missing NaN; as `make_features` makes them."""
        encoders = self.model.encoders
        frequency, target = encoders.zipcode_frequency, encoders.city_full_target
        values = []
        for row in rows:
            day = row.date
            metro, latitude, longitude = _place(row.city_full) if row.city_full is not None else (None, *_UNKNOWN_METRO)
            values.append(
                (
                    day.year,
                    (day.month + 2) // 3,
                    day.month,
                    frequency.get(row.zipcode, 0.0),
                    target.get(metro, encoders.prior) if metro is not None else encoders.prior,
                    latitude,
                    longitude,
                    *_NUMBERS(row),
                )
            )
        found = np.array(values, dtype=np.float64)
        no_census = found[:, _PEOPLE] == 0
        gaps = found[:, _GAPS]
        gaps[gaps == 0] = np.nan
        found[:, _GAPS] = gaps
        for column in _CENSUS_GAPS:
            found[no_census & (found[:, column] == 0), column] = np.nan
        return found.astype(np.float32)

    def prices(self, matrix: np.ndarray) -> np.ndarray:
        """Prices in US dollars, shape (n,), of a feature matrix."""
        if len(matrix) <= FEW_ROWS:
            raw = twin_output(self._twin, matrix)
        else:
            raw = self.model.trees.booster.inplace_predict(matrix, validate_features=False)
        return self.model.trees.prices_of(raw, matrix)

    def predict(self, rows: Sequence[Any]) -> Predictions:
        """Predictions of `RawRow`s, one each, in their order."""
        price = self.prices(self.matrix(rows))
        low, high = np.empty(len(rows)), np.empty(len(rows))
        warnings: list[RowWarning] = []
        for i, row in enumerate(rows):
            told = self._warnings(i, row)
            warnings += told
            metro = _place(row.city_full)[0] if row.city_full is not None else None
            low[i], high[i] = self._widest if told else self._ends.get(metro, self._ends[None])
        return Predictions(price, price * np.exp(low), price * np.exp(high), tuple(warnings))

    def _warnings(self, i: int, row: Any) -> list[RowWarning]:
        encoders, found = self.model.encoders, []
        if row.zipcode not in encoders.zipcode_frequency:
            found.append(RowWarning(i, "zipcode", f"{row.zipcode} was never seen in training"))
        if row.city_full is None or _place(row.city_full)[0] not in encoders.city_full_target:
            found.append(RowWarning(i, "city_full", f"{row.city_full!r} is no metro that was seen in training"))
        if self.last_month and month_of(row.date) > add_months(self.last_month, 1):
            told = f"{month_of(row.date)} is after the months that intervals are known for"
            found.append(RowWarning(i, "date", told))
        if row.median_list_price is not None and row.median_list_price > _MAX_LIST_PRICE:
            told = f"{row.median_list_price:,.0f} is above {_MAX_LIST_PRICE:,.0f}, beyond what was trained on"
            found.append(RowWarning(i, "median_list_price", told))
        return found
