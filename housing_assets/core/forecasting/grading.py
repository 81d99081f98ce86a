"""How forecasts of a backtest are graded, and which predictor is published for it."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from housing_assets.core.baselines.growth import NAIVE_GROWTH
from housing_assets.core.errors import HousingError
from housing_assets.core.features.history import History
from housing_assets.core.forecasting.backtest import Backtest
from housing_assets.core.forecasting.schema import MODEL, PREDICTORS, PUBLISHED
from housing_assets.core.months import Split, TimeSplit, month_index

_RESAMPLES = 1_000

FIRST_PUBLISHED = "first_published"
"""The `by` of grades against the price as it was first published."""

_SPLITS = pl.Enum([str(Split.EVAL), str(Split.HOLDOUT)])

_GROUPS = ("overall", "year", "metro", "price_decile")


def grade(
    history: History,
    known: pl.DataFrame,
    published: Mapping[int, str],
    log_first: np.ndarray | None = None,
) -> pl.DataFrame:
    """Error figures of every predictor, and of what is published, by horizon and by what else tells forecasts apart.

    Args:
        history: of the zips of `known`.
        known: of one horizon or several, see `with_outcome`.
        published: predictor by horizon.
        log_first: log of first published prices, see `first_outcomes`; None: none is known.

    Returns:
        `split`, `by` (overall, year, metro, price_decile, first_published), `group`, `horizon`, `predictor` (with
        `published`), `rows`, `mape`, `mdape`, `bias` (percent of the price), `log_mae`. The decile is of the zip's
        price at the origin, among all zips forecast from there: the same at every horizon. Rows by `first_published`
        are of the outcomes whose first published price is known, and against that price instead of the newest.
    """
    metro = pl.Series(history.metros).gather(history.metro[known["zip"].to_numpy()])
    known = known.with_columns(
        pl.lit("all").alias("overall"),
        pl.col("month").str.slice(0, 4).alias("year"),
        metro.alias("metro"),
    )
    errors = _with_errors(known, _GROUPS)
    graded = [_graded_by(errors, by) for by in _GROUPS]
    if log_first is not None and known.height:
        against = _with_errors(_against_first(history, known, log_first), (FIRST_PUBLISHED,))
        graded.append(_graded_by(against, FIRST_PUBLISHED))
    order = ["split", "by", "group", "horizon", "predictor"]
    figures = pl.concat(graded).select(*order, "rows", "mape", "mdape", "bias", "log_mae")
    chosen = pl.col("horizon").replace_strict(published, return_dtype=pl.String, default=None)
    of_published = figures.filter(pl.col("predictor") == chosen).with_columns(pl.lit(PUBLISHED).alias("predictor"))
    return pl.concat([figures, of_published]).sort(order)


def _with_errors(known: pl.DataFrame, groups: Sequence[str]) -> pl.DataFrame:
    """What rows are grouped by, with two errors of each predictor: `relative` and `log`.

    They are made once for all groups, as float32: an error of 1% is kept to 1e-9.
    """
    columns = []
    for predictor in PREDICTORS:
        log_error = pl.col(predictor) - pl.col("growth")
        relative = (log_error.cast(pl.Float64).exp() - 1).cast(pl.Float32)
        columns += [relative.alias(f"{predictor} relative"), log_error.abs().alias(f"{predictor} log")]
    named = (pl.col(name).cast(pl.String).cast(pl.Categorical) for name in groups)
    return known.select("split", "horizon", *named, *columns)


def _graded_by(errors: pl.DataFrame, by: str) -> pl.DataFrame:
    """Error figures of each predictor by the values of a column, in percent but for the log."""
    figures = []
    for predictor in PREDICTORS:
        relative, log = (pl.col(f"{predictor} {kind}") for kind in ("relative", "log"))
        absolute = relative.abs()
        figures.append(
            pl.struct(
                pl.lit(predictor).alias("predictor"),
                relative.count().alias("rows"),
                (absolute.cast(pl.Float64).mean() * 100).alias("mape"),
                (absolute.median().cast(pl.Float64) * 100).alias("mdape"),
                log.cast(pl.Float64).mean().alias("log_mae"),
                (relative.cast(pl.Float64).mean() * 100).alias("bias"),
            ).alias(predictor)
        )
    keys = ["split", "horizon", by]
    groups = _in_order(errors, keys).group_by("key").agg(pl.col(keys).first(), *figures)
    named = groups.with_columns(pl.col("split").cast(pl.String), pl.col(by).cast(pl.String).alias("group"))
    table = named.unpivot(PREDICTORS, index=["split", "group", "horizon"], variable_name="name", value_name="figures")
    graded = table.drop("name").unnest("figures").filter(pl.col("rows") > 0)
    return graded.with_columns(pl.lit(by).alias("by"))


def _in_order(rows: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """The rows by the values of some columns, with one number for each of their combinations: `key`.

    Polars takes groups of a sorted number as slices, which for ten predictors is several times faster than by hashes.
    """
    key = pl.lit(0, pl.UInt32)
    for name in keys:
        code = pl.col(name).to_physical().cast(pl.UInt32)
        key = key * (code.max() + 1) + code
    keyed = rows.with_columns(key.alias("key"))
    if not keyed["key"].is_sorted():
        keyed = keyed[keyed["key"].arg_sort()]
    return keyed.with_columns(pl.col("key").set_sorted())


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
        rows: of one horizon or several, as `housing_assets.core.forecasting.backtest.Backtest.of` gives them.
        split: a forecast belongs to the split of the month it is of.

    Returns:
        `rows` with `split`.
    """
    graded = rows.filter(pl.col("growth").is_not_null() & (pl.col("month") >= split.eval_start))
    is_eval = pl.col("month") < split.holdout_start
    named = pl.when(is_eval).then(pl.lit("eval", _SPLITS)).otherwise(pl.lit("holdout", _SPLITS))
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


