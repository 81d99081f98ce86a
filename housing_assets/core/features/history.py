"""History: a place's own past, its metro's and the nation's, as features known when a month is predicted.

A value that is known at month t may serve predictions from the months after it alone: every feature of an origin month
reads that month and earlier ones, and nothing else. Training, monthly predictions, forecasts and HTTP all
read it through `History.at`.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import polars as pl

from housing_assets.core.errors import HousingError
from housing_assets.core.features.series import (
    Floats,
    carry_forward,
    change_before,
    deviation_of_known,
    mean_of_known,
)
from housing_assets.core.limits import LONGEST_HORIZON
from housing_assets.core.months import add_months, month_at, month_index

HISTORY_SCHEMA: dict[str, pl.DataType] = {
    "date": pl.Date(),
    "zipcode": pl.String(),
    "city_full": pl.String(),
    "price": pl.Float64(),
    "median_list_price": pl.Float32(),
    "homes_sold": pl.Float32(),
    "pending_sales": pl.Float32(),
    "new_listings": pl.Float32(),
    "inventory": pl.Float32(),
    "median_dom": pl.Float32(),
    "avg_sale_to_list": pl.Float32(),
    "sold_above_list": pl.Float32(),
}
"""Columns of `price_history`: what of `cleaned` a later month may be predicted from."""

LAGS: tuple[int, ...] = (1, 2, 3, 6, 12, 24)
"""Months over which growth is measured."""
LEAST_MONTHS = 12
"""Months with a price of its own that a zip's history needs: a year, since growth over a year and the growth of the
same season a year ago are what a prediction rests on. See `History.known`."""
CARRIED_MONTHS = 6
"""Months that a last known value stands for the missing ones after it."""
_OWN_WINDOW = LEAST_MONTHS + CARRIED_MONTHS
"""Months up to an origin that hold these prices: the year, and as many more as a last price may stand for."""
JUMP = 0.2
"""Log change in one month that is a change of level, such as a restatement, and no growth of a metro or the nation. The
largest monthly growth in real metro indices from 2000 to 2024 is 0.07."""
RECENT_MONTHS = 24
"""Months of growth up to an origin that tell how noisy a place is. Its last months are what it is forecast from."""
MEAN_MONTHS = 60
"""Months of the mean price that a price is held against."""
_YEAR = 12

_SIGNALS: dict[str, pl.Expr] = {
    "sale_to_list": pl.col("avg_sale_to_list"),
    "days_on_market": pl.col("median_dom").log(),
    "inventory": pl.col("inventory").log(),
    "above_list": pl.col("sold_above_list"),
    "supply": (pl.col("inventory") / pl.col("homes_sold")).log(),
    "demand": (pl.col("pending_sales") / pl.col("new_listings")).log(),
    "list_price": pl.col("median_list_price").log(),
}
SIGNALS: tuple[str, ...] = tuple(_SIGNALS)
"""Market signals, as last known: amounts and ratios of amounts as logs."""

_OWN, _METRO, _NATION = "own", "metro", "nation"
ORIGIN_FEATURES: tuple[str, ...] = (
    *(f"{who}_growth_{k}" for k in LAGS for who in (_OWN, _METRO, _NATION)),
    *(f"{who}_above_mean_{MEAN_MONTHS}" for who in (_OWN, _METRO, _NATION)),
    "own_volatility_12",
    *(f"own_{name}" for name in SIGNALS),
    *(f"{who}_{name}_change_12" for name in SIGNALS for who in (_OWN, _METRO, _NATION)),
)
"""Features of an origin month, whatever the horizon."""
SEASON_FEATURES: tuple[str, ...] = (
    "own_growth_year_ago",
    "metro_growth_year_ago",
    "nation_growth_year_ago",
    "own_season_sin",
    "own_season_cos",
)
"""Features of an origin month and a horizon: growth over the same months a year before, and the season."""
HISTORY_FEATURES: tuple[str, ...] = (*ORIGIN_FEATURES, *SEASON_FEATURES)
"""Names and order of the columns of `History.features`."""


def history_table(months: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Months of `cleaned` as one frame of `HISTORY_SCHEMA`, in the order given.

    Rows without a price stay, for their signals.
    """
    columns = [pl.col(name).cast(kind) for name, kind in HISTORY_SCHEMA.items()]
    frames = [frame.select(columns) for frame in months]
    return pl.concat(frames) if frames else pl.DataFrame(schema=HISTORY_SCHEMA)


