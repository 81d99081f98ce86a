"""Predictions of raw rows by one bundle: encoders as dictionaries, few rows through ONNX, many through XGBoost."""

import math
from dataclasses import dataclass
from functools import lru_cache

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
from housing_serving.rows import FEATURE_NUMBERS, NUMBERS, Rows

import_xgboost()

FEW_ROWS = 64
"""Rows up to which onnxruntime answers faster than XGBoost."""
_UNKNOWN_METRO = (float("nan"), float("nan"))
_MADE = len(FEATURES) - len(NUMERIC_FEATURES)
_IS_GAP = np.array([BY_NAME[f].zero is Zero.MISSING for f in NUMERIC_FEATURES])
_IS_CENSUS_GAP = np.array([BY_NAME[f].zero is Zero.MISSING_WITH_CENSUS for f in NUMERIC_FEATURES])
_PEOPLE = NUMERIC_FEATURES.index("Total Population")
_LIST_PRICE = NUMBERS.index("median_list_price")
_MAX_LIST_PRICE = CleaningRules().max_list_price


@lru_cache(maxsize=4096)
def _place(name: str | None) -> tuple[str | None, float, float]:
    """Standard name of a metro, with its place (degrees; NaN if it is not known)."""
    if name is None:
        return (None, *_UNKNOWN_METRO)
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

    def __init__(self, bundle: Bundle, calibration: pl.DataFrame | None) -> None:
        """Load and check a verified bundle.

        Args:
            bundle: whose hashes agree.
            calibration: newest `interval_calibration` of its version; None for the bundle's own.

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
        self._ends = {metro: (math.exp(low), math.exp(high)) for metro, low, high in rows}
        # A row unlike those the intervals were measured on gets the widest that was measured anywhere.
        self._widest = (min(low for low, _ in self._ends.values()), max(high for _, high in self._ends.values()))
        # Intervals of a month rest on the months before it.
        self._known_until = None if calibration is None else month_end(add_months(calibration["last_month"][0], 1))

    def warm(self) -> None:
        """Answer once through each engine, so that the first request is no slower than the next."""
        nothing = np.full((FEW_ROWS + 1, len(FEATURES)), np.nan, np.float32)
        self.prices(nothing[:1])
        self.prices(nothing)

    def matrix(self, rows: Rows) -> np.ndarray:
        """Features of rows: float32 of shape (n, len(FEATURES)), missing NaN; as `make_features` makes them."""
        encoders = self.model.encoders
        frequency, target = encoders.zipcode_frequency, encoders.city_full_target
        made = []
        for day, zipcode, city in zip(rows.dates, rows.zipcodes, rows.cities, strict=True):
            metro, latitude, longitude = _place(city)
            made.append(
                (
                    day.year,
                    (day.month + 2) // 3,
                    day.month,
                    frequency.get(zipcode, 0.0),
                    encoders.prior if metro is None else target.get(metro, encoders.prior),
                    latitude,
                    longitude,
                )
            )
        numbers = rows.numbers[:, FEATURE_NUMBERS]
        zero = numbers == 0
        numbers[zero & (_IS_GAP | (zero[:, _PEOPLE, None] & _IS_CENSUS_GAP))] = np.nan
        found = np.empty((len(made), len(FEATURES)), np.float32)
        found[:, :_MADE] = made
        found[:, _MADE:] = numbers
        return found

    def prices(self, matrix: np.ndarray) -> np.ndarray:
        """Prices in US dollars, shape (n,), of a feature matrix."""
        if len(matrix) <= FEW_ROWS:
            raw = twin_output(self._twin, matrix)
        else:
            raw = self.model.trees.booster.inplace_predict(matrix, validate_features=False)
        return self.model.trees.prices_of(raw, matrix)

    def predict(self, rows: Rows) -> Predictions:
        """Predictions of rows, one each, in their order."""
        price = self.prices(self.matrix(rows))
        ends, pooled = self._ends, self._ends[None]
        encoders = self.model.encoders
        known_zips, known_metros = encoders.zipcode_frequency, encoders.city_full_target
        factors: list[tuple[float, float]] = []
        warnings: list[RowWarning] = []
        list_prices = rows.numbers[:, _LIST_PRICE].tolist()
        for i, (day, zipcode, city) in enumerate(zip(rows.dates, rows.zipcodes, rows.cities, strict=True)):
            metro = _place(city)[0]
            late = self._known_until is not None and day > self._known_until
            dear = list_prices[i] > _MAX_LIST_PRICE
            if zipcode in known_zips and metro in known_metros and not late and not dear:
                factors.append(ends.get(metro, pooled))
                continue
            factors.append(self._widest)
            if zipcode not in known_zips:
                warnings.append(RowWarning(i, "zipcode", f"{zipcode} was never seen in training"))
            if metro not in known_metros:
                warnings.append(RowWarning(i, "city_full", f"{city!r:.60} is no metro that was seen in training"))
            if late:
                told = f"{month_of(day)} is after the months that intervals are known for"
                warnings.append(RowWarning(i, "date", told))
            if dear:
                told = f"{list_prices[i]:,.0f} is above {_MAX_LIST_PRICE:,.0f}, beyond what was trained on"
                warnings.append(RowWarning(i, "median_list_price", told))
        low, high = np.array(factors).T
        return Predictions(price, price * low, price * high, tuple(warnings))
