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
from housing_assets.core.months import add_months, month_end, month_of
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
_IS_GAP = np.array([f in NUMERIC_FEATURES and BY_NAME[f].zero is Zero.MISSING for f in FEATURES])
_IS_CENSUS_GAP = np.array([f in NUMERIC_FEATURES and BY_NAME[f].zero is Zero.MISSING_WITH_CENSUS for f in FEATURES])
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
        self.bundle, self.calibration = bundle, calibration
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
        # Intervals of a month rest on the months before it.
        self._known_until = None if calibration is None else month_end(add_months(calibration["last_month"][0], 1))
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
        zero = found == 0
        found[zero & (_IS_GAP | (zero[:, _PEOPLE, None] & _IS_CENSUS_GAP))] = np.nan
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
        ends, pooled = self._ends, self._ends[None]
        logs: list[tuple[float, float]] = []
        warnings: list[RowWarning] = []
        for i, row in enumerate(rows):
            metro = _place(row.city_full)[0] if row.city_full is not None else None
            told = self._warnings(i, row, metro)
            warnings += told
            logs.append(self._widest if told else ends.get(metro, pooled))
        low, high = np.exp(np.array(logs)).T
        return Predictions(price, price * low, price * high, tuple(warnings))

    def _warnings(self, i: int, row: Any, metro: str | None) -> Sequence[RowWarning]:
        zipcode_known = row.zipcode in self.model.encoders.zipcode_frequency
        metro_known = metro in self.model.encoders.city_full_target
        late = self._known_until is not None and row.date > self._known_until
        dear = row.median_list_price is not None and row.median_list_price > _MAX_LIST_PRICE
        if zipcode_known and metro_known and not late and not dear:
            return ()
        found = []
        if not zipcode_known:
            found.append(RowWarning(i, "zipcode", f"{row.zipcode} was never seen in training"))
        if not metro_known:
            found.append(RowWarning(i, "city_full", f"{row.city_full!r} is no metro that was seen in training"))
        if late:
            told = f"{month_of(row.date)} is after the months that intervals are known for"
            found.append(RowWarning(i, "date", told))
        if dear:
            told = f"{row.median_list_price:,.0f} is above {_MAX_LIST_PRICE:,.0f}, beyond what was trained on"
            found.append(RowWarning(i, "median_list_price", told))
        return found
