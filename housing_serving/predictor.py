"""Predictions of raw rows by one bundle, with their intervals and warnings.

A row is predicted from the history of its zip, by `history_prices`. Where that says nothing it is predicted from its
own figures here, few rows by `tree_walk` and many through XGBoost. What a body must look like belongs in `rows`,
and which bundle serves in `model_holder`.
"""

import copy
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
import polars as pl

from housing_assets.core.features.history import History
from housing_assets.core.features.monthly import FEATURES, FeatureInputs, make_features, make_matrix
from housing_assets.core.intervals.conformal import interval_ends
from housing_assets.core.models.engine import import_xgboost
from housing_assets.core.models.price import PriceModel
from housing_assets.core.models.publication import MODEL
from housing_assets.core.models.rows import feature_matrix
from housing_assets.core.months import add_months, month_end, month_of
from housing_assets.core.panel.cleaning import CleaningRules
from housing_assets.core.panel.gaps import GapRule
from housing_assets.core.panel.places import place_of
from housing_assets.core.panel.schema import NUMERIC_FEATURES
from housing_assets.store.bundles import Bundle, BundleError
from housing_serving.history_prices import HistoryPriceTables
from housing_serving.rows import FEATURE_NUMBERS, Rows
from housing_serving.tree_walk import TreeWalk

import_xgboost()

