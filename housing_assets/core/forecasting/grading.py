"""How forecasts of a backtest are graded, and which predictor is published for it."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from housing_assets.core.baselines.growth import NAIVE_GROWTH
from housing_assets.core.errors import HousingError
from housing_assets.core.features.history import History
from housing_assets.core.forecasting.backtest import Backtest
from housing_assets.core.forecasting.schema import MODEL, PREDICTORS, PUBLISHED
from housing_assets.core.months import TimeSplit

_RESAMPLES = 1_000

FIRST_PUBLISHED = "first_published"
"""The `by` of grades against the price as it was first published."""

_GROUPS = ("overall", "year", "metro", "price_decile")


def grade(
    history: History,
    known: pl.DataFrame,
    published: Mapping[int, str],
    first: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Error figures of every predictor, and of what is published, by horizon and by what else tells forecasts apart.

    Args:
        history: of the zips of `known`.
        known: of one horizon or several, see `with_outcome`.
        published: predictor by horizon.
        first: first published prices, `housing_assets.core.vintages.first_prices.FIRST_SCHEMA`; None: none is known.

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
    if first is not None and first.height:
        against = _with_errors(_against_first(history, known, first), (FIRST_PUBLISHED,))
        graded.append(_graded_by(against, FIRST_PUBLISHED))
    order = ["split", "by", "group", "horizon", "predictor"]
    figures = pl.concat(graded).select(*order, "rows", "mape", "mdape", "bias", "log_mae")
    chosen = pl.col("horizon").replace_strict(published, return_dtype=pl.String, default=None)
    of_published = figures.filter(pl.col("predictor") == chosen).with_columns(pl.lit(PUBLISHED).alias("predictor"))
    return pl.concat([figures, of_published]).sort(order)


def _with_errors(known: pl.DataFrame, groups: Sequence[str]) -> pl.DataFrame:
    """What rows are grouped by, with three errors of each predictor: `relative`, `absolute` and `log`.

    They are made once for all groups, as float32: an error of 1% is kept to 1e-9.
    """
    columns = []
    for predictor in PREDICTORS:
        log_error = pl.col(predictor) - pl.col("growth")
        relative = log_error.exp() - 1
        errors = {"relative": relative, "absolute": relative.abs(), "log": log_error.abs()}
        columns += [values.cast(pl.Float32).alias(f"{predictor} {kind}") for kind, values in errors.items()]
    return known.select("split", "horizon", *(pl.col(name).cast(pl.Categorical) for name in groups), *columns)


def _graded_by(errors: pl.DataFrame, by: str) -> pl.DataFrame:
    """Error figures of each predictor by the values of a column, in percent but for the log."""
    figures = []
    for predictor in PREDICTORS:
        relative, absolute, log = (pl.col(f"{predictor} {kind}") for kind in ("relative", "absolute", "log"))
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
    group = pl.col(by).cast(pl.String).alias("group")
    groups = errors.group_by("split", by, "horizon", maintain_order=True).agg(figures).with_columns(group).drop(by)
    table = groups.unpivot(PREDICTORS, index=["split", "group", "horizon"], variable_name="name", value_name="figures")
    graded = table.drop("name").unnest("figures").filter(pl.col("rows") > 0)
    return graded.with_columns(pl.lit(by).alias("by"))


def _against_first(history: History, known: pl.DataFrame, first: pl.DataFrame) -> pl.DataFrame:
    """The rows whose outcome has a first published price, with `growth` up to that price."""
    indices = pl.DataFrame(
        {"zipcode": history.zips, "zip": range(len(history.zips))}, schema_overrides={"zip": pl.Int64}
    )
    outcomes = first.join(indices, on="zipcode").select(
        "zip", pl.col("date").dt.strftime("%Y-%m").alias("month"), "first_price"
    )
    joined = known.join(outcomes, on=["zip", "month"], how="inner", maintain_order="left")
    growth = (pl.col("first_price") / pl.col("last_known_price")).log()
    return joined.with_columns(growth.alias("growth"), pl.lit("all").alias(FIRST_PUBLISHED))


def with_outcome(rows: pl.DataFrame, split: TimeSplit) -> pl.DataFrame:
    """The rows of eval and holdout whose outcome is known.

    Args:
        rows: of one horizon or several, as `housing_assets.core.forecasting.backtest.Backtest.of` gives them.
        split: a forecast belongs to the split of the month it is of.

    Returns:
        `rows` with `split`.
    """
    named = pl.when(pl.col("month") < split.eval_start).then(pl.lit("train"))
    named = named.when(pl.col("month") < split.holdout_start).then(pl.lit("eval")).otherwise(pl.lit("holdout"))
    return rows.drop_nulls("growth").with_columns(named.alias("split")).filter(pl.col("split") != "train")


def published_predictions(published: Mapping[int, str]) -> pl.Expr:
    """Log growth that is published, in rows of a backtest."""
    chosen: pl.Expr = pl.lit(None, pl.Float64)
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
    return of_eval.select((((pl.col(MODEL) - pl.col("growth")).exp() - 1).abs().mean()) * 100).item()


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
    by_origin = known.drop_nulls(MODEL).group_by("split", "horizon", "origin", maintain_order=True)
    totals = by_origin.agg(
        *(((pl.col(name) - pl.col("growth")).exp() - 1).abs().sum().alias(name) for name in (MODEL, *NAIVE_GROWTH))
    )
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
        .sort("split", "year", "horizon")
    )