def require_horizon(months: int, field: str = "horizon") -> None:
    """Refuse a horizon at which a prediction would read something after its origin.

    The months a year before the predicted ones end with the origin at `LONGEST_HORIZON`. Further ahead they would
    begin to come after it. Horizon 0 is the price that is to be predicted.

    Args:
        months: from the origin to the month predicted.
        field: what the caller's user knows the number as.

    Raises:
        HousingError: it is not 1 to `LONGEST_HORIZON`.
    """
    if not 1 <= months <= LONGEST_HORIZON:
        raise HousingError(
            f"{field}={months} is not 1 to {LONGEST_HORIZON}, the months ahead that history features know nothing "
            f"later than their origin for: choose a {field} of at most {LONGEST_HORIZON} months, or a later origin"
        )


def history_needed(origin: str) -> str:
    """The prices that `History.known` requires of a zip at an origin, in words."""
    return (
        f"a price in {origin} and one {LEAST_MONTHS} months before, at most {CARRIED_MONTHS} months old each, and "
        f"{LEAST_MONTHS} prices of its own from {add_months(origin, 1 - _OWN_WINDOW)} to {origin}"
    )


class PriceLevels(NamedTuple):
    """Logs of the price of each zip, and of the index of each metro and of the nation.

    Attributes:
        own: shape (zips, months).
        metro: shape (metros, months): mean growth of its zips, added up.
        nation: shape (months,): mean growth of all zips, added up.
    """

    own: Floats
    metro: Floats
    nation: Floats