def choose_published(walked: Backtest, split: TimeSplit) -> dict[int, str]:
    """By horizon the forecaster that is published: the model, which weighs the others by what was known at each origin.

    Raises:
        HousingError: no forecast of eval has an outcome.
    """
    if not any((with_outcome(walked.of(h), split)["split"] == "eval").any() for h in walked.horizons):
        raise HousingError(
            "forecasts cannot be graded: no forecast of eval has an outcome. Ingest the months of eval, or set "
            "HOUSING_EVAL_START and HOUSING_HOLDOUT_START to months of the panel"
        )
    return dict.fromkeys(walked.horizons, MODEL)


def eval_mape(rows: pl.DataFrame, split: TimeSplit) -> float | None:
    """Mean absolute % error of the model on eval, of rows of one horizon; None: no outcome is known."""
    of_eval = with_outcome(rows, split).filter(pl.col("split") == "eval").drop_nulls(MODEL)
    error = (pl.col(MODEL) - pl.col("growth")).cast(pl.Float64)
    return of_eval.select((error.exp() - 1).abs().mean() * 100).item()


def skill_table(known: pl.DataFrame, seed: int = 0) -> pl.DataFrame:
    """How much of each baseline's error the model saves, with its uncertainty.

    The interval is the percentile bootstrap of Efron (1979) over origins: what happens in a month happens to all zips,
    so that resampling rows would make it far too narrow.

    Args:
        known: see `with_outcome`.
        seed: of the resamples.

    Returns:
        A row for each split, horizon and naive baseline: `split`, `horizon`, `against`, `origins`, `skill`,
        `skill_low`, `skill_high` (95%), in percent: 100 * (1 - mean absolute % error / the baseline's).
    """
    modelled = known.filter(pl.col(MODEL).is_not_null()).select(
        "split",
        "horizon",
        "origin",
        *(
            ((pl.col(name) - pl.col("growth")).cast(pl.Float64).exp() - 1).abs().alias(name)
            for name in (MODEL, *NAIVE_GROWTH)
        ),
    )
    totals = modelled.group_by("split", "horizon", "origin").sum().with_columns(pl.col("split").cast(pl.String))
    found = []
    for (part, horizon), of_horizon in totals.sort("split", "horizon", "origin").group_by(
        "split", "horizon", maintain_order=True
    ):
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


def coverage_table(known: pl.DataFrame, widths: pl.DataFrame, published: Mapping[int, str]) -> pl.DataFrame:
    """Share of outcomes inside their interval, by split, year and horizon, beside the width.

    Args:
        known: see `with_outcome`.
        widths: see `housing_assets.core.forecasting.intervals.forecast_intervals`.
        published: predictor by horizon.

    Returns:
        `split`, `year`, `horizon`, `rows`, `coverage` (percent), `width` (percent of the forecast).
    """
    columns = ("split", "month", "origin", "horizon", "noise", "growth")
    forecasts = known.select(*columns, published_predictions(published)).drop_nulls(PUBLISHED)
    joined = forecasts.join(widths.select("origin", "horizon", "log_common", "log_own"), on=["origin", "horizon"])
    log_width = (pl.col("log_common") ** 2 + (pl.col("log_own") * pl.col("noise")) ** 2).sqrt()
    inside = (pl.col(PUBLISHED) - pl.col("growth")).abs() <= log_width
    width = log_width.exp() - (-log_width).exp()
    return (
        joined.group_by("split", pl.col("month").str.slice(0, 4).alias("year"), "horizon")
        .agg(pl.len().alias("rows"), (100 * inside.mean()).alias("coverage"), (100 * width.mean()).alias("width"))
        .with_columns(pl.col("split").cast(pl.String))
        .sort("split", "year", "horizon")
    )
