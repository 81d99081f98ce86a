"""Predictions of raw rows by one bundle: from the history of their zips, and where that says nothing from their own
figures: encoders as dictionaries, few rows through ONNX, many through XGBoost."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl

from housing_assets.core.features.history import History
from housing_assets.core.features.monthly import FEATURES
from housing_assets.core.intervals.conformal import interval_ends
from housing_assets.core.models.onnx import open_twin, twin_output
from housing_assets.core.models.price import PriceModel, twin_problem
from housing_assets.core.models.publication import MODEL
from housing_assets.core.months import add_months, month_end, month_of
from housing_assets.core.panel.cleaning import CleaningRules
from housing_assets.core.panel.places import place_of
from housing_assets.core.panel.schema import BY_NAME, NUMERIC_FEATURES, Zero
from housing_assets.store.bundles import Bundle, BundleError
from housing_serving.engine import import_xgboost
from housing_serving.past import Past
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
_USUAL_MAX_LIST_PRICE = CleaningRules().max_list_price
"""US dollars, of bundles from before they kept their own."""
_NO_HISTORY = "zipcode", "no price history is published yet: predicted from the figures of the month alone, less surely"


@lru_cache(maxsize=100_000)
def _place(name: str | None, zipcode: str | None) -> tuple[str | None, float, float]:
    """Standard name of a row's metro, or of its state's part without one, with its place (degrees; NaN: not known)."""
    area = place_of(name, zipcode)
    if area is None:
        return (None if name is None else " ".join(name.split()), *_UNKNOWN_METRO)
    if area.latitude is None or area.longitude is None:
        return (area.name, *_UNKNOWN_METRO)
    return (area.name, area.latitude, area.longitude)


@dataclass(frozen=True)
class RowWarning:
    """Why one row's prediction deserves less trust."""

    row: int
    field: str
    message: str


@dataclass(frozen=True)
class Predictions:
    """Prices in US dollars with their 90% intervals, shape (n,), in the order of the rows.

    Attributes:
        price, low, high: US dollars.
        from_history: which prices are from the zip's own past; booleans.
        predictors: whose number each is: the model's, or a naive baseline's that was better on eval.
        warnings: why some rows deserve less trust.
    """

    price: np.ndarray
    low: np.ndarray
    high: np.ndarray
    from_history: np.ndarray
    predictors: list[str]
    warnings: tuple[RowWarning, ...]