@dataclass(frozen=True)
class History:
    """A panel as arrays of shape (zips, months), missing NaN.

    Each month lies together in memory where `from_table` made them, since nearly all that is read is a month of all
    zips.

    Attributes:
        zips: zip codes, sorted: axis 0.
        first_month: axis 1 begins here and has every month to `last_month`.
        last_month: the last month of the panel.
        metros: names, sorted.
        metro: index of each zip's metro in `metros`, shape (zips,): the first metro that the zip was listed under.
        priced: True where the panel itself has a price; booleans.
        log_price: natural log of US dollars. A gap of up to `CARRIED_MONTHS` has the value before it.
        signals: by name of `SIGNALS`, carried over gaps likewise; float32.
    """

    zips: tuple[str, ...]
    first_month: str
    last_month: str
    metros: tuple[str, ...]
    metro: np.ndarray
    priced: np.ndarray
    log_price: Floats
    signals: Mapping[str, np.ndarray]

    @classmethod
    def from_months(cls, months: Iterable[pl.DataFrame]) -> "History":
        """The history of months of `cleaned`.

        Raises:
            HousingError: no row has a price.
        """
        return cls.from_table(history_table(months))

    @classmethod
    def from_table(cls, table: pl.DataFrame) -> "History":
        """Read the table of `history_table`.

        Raises:
            HousingError: it has no row with a price.
        """
        if table["price"].drop_nulls().is_empty():
            raise HousingError("there is no history: no row has a price. Materialize cleaned first")
        zips = table["zipcode"].unique().sort()
        index = (pl.col("date").dt.year().cast(pl.Int64) * 12 + pl.col("date").dt.month() - 1).alias("month")
        rows = table.with_columns(index, pl.col("zipcode").replace_strict(zips, range(zips.len())).alias("zip"))
        first, last = (int(month) for month in rows.select(pl.min("month"), last=pl.max("month")).row(0))
        cells = rows["zip"].to_numpy(), rows["month"].to_numpy() - first

        def as_matrix(values: pl.Expr, dtype: type) -> np.ndarray:
            matrix = np.full((zips.len(), last - first + 1), np.nan, dtype, order="F")
            finite = pl.when(values.is_finite()).then(values).fill_null(float("nan"))
            matrix[cells] = rows.select(finite).to_series().to_numpy()
            return matrix

        log_price = as_matrix(pl.col("price").log(), np.float64)
        listed = rows.select("zip", "month", "city_full")
        if not listed["month"].is_sorted():
            listed = listed.sort("month", maintain_order=True)
        first_listed = pl.col("city_full").drop_nulls().first().fill_null("")
        of_zip = listed.group_by("zip").agg(first_listed).sort("zip")["city_full"]
        metros = of_zip.unique().sort()
        return cls(
            zips=tuple(zips),
            first_month=month_at(first),
            last_month=month_at(last),
            metros=tuple(metros),
            metro=of_zip.replace_strict(metros, range(metros.len()), return_dtype=pl.Int64).to_numpy(),
            priced=np.isfinite(log_price),
            log_price=carry_forward(log_price, CARRIED_MONTHS),
            signals={
                name: carry_forward(as_matrix(values, np.float32), CARRIED_MONTHS) for name, values in _SIGNALS.items()
            },
        )

    @cached_property
    def zip_index(self) -> dict[str, int]:
        """Index of each zip code on axis 0."""
        return {zipcode: i for i, zipcode in enumerate(self.zips)}

    @cached_property
    def levels(self) -> PriceLevels:
        """Log price levels of the zips, the metros and the nation in every month."""
        growth = np.diff(self.log_price, axis=1, prepend=np.nan)
        with np.errstate(invalid="ignore"):
            growth = np.where(np.abs(growth) < JUMP, growth, np.nan)
        metro = np.column_stack([self.metro_means(growth[:, column]) for column in range(growth.shape[1])])
        nation = mean_of_known(growth, 0)
        return PriceLevels(self.log_price, np.nancumsum(metro, axis=1), np.nancumsum(nation))

    def monthly_growth(self, first: int, last: int) -> dict[str, np.ndarray]:
        """Monthly log growth of zips beside their metro, metros beside the nation, and the nation.

        Args:
            first, last: columns between whose levels growth is taken; `last` is the last one that is read.

        Returns:
            By `own`, `metro` and `nation`, shapes (zips, last - first), (metros, last - first), (1, last - first).
            Growth that is not known, or that is a `JUMP`, is NaN.
        """
        own, metro, nation = (np.diff(level[..., first : last + 1], axis=-1) for level in self.levels)
        with np.errstate(invalid="ignore"):
            own = np.where(np.abs(own) < JUMP, own, np.nan)
        return {_OWN: own - metro[self.metro], _METRO: metro - nation, _NATION: nation[None, :]}

    def column(self, month: str) -> int:
        """Index of a month on axis 1.

        Raises:
            HousingError: it is before or after the panel.
        """
        column = month_index(month) - month_index(self.first_month)
        if not 0 <= column < self.log_price.shape[1]:
            raise HousingError(
                f"{month} is outside the history, which is {self.first_month} to {self.last_month}: "
                "choose a month of it, or ingest further months"
            )
        return column

    def at(self, origin: str) -> "HistoryAtOrigin":
        """The history as it was known at an origin, which is all that a forecaster is shown.

        Raises:
            HousingError: the origin is outside the history.
        """
        return HistoryAtOrigin(self, origin, self.column(origin))

    def prepared_at(self, origin: str) -> "HistoryAtOrigin":
        """`at`, with what all horizons have in common made, so that threads which forecast several find it made."""
        at = self.at(origin)
        at.prepare()
        return at

    def until(self, last: str) -> "History":
        """The same history as if nothing after a month were known yet. Later months are not missing, they are gone.

        Raises:
            HousingError: the month is outside the history.
        """
        end = self.column(last) + 1
        return replace(
            self,
            last_month=last,
            priced=self.priced[:, :end],
            log_price=self.log_price[:, :end],
            signals={name: values[:, :end] for name, values in self.signals.items()},
        )

    def zips_until(self, last: str) -> int:
        """Number of zips that have a price in a month or before it.

        Raises:
            HousingError: the month is outside the history.
        """
        return int(np.isfinite(self.log_price[:, : self.column(last) + 1]).any(axis=1).sum())

    def known(self, origin: str) -> np.ndarray:
        """See `HistoryAtOrigin.known`."""
        return self.at(origin).known

    def features(self, origin: str, horizon: int) -> np.ndarray:
        """See `HistoryAtOrigin.features`."""
        return self.at(origin).features(horizon)

    def outcome(self, origin: str, horizon: int, last: str | None = None) -> np.ndarray:
        """Log growth that followed an origin, shape (zips,).

        Args:
            origin: month of the panel.
            horizon: months from the origin to the month whose price is compared.
            last: a later month counts as unknown; None: the last month of the panel.

        Returns:
            NaN where the panel has no price of its own in that month.
        """
        month = add_months(origin, horizon)
        if month > min(last or self.last_month, self.last_month):
            return np.full(len(self.zips), np.nan)
        return np.where(self.priced[:, self.column(month)], self.at(month).growth(horizon), np.nan)

    def metro_means(self, values: np.ndarray) -> Floats:
        """Mean of the values of each metro's zips that are not missing, shape (metros,).

        Args:
            values: by zip, shape (zips,).
        """
        is_known = np.isfinite(values)
        count = np.bincount(self.metro[is_known], minlength=len(self.metros))
        total = np.bincount(self.metro[is_known], values[is_known], len(self.metros))
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    def fingerprint(self, last: str) -> str:
        """Hex digest of everything that the history holds up to a month.

        Zips that have no value by then have no part in it, so that a panel and its continuation agree.

        Raises:
            HousingError: the month is outside the history.
        """
        end = self.column(last) + 1
        log_price, priced = self.log_price[:, :end], self.priced[:, :end]
        signals = [values[:, :end] for values in self.signals.values()]
        listed = np.isfinite(log_price).any(axis=1)
        for values in signals:
            listed |= np.isfinite(values).any(axis=1)
        names = [(self.zips[i], self.metros[self.metro[i]]) for i in np.flatnonzero(listed)]
        digest = hashlib.sha256(json.dumps([self.first_month, last, names]).encode())
        for values in (log_price, priced, *signals):
            digest.update(np.ascontiguousarray(values[listed]).data)
        return digest.hexdigest()


