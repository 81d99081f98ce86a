"""How forecasts of a backtest are graded.

Every figure is a mean, so that months are tallied one by one and added up: a panel of the nation has 26 million
forecasts, which are never in memory together.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import polars as pl

from housing_assets.core.baselines.growth import NAIVE_GROWTH
from housing_assets.core.features.history import History
from housing_assets.core.forecasting.schema import MODEL, PREDICTORS, PUBLISHED
from housing_assets.core.months import Split, TimeSplit, month_index

_RESAMPLES = 1_000

FIRST_PUBLISHED = "first_published"
"""The `by` of grades against the price as it was first published."""

_GROUPS = ("overall", "year", "metro", "price_decile")
_TALLY_KEYS = ("split", "by", "group", "horizon")
_SUMS = ("rows", "absolute", "relative", "log")
TALLY_SCHEMA: dict[str, pl.DataType] = {
    **dict.fromkeys(_TALLY_KEYS, pl.String()),
    "horizon": pl.Int32(),
    **{f"{name} {kind}": pl.Int64() if kind == "rows" else pl.Float64() for name in PREDICTORS for kind in _SUMS},
}
"""Columns of tallies: for each predictor the number of its forecasts, and sums of their absolute, relative and absolute
log errors."""
SKILL_KEYS = ("split", "horizon", "origin")
SKILL_SCHEMA: dict[str, pl.DataType] = {
    **dict.fromkeys(SKILL_KEYS, pl.String()),
    "horizon": pl.Int32(),
    **dict.fromkeys((MODEL, *NAIVE_GROWTH), pl.Float64()),
}
"""Columns of skill totals: sums of absolute relative errors of an origin."""
COVERED_KEYS = ("split", "year", "horizon")
COVERED_SCHEMA: dict[str, pl.DataType] = {
    **dict.fromkeys(COVERED_KEYS, pl.String()),
    "horizon": pl.Int32(),
    "rows": pl.Int64(),
    "inside": pl.Int64(),
    "width": pl.Float64(),
}
"""Columns of coverage tallies: forecasts with an interval, those whose outcome is inside, and the sum of the widths."""


def tally(history: History, known: pl.DataFrame, log_first: np.ndarray | None = None) -> pl.DataFrame:
    """Errors of every predictor by what tells forecasts apart, as sums.

    Args:
        history: of the zips of `known`.
        known: see `with_outcome`.
        log_first: log of first published prices, see `first_outcomes`; None: none is known.

    Returns:
        `TALLY_SCHEMA`, by overall, year, metro, price_decile and first_published. The decile is of the zip's price at
        the origin, among all zips forecast from there: the same at every horizon. Rows by `first_published` are of the
        outcomes whose first published price is known, and against that price instead of the newest.
    """
    metro = pl.Series(history.metros).gather(history.metro[known["zip"].to_numpy()])
    known = known.with_columns(
        pl.lit("all").alias("overall"),
        pl.col("month").str.slice(0, 4).alias("year"),
        metro.alias("metro"),
    )
    errors = _with_errors(known, _GROUPS)
    tallied = [_tallied_by(errors, by) for by in _GROUPS]
    if log_first is not None and known.height:
        against = _with_errors(_against_first(history, known, log_first), (FIRST_PUBLISHED,))
        tallied.append(_tallied_by(against, FIRST_PUBLISHED))
    return pl.concat(tallied)


def _with_errors(known: pl.DataFrame, groups: Sequence[str]) -> pl.DataFrame:
    """What rows are grouped by, with two errors of each predictor: `relative` and `log`. Made once for all groups."""
    columns = []
    for predictor in PREDICTORS:
        error = (pl.col(predictor) - pl.col("growth")).cast(pl.Float64)
        columns += [(error.exp() - 1).alias(f"{predictor} relative"), error.abs().alias(f"{predictor} log")]
    return known.select("split", "horizon", *groups, *columns)


def _tallied_by(errors: pl.DataFrame, by: str) -> pl.DataFrame:
    sums = []
    for predictor in PREDICTORS:
        relative, log = (pl.col(f"{predictor} {kind}") for kind in ("relative", "log"))
        sums += [
            relative.count().alias(f"{predictor} rows"),
            relative.abs().sum().alias(f"{predictor} absolute"),
            relative.sum(),
            log.sum(),
        ]
    groups = errors.group_by("split", "horizon", pl.col(by).alias("group")).agg(sums)
    named = groups.with_columns(pl.lit(by).alias("by"))
    return named.select(pl.col(name).cast(kind) for name, kind in TALLY_SCHEMA.items())


def added_up(tables: Iterable[pl.DataFrame], keys: Sequence[str] = _TALLY_KEYS) -> pl.DataFrame:
    """Tallies of several months as one, in the order of their keys."""
    return pl.concat(tables).group_by(keys).sum().sort(keys)


def figures(tallies: pl.DataFrame, published: Mapping[int, str]) -> pl.DataFrame:
    """Error figures of every predictor, and of what is published, by horizon and by what else tells forecasts apart.

    Args:
        tallies: see `tally`.
        published: predictor by horizon.

    Returns:
        `split`, `by`, `group`, `horizon`, `predictor` (with `published`), `rows`, `mape`, `bias` (percent of the
        price), `log_mae`.
    """
    order = ["split", "by", "group", "horizon", "predictor"]
    parts = []
    for predictor in PREDICTORS:
        rows, absolute, relative, log = (pl.col(f"{predictor} {kind}") for kind in _SUMS)
        parts.append(
            tallies.filter(rows > 0).select(
                *_TALLY_KEYS,
                pl.lit(predictor).alias("predictor"),
                rows.alias("rows"),
                (100 * absolute / rows).alias("mape"),
                (100 * relative / rows).alias("bias"),
                (log / rows).alias("log_mae"),
            )
        )
    graded = pl.concat(parts).select(*order, "rows", "mape", "bias", "log_mae")
    chosen = pl.col("horizon").replace_strict(published, return_dtype=pl.String, default=None)
    of_published = graded.filter(pl.col("predictor") == chosen).with_columns(pl.lit(PUBLISHED).alias("predictor"))
    return pl.concat([graded, of_published]).sort(order)


def first_outcomes(history: History, first: pl.DataFrame) -> np.ndarray | None:
    """Log of first published prices by zip and month of a history, shape (zips, months), NaN where none is known.

    Args:
        history: of all zips. Prices of other zips and months are left out.
        first: `housing_assets.core.vintages.first_prices.FIRST_SCHEMA`; without a row the answer is None.
    """
    if first.is_empty():
        return None
    log_first = np.full(history.log_price.shape, np.nan)
    zips = pl.Series(history.zips)
    index = first["zipcode"].replace_strict(zips, pl.arange(len(zips), dtype=pl.Int64, eager=True), default=None)
    month = (
        first["date"].dt.year().cast(pl.Int64) * 12 + first["date"].dt.month() - 1 - month_index(history.first_month)
    )
    inside = index.is_not_null() & month.is_between(0, log_first.shape[1] - 1)
    rows, columns, prices = (column.filter(inside).to_numpy() for column in (index, month, first["first_price"]))
    log_first[rows, columns] = np.log(prices)
    return log_first


def _against_first(history: History, known: pl.DataFrame, log_first: np.ndarray) -> pl.DataFrame:
    """The rows whose outcome has a first published price, with `growth` up to that price."""
    months = known["month"].unique()
    columns = known["month"].replace_strict(months, [history.column(month) for month in months])
    price = pl.Series(log_first[known["zip"].to_numpy(), columns.to_numpy()]).fill_nan(None)
    growth = (price - known["last_known_price"].log()).alias("growth")
    return known.with_columns(growth.cast(pl.Float32), pl.lit("all").alias(FIRST_PUBLISHED)).drop_nulls("growth")


def with_outcome(rows: pl.DataFrame, split: TimeSplit) -> pl.DataFrame:
    """The rows of eval and holdout whose outcome is known.

    Args:
        rows: of some months, as `housing_assets.core.forecasting.backtest.Backtest.advance` gives them.
        split: a forecast belongs to the split of the month it is of.

    Returns:
        `rows` with `split`.
    """
    graded = rows.filter(pl.col("growth").is_not_null() & (pl.col("month") >= split.eval_start))
    is_eval = pl.col("month") < split.holdout_start
    named = pl.when(is_eval).then(pl.lit(str(Split.EVAL))).otherwise(pl.lit(str(Split.HOLDOUT)))
    return graded.with_columns(named.alias("split"))


def published_predictions(published: Mapping[int, str]) -> pl.Expr:
    """Log growth that is published, in rows of a backtest."""
    chosen: pl.Expr = pl.lit(None, pl.Float32)
    for horizon, predictor in published.items():
        chosen = pl.when(pl.col("horizon") == horizon).then(pl.col(predictor)).otherwise(chosen)
    return chosen.alias(PUBLISHED)


def best_naive(errors: Mapping[str, float]) -> str:
    """The naive baseline with the least error."""
    return min(NAIVE_GROWTH, key=lambda name: errors[name])


def skill_totals(known: pl.DataFrame) -> pl.DataFrame:
    """Absolute relative errors of the model and of the naive baselines, added up by origin: `SKILL_SCHEMA`.

    Args:
        known: see `with_outcome`. Rows that the model does not forecast are left out.
    """
    errors = (
        ((pl.col(name) - pl.col("growth")).cast(pl.Float64).exp() - 1).abs().alias(name)
        for name in (MODEL, *NAIVE_GROWTH)
    )
    modelled = known.filter(pl.col(MODEL).is_not_null()).select(*SKILL_KEYS, *errors)
    totals = modelled.group_by(SKILL_KEYS).sum().sort(SKILL_KEYS)
    return totals.select(pl.col(name).cast(kind) for name, kind in SKILL_SCHEMA.items())


def skill_table(totals: pl.DataFrame, seed: int = 0) -> pl.DataFrame:
    """How much of each baseline's error the model saves, with its uncertainty.

    The interval is the percentile bootstrap of Efron (1979) over origins: what happens in a month happens to all zips,
    so that resampling rows would make it far too narrow.

    Args:
        totals: see `skill_totals`.
        seed: of the resamples.

    Returns:
        A row for each split, horizon and naive baseline: `split`, `horizon`, `against`, `origins`, `skill`,
        `skill_low`, `skill_high` (95%), in percent: 100 * (1 - mean absolute % error / the baseline's).
    """
    found = []
    for (part, horizon), of_horizon in totals.sort(SKILL_KEYS).group_by("split", "horizon", maintain_order=True):
        count = of_horizon.height
        draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=_RESAMPLES)
        model = of_horizon[MODEL].to_numpy()
        for name in NAIVE_GROWTH:
            naive = of_horizon[name].to_numpy()
            low, high = np.percentile(100 * (1 - (draws @ model) / (draws @ naive)), [2.5, 97.5])
            skill = 100 * (1 - model.sum() / naive.sum())
            found.append((part, horizon, name, count, float(skill), float(low), float(high)))
    names = ["split", "horizon", "against", "origins", "skill", "skill_low", "skill_high"]
    return pl.DataFrame(found, schema=names, orient="row")


def covered(known: pl.DataFrame, widths: pl.DataFrame, published: Mapping[int, str]) -> pl.DataFrame:
    """Outcomes inside their interval, and its width in parts of the forecast, added up: `COVERED_SCHEMA`.

    Args:
        known: see `with_outcome`.
        widths: `housing_assets.core.forecasting.schema.INTERVAL_SCHEMA`, of the origins of `known`.
        published: predictor by horizon.
    """
    columns = ("split", "month", "origin", "horizon", "noise", "growth")
    forecasts = known.select(*columns, published_predictions(published)).drop_nulls(PUBLISHED)
    of_origin = widths.select("origin", pl.col("horizon").cast(pl.Int32), "log_common", "log_own")
    joined = forecasts.join(of_origin, on=["origin", "horizon"], maintain_order="left")
    log_width = (pl.col("log_common") ** 2 + (pl.col("log_own") * pl.col("noise")) ** 2).sqrt()
    sums = joined.group_by("split", pl.col("month").str.slice(0, 4).alias("year"), "horizon").agg(
        pl.len().alias("rows"),
        ((pl.col(PUBLISHED) - pl.col("growth")).abs() <= log_width).sum().alias("inside"),
        (log_width.exp() - (-log_width).exp()).sum().alias("width"),
    )
    return sums.select(pl.col(name).cast(kind) for name, kind in COVERED_SCHEMA.items())


def coverage_table(sums: pl.DataFrame) -> pl.DataFrame:
    """Share of outcomes inside their interval, by split, year and horizon, beside the width.

    Args:
        sums: see `covered`.

    Returns:
        `split`, `year`, `horizon`, `rows`, `coverage` (percent), `width` (percent of the forecast).
    """
    coverage, width = (100 * pl.col(name) / pl.col("rows") for name in ("inside", "width"))
    return sums.select(*COVERED_KEYS, "rows", coverage.alias("coverage"), width.alias("width")).sort(COVERED_KEYS)