FEW_ROWS = 64
"""Rows up to which a walk of the trees answers faster than XGBoost."""
_UNKNOWN_METRO = (float("nan"), float("nan"))
_GAPS = GapRule(NUMERIC_FEATURES)
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
        predictors: of each price: the model, or a naive baseline that was better on eval.
        warnings: why some rows deserve less trust.
    """

    price: np.ndarray
    low: np.ndarray
    high: np.ndarray
    from_history: np.ndarray
    predictors: list[str]
    warnings: tuple[RowWarning, ...]


class _IntervalFactors:
    """Ends of the intervals of one kind of row as factors of the price: by metro, pooled, and the widest.

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
            BundleError: the golden rows get other prices than when it was made, or the walk other ones than XGBoost.
        """
        self.bundle = bundle
        self.version = bundle.version
        self.model: PriceModel = bundle.model()
        self._walk = TreeWalk(bundle.files["model.ubj"])
        self._require_one_answer(pl.read_parquet(io.BytesIO(bundle.files["golden_rows.parquet"])))
        self.history_prices: HistoryPriceTables | None = None
        kept = self.model.max_list_price
        self.max_list_price = _USUAL_MAX_LIST_PRICE if kept is None else kept
        self._take_intervals(calibration)

    def _require_one_answer(self, rows: pl.DataFrame) -> None:
        """Refuse trees that a walk reads otherwise than XGBoost."""
        matrix = feature_matrix(make_features(rows, self.model.encoders))
        if not np.array_equal(self._walk.output(matrix), self._of_many(matrix)):
            raise BundleError(f"model {self.version}: its trees are of a kind that the API cannot read: train it again")

    def _take_intervals(self, calibration: pl.DataFrame | None) -> None:
        self.calibration = calibration
        ends = interval_ends(self.model.intervals if calibration is None else calibration)
        kinds = [{metro: e for (kind, metro), e in ends.items() if kind is wanted} for wanted in (False, True)]
        self._factors = (_IntervalFactors(kinds[0]), _IntervalFactors(kinds[1]))
        self._calibrated_until = None if calibration is None else month_end(self.calibrated_month(calibration))

    def calibrated_month(self, calibration: pl.DataFrame) -> str:
        """The month that a calibration of this model is for, which is the publication lag after its last month."""
        return add_months(calibration["last_month"][0], self.model.lag)

    def with_intervals(self, calibration: pl.DataFrame | None) -> "Predictor":
        """The same bundle with another `interval_calibration` of its version; None stands for the bundle's own."""
        if calibration is self.calibration:
            return self
        if calibration is not None and self.calibration is not None and calibration.equals(self.calibration):
            return self
        changed = copy.copy(self)
        changed._take_intervals(calibration)
        return changed

    def with_history(self, history: History | None) -> "Predictor":
        """The same bundle with another history, or without one (None). A model that uses none stays as it is."""
        if not self.model.uses_history or history is (self.history_prices.history if self.history_prices else None):
            return self
        changed = copy.copy(self)
        changed.history_prices = HistoryPriceTables(self.model, history) if history else None
        if changed.history_prices:
            changed.history_prices.warm()
        return changed

    def is_ready(self, rows: Rows) -> bool:
        """True if these rows can be predicted at once: no table has to be computed from the history first."""
        return self.history_prices is None or self.history_prices.is_ready(rows)

    def warm(self) -> None:
        """Answer once through each engine, so that the first request is no slower than the next."""
        _place(None, "00000")  # reads the table of zips
        nothing = np.full((FEW_ROWS + 1, len(FEATURES)), np.nan, np.float32)
        self.prices(nothing[:1])
        self.prices(nothing)

    def matrix(self, rows: Rows) -> np.ndarray:
        """Features of rows: float32 of shape (n, len(FEATURES)), missing NaN."""
        numbers = rows.numbers[:, FEATURE_NUMBERS]
        _GAPS.apply(numbers)
        pairs = list(zip(rows.cities, rows.zipcodes, strict=True))
        # Many rows have few places: each is looked up once.
        found = {pair: _place(*pair) for pair in set(pairs)}
        places = [found[pair] for pair in pairs]
        inputs = FeatureInputs(
            years=np.array([day.year for day in rows.dates]),
            months=np.array([day.month for day in rows.dates]),
            zipcodes=rows.zipcodes,
            metros=[metro for metro, _, _ in places],
            latitudes=[latitude for _, latitude, _ in places],
            longitudes=[longitude for _, _, longitude in places],
            numbers=numbers,
        )
        return make_matrix(inputs, self.model.encoders)

    def prices(self, matrix: np.ndarray) -> np.ndarray:
        """Prices in US dollars, shape (n,), of a feature matrix."""
        raw = self._walk.output(matrix) if len(matrix) <= FEW_ROWS else self._of_many(matrix)
        return self.model.trees.prices_of(raw, matrix)

    def _of_many(self, matrix: np.ndarray) -> np.ndarray:
        return self.model.trees.booster.inplace_predict(matrix, validate_features=False)

    def predict(self, rows: Rows, history: bool = True) -> Predictions:
        """Predictions of rows, one each, in their order.

        Args:
            rows: to predict.
            history: True predicts from the history of the zips where there is one, False from the rows' figures alone.
        """
        tables = self.history_prices if history else None
        price = np.full(len(rows), np.nan) if tables is None else tables.prices(rows)
        is_known = np.isfinite(price)
        if not is_known.all():
            price[~is_known] = self.prices(self.matrix(rows.where(~is_known) if is_known.any() else rows))
        wants_history = history and self.model.uses_history
        factors, warnings = self._factors_and_warnings(rows, is_known, tables, wants_history)
        low, high = factors.T
        predictors = self.predictors(is_known.tolist())
        return Predictions(price, price * low, price * high, is_known, predictors, tuple(warnings))

    def known_price(self, day: date, zipcode: str, city: str | None) -> tuple[float, float, float] | None:
        """Price and 90% interval of a row, US dollars, by look-ups alone: what `predict` gives it.

        Args:
            day, zipcode, city: of the row.

        Returns:
            None if the row has no history, its month's table is still to be computed, or it gets a warning.
        """
        tables = self.history_prices
        if tables is None or (self._calibrated_until is not None and day > self._calibrated_until):
            return None
        price = tables.ready_price(day, zipcode)
        metro = _place(city, zipcode)[0]
        if not math.isfinite(price) or (city is not None and metro not in self.model.encoders.city_full_target):
            return None
        factors = self._factors[True]
        low, high = factors.by_metro.get(metro or tables.metro(zipcode), factors.pooled)
        return price, price * low, price * high

    def _factors_and_warnings(
        self, rows: Rows, from_history: np.ndarray, tables: HistoryPriceTables | None, wants_history: bool
    ) -> tuple[np.ndarray, list[RowWarning]]:
        """Interval ends of each row as factors of its price, shape (n, 2), and why some rows deserve less trust.

        Args:
            rows: that are predicted.
            from_history: of each row, whether its price is from the history; booleans, shape (n,).
            tables: of the history; None where it is not used.
            wants_history: a row without a history gets a warning.
        """
        kinds = list(zip(rows.cities, rows.zipcodes, from_history.tolist(), strict=True))
        trust = {
            (city, zipcode, known): self._trust(city, zipcode, tables if known else None)
            for city, zipcode, known in set(kinds)
        }
        factors = np.array([trust[kind][0] for kind in kinds])
        until = self._calibrated_until
        late = {day for day in set(rows.dates) if until is not None and day > until}
        list_prices = rows.column("median_list_price")
        is_dear = (list_prices > self.max_list_price) & ~from_history
        lacks_history = wants_history and not from_history.all()
        if not (late or lacks_history or is_dear.any() or any(zip_ or metro for _, zip_, metro in trust.values())):
            return factors, []
        warnings: list[RowWarning] = []
        for i, (day, kind) in enumerate(zip(rows.dates, kinds, strict=True)):
            city, zipcode, known = kind
            _, new_zip, new_metro = trust[kind]
            if wants_history and not known:
                field, reason = tables.why_unknown(zipcode, month_of(day)) if tables else _NO_HISTORY
                warnings.append(RowWarning(i, field, reason))
            if not (new_zip or new_metro or day in late or is_dear[i]):
                continue
            factors[i] = self._factors[known].widest
            if new_zip:
                warnings.append(RowWarning(i, "zipcode", f"{zipcode} was never seen in training"))
            if new_metro:
                warnings.append(RowWarning(i, "city_full", f"{city!r:.60} is no metro that was seen in training"))
            if day in late:
                reason = f"{month_of(day)} is after the months that intervals are known for"
                warnings.append(RowWarning(i, "date", reason))
            if is_dear[i]:
                reason = f"{list_prices[i]:,.0f} is above {self.max_list_price:,.0f}, beyond what was trained on"
                warnings.append(RowWarning(i, "median_list_price", reason))
        return factors, warnings

    def _trust(
        self, city: str | None, zipcode: str, tables: HistoryPriceTables | None
    ) -> tuple[tuple[float, float], bool, bool]:
        """Interval ends of rows of a place as factors of the price, and whether its zip or its metro is new.

        Args:
            city, zipcode: of the rows.
            tables: of the history, for rows that are predicted from it; None for rows predicted from their figures.
        """
        encoders = self.model.encoders
        metro = _place(city, zipcode)[0]
        if tables is None:
            new_zip, new_metro = zipcode not in encoders.zipcode_frequency, metro not in encoders.city_full_target
        else:
            # The training rows have no part in such a price.
            metro = metro or tables.metro(zipcode)
            new_zip, new_metro = False, city is not None and metro not in encoders.city_full_target
        kind = self._factors[tables is not None]
        return kind.by_metro.get(metro, kind.pooled), new_zip, new_metro

    def predictors(self, from_history: Sequence[bool]) -> list[str]:
        """Names of the predictors of rows, by whether each is predicted from its history."""
        published = self.model.publication.predictor
        return [published if is_known else MODEL for is_known in from_history]