@dataclass(frozen=True)
class HistoryAtOrigin:
    """What was known of every zip at an origin: values of that month and of earlier ones, and nothing else.

    Attributes:
        history: of all zips.
        origin: the last month whose values are used.
        column: index of that month in the history.
    """

    history: History
    origin: str
    column: int

    @cached_property
    def known(self) -> np.ndarray:
        """True for the zips with enough history to be predicted from the origin: booleans of shape (zips,).

        Enough is a price at the origin and `LEAST_MONTHS` before it, at most `CARRIED_MONTHS` old each, and
        `LEAST_MONTHS` prices of its own, not carried ones, in the months up to the origin that `history_needed` names.
        This is the one rule for batch, HTTP, forecasts and every fit.
        """
        begin = max(0, self.column - _OWN_WINDOW + 1)
        own_prices = self.history.priced[:, begin : self.column + 1].sum(axis=1)
        return np.isfinite(self.growth(LEAST_MONTHS)) & (own_prices >= LEAST_MONTHS)

    def prepare(self) -> None:
        """Make what all horizons have in common."""
        _ = self.known, self.recent_growth, self.origin_features

    @property
    def log_price(self) -> Floats:
        """Natural log of the last known price in US dollars, shape (zips,)."""
        return self.history.log_price[:, self.column]

    def growth(self, months: int) -> Floats:
        """Log growth of each zip over the months before the origin, shape (zips,); NaN where it is not known."""
        return change_before(self.history.levels.own, self.column, months)

    def metro_growth(self, months: int) -> Floats:
        """Log growth of each zip's metro over the months before the origin, shape (zips,)."""
        return change_before(self.history.levels.metro, self.column, months)[self.history.metro]

    @cached_property
    def recent_growth(self) -> Mapping[str, np.ndarray]:
        """`History.monthly_growth` of the `RECENT_MONTHS` up to the origin, fewer where the panel had not begun."""
        return self.history.monthly_growth(max(0, self.column - RECENT_MONTHS), self.column)

    def features(self, horizon: int) -> np.ndarray:
        """Features of every zip for a prediction: float32 of shape (zips, len(HISTORY_FEATURES)).

        Args:
            horizon: months from the origin to the month predicted, 1 to `LONGEST_HORIZON`.

        Raises:
            HousingError: the horizon is another.
        """
        return np.hstack([self.origin_features, self.season_features(horizon)])

    @cached_property
    def origin_features(self) -> np.ndarray:
        """The columns `ORIGIN_FEATURES`, float32 of shape (zips, len(ORIGIN_FEATURES)), read-only."""
        history, column = self.history, self.column
        columns: dict[str, np.ndarray] = {}
        for months in LAGS:
            columns |= self._by_scope(f"growth_{months}", self._growths(column, months))
        begin = max(0, column - MEAN_MONTHS + 1)
        above_mean = PriceLevels(
            *(level[..., column] - mean_of_known(level[..., begin : column + 1], -1) for level in history.levels)
        )
        columns |= self._by_scope(f"above_mean_{MEAN_MONTHS}", above_mean)
        last_year = np.diff(history.log_price[:, max(0, column - _YEAR) : column + 1], axis=1)
        columns["own_volatility_12"] = deviation_of_known(last_year)
        for name, values in history.signals.items():
            columns[f"own_{name}"] = values[:, column]
            own = change_before(values, column, _YEAR)
            changes = PriceLevels(own, history.metro_means(own), mean_of_known(own, 0))
            columns |= self._by_scope(f"{name}_change_12", changes)
        features = np.column_stack([columns[name] for name in ORIGIN_FEATURES]).astype(np.float32)
        features.setflags(write=False)
        return features

    def season_features(self, horizon: int) -> np.ndarray:
        """The columns `SEASON_FEATURES`, float32 of shape (zips, len(SEASON_FEATURES)).

        Raises:
            HousingError: the horizon is not 1 to `LONGEST_HORIZON`.
        """
        require_horizon(horizon)
        columns = self._by_scope("growth_year_ago", self._growths(self.column - _YEAR + horizon, horizon))
        angle = 2 * np.pi * (month_index(add_months(self.origin, horizon)) % _YEAR) / _YEAR
        zips = len(self.history.zips)
        columns |= {"own_season_sin": np.full(zips, np.sin(angle)), "own_season_cos": np.full(zips, np.cos(angle))}
        return np.column_stack([columns[name] for name in SEASON_FEATURES]).astype(np.float32)

    def _growths(self, column: int, months: int) -> PriceLevels:
        """Log growth of the zips, the metros and the nation over the months before a column."""
        return PriceLevels(*(change_before(level, column, months) for level in self.history.levels))

    def _by_scope(self, name: str, values: PriceLevels) -> dict[str, np.ndarray]:
        """Values of the zips, the metros and the nation as columns of shape (zips,), by feature name."""
        nation = np.full(len(self.history.zips), values.nation)
        return {
            f"{_OWN}_{name}": values.own,
            f"{_METRO}_{name}": values.metro[self.history.metro],
            f"{_NATION}_{name}": nation,
        }
