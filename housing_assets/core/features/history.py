"""History: a place's own past, its metro's and the nation's, as features known when a month is predicted.

A value that is known at month t may serve predictions from the months after it alone: every feature of an origin month
reads that month and earlier ones, and nothing else. Training, monthly predictions, forecasts and HTTP all come
through `History.features`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from housing_assets.core.errors import HousingError
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
_MEAN_MONTHS = 60
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
    *(f"{who}_above_mean_{_MEAN_MONTHS}" for who in (_OWN, _METRO, _NATION)),
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

_OF = {_OWN: "its price", _METRO: "its metro's prices", _NATION: "the nation's prices"}
_SIGNAL_OF = {_OWN: "of the zip", _METRO: "of its metro", _NATION: "of the nation"}
_IN_WORDS = {
    "sale_to_list": "Sale price over list price",
    "days_on_market": "Days on market",
    "inventory": "Homes for sale",
    "above_list": "Share sold above list price",
    "supply": "Homes for sale by homes sold",
    "demand": "Homes under contract by new listings",
    "list_price": "Median list price",
}
HISTORY_DESCRIPTIONS: dict[str, str] = {
    **{f"{who}_growth_{k}": f"Growth of {of} over {k} month{'s' * (k > 1)}" for k in LAGS for who, of in _OF.items()},
    **{f"{who}_above_mean_{_MEAN_MONTHS}": f"How far {of} are from their five-year mean" for who, of in _OF.items()},
    f"{_OWN}_above_mean_{_MEAN_MONTHS}": "How far its price is from its five-year mean",
    "own_volatility_12": "How unevenly its price grew over 12 months",
    **{f"{_OWN}_{name}": f"{told}, as last known" for name, told in _IN_WORDS.items()},
    **{
        f"{who}_{name}_change_12": f"{told} {of}, against a year before"
        for name, told in _IN_WORDS.items()
        for who, of in _SIGNAL_OF.items()
    },
    **{f"{who}_growth_year_ago": f"Growth of {of} over the same months a year before" for who, of in _OF.items()},
    "own_season_sin": "Season, spring against autumn",
    "own_season_cos": "Season, winter against summer",
}
"""What the features are, in words that a buyer understands."""
assert HISTORY_DESCRIPTIONS.keys() == set(HISTORY_FEATURES), "a history feature has no words, or words no feature"

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def history_table(months: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Months of `cleaned` as `HISTORY_SCHEMA`, in the order given; rows without a price stay, for their signals."""
    wanted = [pl.col(name).cast(kind) for name, kind in HISTORY_SCHEMA.items()]
    frames = [frame.select(wanted) for frame in months]
    return pl.concat(frames) if frames else pl.DataFrame(schema=HISTORY_SCHEMA)