class _Ends:
    """Interval ends of one kind of row, as factors of the price: by metro, pooled, and the widest.

    A row unlike those the intervals were measured on gets the widest that was measured anywhere.
    """

    def __init__(self, by_metro: dict[str | None, tuple[float, float]]) -> None:
        self.by_metro = {metro: (math.exp(low), math.exp(high)) for metro, (low, high) in by_metro.items()}
        self.pooled = self.by_metro[None]
        self.widest = (
            min(low for low, _ in self.by_metro.values()),
            max(high for _, high in self.by_metro.values()),
        )


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
        self.bundle = bundle
        self.version = bundle.version
        self.model: PriceModel = bundle.model()
        if problem := twin_problem(bundle.files, self.model):
            raise BundleError(f"model {bundle.version}: {problem}")
        self._twin = open_twin(bundle.files["model.onnx"])
        self.past: Past | None = None
        kept = self.model.max_list_price
        self.max_list_price = _USUAL_MAX_LIST_PRICE if kept is None else kept
        self._take_intervals(calibration)

    def _take_intervals(self, calibration: pl.DataFrame | None) -> None:
        self.calibration = calibration
        ends = interval_ends(self.model.intervals if calibration is None else calibration)
        kinds = [{metro: e for (kind, metro), e in ends.items() if kind is wanted} for wanted in (False, True)]
        self._ends = (_Ends(kinds[0]), _Ends(kinds[1]))
        self._known_until = None if calibration is None else month_end(self.calibrated_month(calibration))

    def calibrated_month(self, calibration: pl.DataFrame) -> str:
        """The month that a calibration of this model is for: it rests on months up to the publication lag before it."""
        return add_months(calibration["last_month"][0], self.model.lag)

    def with_intervals(self, calibration: pl.DataFrame | None) -> "Predictor":
        """The same bundle with another `interval_calibration` of its version; None: with the bundle's own."""
        if calibration is self.calibration:
            return self
        if calibration is not None and self.calibration is not None and calibration.equals(self.calibration):
            return self
        changed = copy.copy(self)
        changed._take_intervals(calibration)
        return changed

    def with_history(self, history: History | None) -> "Predictor":
        """The same bundle with another history; None: without one. A model that uses none stays as it is."""
        if not self.model.uses_history or history is (self.past.history if self.past else None):
            return self
        changed = copy.copy(self)
        changed.past = Past(self.model, history) if history else None
        if changed.past:
            changed.past.warm()
        return changed

    def is_ready(self, rows: Rows) -> bool:
        """Whether these rows can be predicted at once: nothing has to be made of the history first."""
        return self.past is None or self.past.is_ready(rows)

    def warm(self) -> None:
        """Answer once through each engine, so that the first request is no slower than the next."""
        _place(None, "00000")  # reads the table of zips
        nothing = np.full((FEW_ROWS + 1, len(FEATURES)), np.nan, np.float32)
        self.prices(nothing[:1])
        self.prices(nothing)

    def matrix(self, rows: Rows) -> np.ndarray:
        """Features of rows: float32 of shape (n, len(FEATURES)), missing NaN; as `make_features` makes them."""
        encoders = self.model.encoders
        frequency, target = encoders.zipcode_frequency, encoders.city_full_target
        made = []
        for day, zipcode, city in zip(rows.dates, rows.zipcodes, rows.cities, strict=True):
            metro, latitude, longitude = _place(city, zipcode)
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

    def predict(self, rows: Rows, history: bool = True) -> Predictions:
        """Predictions of rows, one each, in their order.

        Args:
            rows: to predict.
            history: predict from the history of the zips, where there is one? If not, from the rows' figures alone.
        """
        past = self.past if history else None
        price = np.full(len(rows), np.nan) if past is None else past.prices(rows)
        known = np.isfinite(price)
        if not known.all():
            matrix = self.matrix(rows)
            price[~known] = self.prices(matrix if not known.any() else matrix[~known])
        asks_history = history and self.model.uses_history
        encoders = self.model.encoders
        known_zips, known_metros = encoders.zipcode_frequency, encoders.city_full_target
        factors: list[tuple[float, float]] = []
        warnings: list[RowWarning] = []
        from_history = known.tolist()
        list_prices = rows.numbers[:, _LIST_PRICE].tolist()
        for i, (day, zipcode, city) in enumerate(zip(rows.dates, rows.zipcodes, rows.cities, strict=True)):
            metro = _place(city)[0]
            late = self._known_until is not None and day > self._known_until
            if past is not None and from_history[i]:
                # Its price rests on its own past: neither the training rows nor its figures have a part in it.
                metro = metro or past.metro(zipcode)
                new_zip, new_metro, dear = False, city is not None and metro not in known_metros, False
            else:
                new_zip, new_metro = zipcode not in known_zips, metro not in known_metros
                dear = list_prices[i] > self.max_list_price
                if asks_history:
                    field, told = past.why_unknown(zipcode, month_of(day)) if past else _NO_HISTORY
                    warnings.append(RowWarning(i, field, told))
            ends = self._ends[from_history[i]]
            if not (new_zip or new_metro or late or dear):
                factors.append(ends.by_metro.get(metro, ends.pooled))
                continue
            factors.append(ends.widest)
            if new_zip:
                warnings.append(RowWarning(i, "zipcode", f"{zipcode} was never seen in training"))
            if new_metro:
                warnings.append(RowWarning(i, "city_full", f"{city!r:.60} is no metro that was seen in training"))
            if late:
                told = f"{month_of(day)} is after the months that intervals are known for"
                warnings.append(RowWarning(i, "date", told))
            if dear:
                told = f"{list_prices[i]:,.0f} is above {self.max_list_price:,.0f}, beyond what was trained on"
                warnings.append(RowWarning(i, "median_list_price", told))
        low, high = np.array(factors).T
        return Predictions(price, price * low, price * high, known, self.predictors(from_history), tuple(warnings))

    def predictors(self, from_history: Sequence[bool]) -> list[str]:
        """Whose number rows get, by whether each is predicted from its history."""
        name = self.model.publication.predictor
        return [name if known else MODEL for known in from_history]