def require_horizon(months: int, field: str = "horizon") -> None:
    """See that a prediction so many months ahead reads nothing after its origin.

    The months a year before the predicted ones end with the origin at `LONGEST_HORIZON`; further ahead they would
    begin to come after it. Nothing ahead (0) is the price that is to be predicted.

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
    """What `History.known` asks of a zip at an origin, in words."""
    return (
        f"a price in {origin} and one {LEAST_MONTHS} months before, at most {CARRIED_MONTHS} months old each, and "
        f"{LEAST_MONTHS} prices of its own from {add_months(origin, 1 - _OWN_WINDOW)} to {origin}"
    )


@dataclass(frozen=True)
class History:
    """A panel as arrays of shape (zips, months), missing NaN.

    Attributes:
        zips: zip codes, sorted: axis 0.
        first_month: axis 1 begins here and has every month to `last_month`.
        last_month: the last month of the panel.
        metros: names, sorted.
        metro: place of each zip's metro in `metros`, shape (zips,): the first it was known under.
        priced: does the panel itself have a price? Booleans.
        log_price: natural log of US dollars; a gap of up to `CARRIED_MONTHS` has the value before it.
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
        at = rows["zip"].to_numpy(), rows["month"].to_numpy() - first

        def wide(values: pl.Expr, dtype: type) -> np.ndarray:
            found = np.full((zips.len(), last - first + 1), np.nan, dtype)
            known = pl.when(values.is_finite()).then(values).fill_null(float("nan"))
            found[at] = rows.select(known).to_series().to_numpy()
            return found

        log_price = wide(pl.col("price").log(), np.float64)
        named = rows.sort("month", maintain_order=True).group_by("zip", maintain_order=True)
        of_zip = named.agg(pl.col("city_full").drop_nulls().first().fill_null("")).sort("zip")["city_full"]
        metros = of_zip.unique().sort()
        return cls(
            tuple(zips),
            month_at(first),
            month_at(last),
            tuple(metros),
            of_zip.replace_strict(metros, range(metros.len()), return_dtype=pl.Int64).to_numpy(),
            np.isfinite(log_price),
            _carried(log_price),
            {name: _carried(wide(expression, np.float32)) for name, expression in _SIGNALS.items()},
        )

    @cached_property
    def place(self) -> dict[str, int]:
        """Where a zip is on axis 0."""
        return {zipcode: i for i, zipcode in enumerate(self.zips)}

    def column(self, month: str) -> int:
        """Where a month is on axis 1.

        Raises:
            HousingError: it is before or after the panel.
        """
        at = month_index(month) - month_index(self.first_month)
        if not 0 <= at < self.log_price.shape[1]:
            raise HousingError(
                f"{month} is outside the history, which is {self.first_month} to {self.last_month}: "
                "choose a month of it, or ingest further months"
            )
        return at

    def known(self, origin: str) -> np.ndarray:
        """Which zips have history enough to be predicted from an origin: booleans of shape (zips,).

        Enough is a price at the origin and `LEAST_MONTHS` before it, at most `CARRIED_MONTHS` old each, and
        `LEAST_MONTHS` prices of its own, not carried ones, in the months up to the origin that `history_needed` names.
        Batch, HTTP, forecasts and every fit ask here.
        """
        at = self.column(origin)
        own = self.priced[:, max(0, at - _OWN_WINDOW + 1) : at + 1].sum(axis=1)
        return np.isfinite(self.growth(origin, LEAST_MONTHS)) & (own >= LEAST_MONTHS)

    def features(self, origin: str, horizon: int) -> np.ndarray:
        """Features of every zip for a prediction from an origin: float32 of shape (zips, len(HISTORY_FEATURES)).

        Args:
            origin: the last month whose values are used.
            horizon: months from the origin to the month predicted, 1 to `LONGEST_HORIZON`.

        Raises:
            HousingError: the horizon is another, or the origin is outside the history.
        """
        return np.hstack([self.origin_features(origin), self.season_features(origin, horizon)])

    def origin_features(self, origin: str) -> np.ndarray:
        """The columns `ORIGIN_FEATURES`, float32, read-only."""
        kept = self._kept_origin.get(origin)
        if kept is None:
            kept = self._make_origin_features(origin)
            # The one asked for last: an origin's horizons are asked for one after the other.
            self._kept_origin.clear()
            self._kept_origin[origin] = kept
        return kept

    @cached_property
    def _kept_origin(self) -> dict[str, np.ndarray]:
        return {}

    def _make_origin_features(self, origin: str) -> np.ndarray:
        at = self.column(origin)
        begin = max(0, at - _MEAN_MONTHS + 1)
        columns = [column for k in LAGS for column in self._growths(at, k)]
        columns += self._columns(*(level[..., at] - _mean(level[..., begin : at + 1], -1) for level in self._levels))
        columns.append(_spread(np.diff(self.log_price[:, max(0, at - _YEAR) : at + 1], axis=1)))
        columns += [values[:, at] for values in self.signals.values()]
        for values in self.signals.values():
            own = _change(values, at, _YEAR)
            columns += self._columns(own, self._by_metro(own), _mean(own, 0))
        features = np.column_stack(columns).astype(np.float32)
        features.setflags(write=False)
        return features

    def season_features(self, origin: str, horizon: int) -> np.ndarray:
        """The columns `SEASON_FEATURES`, float32.

        Raises:
            HousingError: the horizon is not 1 to `LONGEST_HORIZON`, or the origin is outside the history.
        """
        require_horizon(horizon)
        columns = self._growths(self.column(origin) - _YEAR + horizon, horizon)
        angle = 2 * np.pi * (month_index(add_months(origin, horizon)) % _YEAR) / _YEAR
        columns += [np.full(len(self.zips), np.sin(angle)), np.full(len(self.zips), np.cos(angle))]
        return np.column_stack(columns).astype(np.float32)

    def growth(self, origin: str, months: int) -> Floats:
        """Log growth of each zip over the months before an origin, shape (zips,); NaN where it is not known."""
        return _change(self.log_price, self.column(origin), months)

    def metro_growth(self, origin: str, months: int) -> Floats:
        """Log growth of each zip's metro over the months before an origin, shape (zips,)."""
        return self._growths(self.column(origin), months)[1]

    def _growths(self, at: int, months: int) -> list[np.ndarray]:
        return self._columns(*(_change(level, at, months) for level in self._levels))

    def _columns(self, own: np.ndarray, metro: np.ndarray, nation: np.ndarray) -> list[np.ndarray]:
        """Values by zip, by metro, and of the nation, each as values by zip."""
        return [own, metro[self.metro], np.full(len(self.zips), nation)]

    @cached_property
    def _levels(self) -> tuple[Floats, Floats, Floats]:
        """Logs of the price of each zip, and of the index of each metro and of the nation: mean growth, added up."""
        growth = np.diff(self.log_price, axis=1, prepend=np.nan)
        metro = np.column_stack([self._by_metro(growth[:, at]) for at in range(growth.shape[1])])
        return self.log_price, np.nancumsum(metro, axis=1), np.nancumsum(_mean(growth, 0))

    def _by_metro(self, values: np.ndarray) -> Floats:
        """Mean of what is known of each metro's zips, shape (metros,)."""
        known = np.isfinite(values)
        count = np.bincount(self.metro[known], minlength=len(self.metros))
        total = np.bincount(self.metro[known], values[known], len(self.metros))
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _carried(values: np.ndarray) -> np.ndarray:
    """Each gap with the value before it, for `CARRIED_MONTHS` at most; never one from after it."""
    filled = values.copy()
    age = np.zeros(len(values), dtype=int)
    for at in range(1, values.shape[1]):
        missing = np.isnan(values[:, at])
        age = np.where(missing, age + 1, 0)
        carried = missing & (age <= CARRIED_MONTHS)
        filled[carried, at] = filled[carried, at - 1]
    return filled


def _change(level: np.ndarray, at: int, months: int) -> np.ndarray:
    """Change over the months before `at`, NaN where the panel had not begun."""
    if months < 0:
        raise HousingError(f"months={months} is below 0, so that it would read what comes later: give months before")
    if at - months < 0:
        return np.full(level.shape[:-1], np.nan)
    return level[..., at] - level[..., at - months]


def _mean(values: np.ndarray, axis: int) -> Floats:
    """Mean of what is known; NaN where nothing is."""
    known = np.isfinite(values)
    count = known.sum(axis=axis)
    total = np.where(known, values, 0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _spread(values: np.ndarray) -> Floats:
    """Standard deviation of each row's known values; NaN with fewer than two."""
    known = np.isfinite(values).sum(axis=1)
    squares = np.where(np.isfinite(values), (values - _mean(values, 1)[:, None]) ** 2, 0).sum(axis=1)
    return np.where(known > 1, np.sqrt(squares / np.maximum(known, 1)), np.nan)
