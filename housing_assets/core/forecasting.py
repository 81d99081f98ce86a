"""Forecasts: a zip's price 1 to 12 months after the last one known, graded on origins that a model never saw beyond.

A backtest walks through time: each origin is forecast by a model whose every training target lies before it. What is
published for a horizon is the model's forecast where it beat the best naive baseline on eval, else that baseline's,
under its own name. Intervals rest on forecasts whose outcome was known at the origin.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from housing_assets.core.errors import BundleError, HousingError
from housing_assets.core.growth import (
    LEAST_TRAIN_MONTHS,
    NAIVE_GROWTH,
    GrowthModel,
    fit_growth,
    growth_files,
    growth_from_files,
    naive_growth,
    outcome,
)
from housing_assets.core.history import LEAST_MONTHS, LONGEST_HORIZON, History, history_needed
from housing_assets.core.intervals import COVERAGE, HALF_LIFE, WINDOW, conformal_quantile
from housing_assets.core.months import TimeSplit, add_months, month_end, month_index, month_range

HORIZONS: tuple[int, ...] = tuple(range(1, LONGEST_HORIZON + 1))
"""Months ahead that are forecast."""
MODEL = "forecast_model"
"""The model's name among the predictors."""
PREDICTORS: tuple[str, ...] = (MODEL, *NAIVE_GROWTH)
"""Everything that is graded."""
UNGRADED = "damped_momentum"
"""Whose forecast is published where nothing could be graded: the baseline that was the steadiest on real indices."""

FORECAST_SCHEMA: dict[str, pl.DataType] = {
    "origin": pl.String(),
    "date": pl.Date(),
    "horizon": pl.Int64(),
    "zipcode": pl.String(),
    "city_full": pl.String(),
    "predicted_price": pl.Float64(),
    "predicted_low": pl.Float64(),
    "predicted_high": pl.Float64(),
    "predictor": pl.String(),
    "last_known_price": pl.Float64(),
    "model_version": pl.String(),
}
"""Columns of `monthly_forecasts`. Prices in US dollars."""
FORECAST_DESCRIPTIONS: dict[str, str] = {
    "origin": "Last month whose values were used",
    "date": "Last day of the month forecast",
    "horizon": "Months from the origin to the month forecast",
    "predicted_price": "Forecast (US dollars)",
    "predicted_low": "Low end of the 90% interval (US dollars)",
    "predicted_high": "High end of the 90% interval (US dollars)",
    "predictor": "Whose forecast it is: the model's, or that of the naive baseline that was better on eval",
    "last_known_price": "Price at the origin (US dollars)",
    "model_version": "Version of the forecast model",
}
INTERVAL_SCHEMA: dict[str, pl.DataType] = {
    "origin": pl.String(),
    "horizon": pl.Int64(),
    "log_width": pl.Float64(),
    "outcomes": pl.Int64(),
}
"""Columns of `forecast_intervals`: half a 90% interval in log price, and the forecasts with outcomes it rests on."""

LEAST_FORECAST_MONTHS = LEAST_MONTHS + LEAST_TRAIN_MONTHS + 1
"""Months before eval that a forecast one month ahead needs: a year of history, the origins, an outcome."""
LEAST_OUTCOMES = 30
"""Fewer forecasts with a known outcome say nothing of a 90% interval."""
_DECILES = 10
_RESAMPLES = 1_000


@dataclass(frozen=True)
class ForecastModel:
    """Growth models of a backtest: the newest of them is the one that forecasts from now on.

    Attributes:
        fits: by the month before which every training target lies.
        version: of the bundle it came from; empty before it was published.
    """

    fits: Mapping[str, GrowthModel]
    version: str = ""

    @property
    def newest(self) -> GrowthModel:
        """The model that is published."""
        return self.fits[max(self.fits)]

    def at(self, origin: str) -> GrowthModel:
        """The newest model that was fitted before an origin."""
        return self.fits[max(month for month in self.fits if month <= origin)]


def fit_forecast_model(
    history: History, split: TimeSplit, progress: Callable[[str], None] = lambda _: None
) -> ForecastModel:
    """Fit a model for each year of eval, a year before it included, and the one that is published.

    Args:
        history: what comes from the holdout start on is not looked at.
        split: the time split.
        progress: is told of each fit.

    Raises:
        HousingError: the panel has too few months or zips.
    """
    fits: dict[str, GrowthModel] = {}
    for month in backtest_fits(split):
        try:
            fits[month] = fit_growth(history, HORIZONS, month)
        except HousingError as error:
            if month < split.eval_start:
                continue  # the year before eval only lets intervals begin earlier
            raise HousingError(
                f"forecasts need {LEAST_FORECAST_MONTHS} months before HOUSING_EVAL_START={split.eval_start}, the "
                f"panel begins with {history.first_month}: set HOUSING_EVAL_START later, or give it a longer panel"
            ) from error
        progress(f"fitted on targets before {month}: horizons {fits[month].horizons[0]} to {fits[month].horizons[-1]}")
    return ForecastModel(fits)


def backtest_fits(split: TimeSplit) -> list[str]:
    """Months before which the models of a backtest are fitted: a year before eval, each of its years, the holdout."""
    months = {split.eval_start, add_months(split.eval_start, -12)}
    month = split.holdout_start
    while month > split.eval_start:
        months.add(month)
        month = add_months(month, -12)
    return sorted(months)


def forecast_files(model: ForecastModel, metrics: Mapping[str, object]) -> dict[str, bytes]:
    """The files of a bundle, by name."""
    told = {"fits": list(model.fits), "horizons": {month: fit.horizons for month, fit in model.fits.items()}}
    files = {"forecast.json": _json(told), "metrics.json": _json(metrics)}
    for month, fit in model.fits.items():
        files |= growth_files(fit, f"-{month}")
    return files


def forecast_model_from_files(files: Mapping[str, bytes], version: str) -> ForecastModel:
    """Read a forecast model back. The caller has verified the hashes of `files`.

    Raises:
        BundleError: it is no forecast model, a file is missing, or a golden answer is another one.
    """
    if "forecast.json" not in files:
        raise BundleError(f"model {version} is no forecast model: choose one whose name begins with forecast")
    fits: dict[str, GrowthModel] = {}
    for month in json.loads(files["forecast.json"])["fits"]:
        fit = growth_from_files(files, f"-{month}")
        if fit is None:
            raise BundleError(f"model {version} lacks the trees of {month}: publish it again")
        fits[month] = fit
    return ForecastModel(fits, version)


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()


def backtest(history: History, model: ForecastModel, horizons: Iterable[int] = HORIZONS) -> pl.DataFrame:
    """Forecasts of every origin by every predictor, with what came.

    Args:
        history: of all zips.
        model: an origin is forecast by the newest of its fits that lies before it.
        horizons: months ahead.

    Returns:
        A row for each origin, horizon and zip with history: `origin`, `month` (forecast), `horizon`, `zip` (place in
        the history), `last_known_price`, `actual` (null: not known) and log growth by each of `PREDICTORS`; the
        model's is null where it does not model the horizon.

    Raises:
        HousingError: no origin is left.
    """
    frames = []
    for origin in month_range(min(model.fits), history.last_month):
        known = np.flatnonzero(history.known(origin))
        fit = model.at(origin)
        for horizon in horizons:
            growth = naive_growth(history, origin, horizon)
            growth[MODEL] = (
                fit.log_growth(history, origin, horizon)
                if horizon in fit.horizons
                else np.full(len(history.zips), np.nan)
            )
            came = outcome(history, origin, horizon)[known]
            last = np.exp(history.log_price[known, history.column(origin)])
            frames.append(
                pl.DataFrame(
                    {
                        "zip": known,
                        "last_known_price": last,
                        "growth": came,
                        **{name: growth[name][known] for name in PREDICTORS},
                    }
                )
                .with_columns(
                    pl.lit(origin).alias("origin"),
                    pl.lit(add_months(origin, horizon)).alias("month"),
                    pl.lit(horizon).alias("horizon"),
                )
                .fill_nan(None)
            )
    if not frames:
        raise HousingError(
            f"forecasts cannot be graded: the history ends with {history.last_month}, before the first origin "
            f"{min(model.fits)}: ingest further months"
        )
    return pl.concat(frames)


def _errors(predictor: str) -> dict[str, pl.Expr]:
    """Error figures of one predictor over rows with an outcome, in percent but for the log."""
    error = (pl.col(predictor) - pl.col("growth")).exp() - 1
    return {
        "mape": 100 * error.abs().mean(),
        "mdape": 100 * error.abs().median(),
        "log_mae": (pl.col(predictor) - pl.col("growth")).abs().mean(),
        "bias": 100 * error.mean(),
    }


def grade(history: History, rows: pl.DataFrame, split: TimeSplit, published: Mapping[int, str]) -> pl.DataFrame:
    """Error figures of every predictor, and of what is published, by horizon and by what else tells forecasts apart.

    Args:
        history: of the zips of `rows`.
        rows: what `backtest` gives.
        split: a forecast belongs to the split of the month it is of.
        published: predictor by horizon.

    Returns:
        `split`, `by` (overall, year, metro, price_decile), `group`, `horizon`, `predictor` (with `published`), `rows`,
        `mape`, `mdape`, `bias` (percent of the price), `log_mae`. The decile is of the zip's price at the origin, among
        all zips forecast from there: the same at every horizon.
    """
    known = _with_outcome(rows, split).with_columns(_published(published))
    metro = pl.Series(history.metros).gather(history.metro[known["zip"].to_numpy()])
    known = known.with_columns(
        pl.lit("all").alias("overall"),
        pl.col("month").str.slice(0, 4).alias("year"),
        metro.alias("metro"),
    ).join(_price_deciles(rows), on=["origin", "zip"], how="left", maintain_order="left")
    found = []
    for by in ("overall", "year", "metro", "price_decile"):
        for predictor in (*PREDICTORS, PUBLISHED):
            figures = [expr.alias(name) for name, expr in _errors(predictor).items()]
            part = known.drop_nulls(predictor).group_by(
                "split", pl.col(by).alias("group"), "horizon", maintain_order=True
            )
            found.append(
                part.agg(pl.len().alias("rows"), *figures).with_columns(
                    pl.lit(by).alias("by"), pl.lit(predictor).alias("predictor")
                )
            )
    order = ["split", "by", "group", "horizon", "predictor"]
    return pl.concat(found).select(*order, "rows", "mape", "mdape", "bias", "log_mae").sort(order)


def _price_deciles(rows: pl.DataFrame) -> pl.DataFrame:
    """`price_decile` ("01" to "10") of every `origin` and `zip` of a backtest; equal prices by the zip."""
    zips = rows.select("origin", "zip", "last_known_price").unique(["origin", "zip"]).sort("origin", "zip")
    rank = pl.col("last_known_price").rank("ordinal").over("origin")
    decile = 1 + (rank - 1) * _DECILES // pl.len().over("origin")
    return zips.select("origin", "zip", decile.cast(pl.String).str.zfill(2).alias("price_decile"))


PUBLISHED = "published"
"""Name under which grades tell of what is published, whoever's it is."""


def _with_outcome(rows: pl.DataFrame, split: TimeSplit) -> pl.DataFrame:
    named = pl.when(pl.col("month") < split.eval_start).then(pl.lit("train"))
    named = named.when(pl.col("month") < split.holdout_start).then(pl.lit("eval")).otherwise(pl.lit("holdout"))
    return rows.drop_nulls("growth").with_columns(named.alias("split")).filter(pl.col("split") != "train")


def _published(published: Mapping[int, str]) -> pl.Expr:
    """Log growth that is published, in rows of a backtest."""
    chosen: pl.Expr = pl.lit(None, pl.Float64)
    for horizon, predictor in published.items():
        chosen = pl.when(pl.col("horizon") == horizon).then(pl.col(predictor)).otherwise(chosen)
    return chosen.alias(PUBLISHED)


def best_naive(errors: Mapping[str, float]) -> str:
    """The naive baseline with the least error."""
    return min(NAIVE_GROWTH, key=lambda name: errors[name])


def choose_published(rows: pl.DataFrame, split: TimeSplit) -> dict[int, str]:
    """By horizon the model, or the best naive baseline where the model was no better on eval.

    A horizon of which eval, being short, has no outcome has `UNGRADED`.

    Raises:
        HousingError: no forecast of eval has an outcome.
    """
    held = _with_outcome(rows, split).filter(pl.col("split") == "eval")
    if held.is_empty():
        raise HousingError(
            "forecasts cannot be graded: no forecast of eval has an outcome. Ingest the months of eval, or set "
            "HOUSING_EVAL_START and HOUSING_HOLDOUT_START to months of the panel"
        )
    figures = (
        held.group_by("horizon", maintain_order=True)
        .agg(*(_errors(name)["mape"].alias(name) for name in PREDICTORS))
        .sort("horizon")
    )
    chosen = dict.fromkeys(sorted(set(rows["horizon"])), UNGRADED)
    for row in figures.iter_rows(named=True):
        naive = best_naive(row)
        better = row[MODEL] is not None and row[MODEL] < row[naive]
        chosen[int(row["horizon"])] = MODEL if better else naive
    return chosen


def skill_table(rows: pl.DataFrame, split: TimeSplit, seed: int = 0) -> pl.DataFrame:
    """How much of each baseline's error the model saves, with its uncertainty.

    The interval is the percentile bootstrap of Efron (1979) over origins: what happens in a month happens to all zips,
    so that resampling rows would make it far too narrow.

    Returns:
        A row for each split, horizon and naive baseline: `split`, `horizon`, `against`, `origins`, `skill`,
        `skill_low`, `skill_high` (95%), in percent: 100 * (1 - mean absolute % error / the baseline's).
    """
    known = _with_outcome(rows, split).drop_nulls(MODEL)
    totals = known.group_by("split", "horizon", "origin", maintain_order=True).agg(
        *(((pl.col(name) - pl.col("growth")).exp() - 1).abs().sum().alias(name) for name in PREDICTORS)
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


def forecast_intervals(rows: pl.DataFrame, published: Mapping[int, str], last: str) -> pl.DataFrame:
    """Half widths of the 90% intervals of each origin and horizon, from outcomes that were known at the origin.

    Conformal on the absolute log errors of the published forecasts of the 12 newest origins with an outcome, newer ones
    weighing more, as in `housing_assets.core.intervals`. Symmetric, since a market that turns errs the other way next.
    Errors grow with the horizon at least in proportion: what a shorter horizon has shown already, a longer one whose
    outcomes are still to come is widened by.

    Args:
        rows: what `backtest` gives.
        published: predictor by horizon.
        last: last origin to give intervals for.

    Returns:
        `INTERVAL_SCHEMA` by origin and horizon, whatever the order of `rows` and `published`; an origin without enough
        outcomes is not in it.
    """
    errors = rows.with_columns(_published(published)).select(
        "origin", "horizon", (pl.col(PUBLISHED) - pl.col("growth")).abs().alias("error")
    )
    known = {
        (int(horizon), str(origin)): part["error"].to_numpy()
        for (horizon, origin), part in errors.drop_nulls().group_by("horizon", "origin")
    }
    found = []
    for origin in month_range(min(rows["origin"].min(), last), last):  # type: ignore[type-var]
        widest = 0.0
        for horizon in sorted(published):
            past = sorted(o for h, o in known if h == horizon and add_months(o, horizon) <= origin)[-WINDOW:]
            outcomes = sum(known[horizon, o].size for o in past)
            if outcomes < LEAST_OUTCOMES:
                continue
            values = np.concatenate([known[horizon, o] for o in past])
            ages = np.repeat(
                [month_index(origin) - month_index(o) - horizon for o in past], [known[horizon, o].size for o in past]
            )
            width = conformal_quantile(values, 0.5 ** (ages / HALF_LIFE), COVERAGE)
            if not np.isfinite(width):
                continue  # outcomes so old that together they say too little of the origin
            widest = max(widest, width / horizon)
            found.append((origin, horizon, widest * horizon, outcomes))
    return pl.DataFrame(found, schema=INTERVAL_SCHEMA, orient="row")


def coverage_table(
    rows: pl.DataFrame, widths: pl.DataFrame, split: TimeSplit, published: Mapping[int, str]
) -> pl.DataFrame:
    """Share of outcomes inside their interval, by split, year and horizon, beside the width.

    Returns:
        `split`, `year`, `horizon`, `rows`, `coverage` (percent), `width` (percent of the forecast).
    """
    known = _with_outcome(rows, split).with_columns(_published(published)).drop_nulls(PUBLISHED)
    joined = known.join(widths, on=["origin", "horizon"])
    inside = (pl.col(PUBLISHED) - pl.col("growth")).abs() <= pl.col("log_width")
    width = pl.col("log_width").exp() - (-pl.col("log_width")).exp()
    return (
        joined.group_by("split", pl.col("month").str.slice(0, 4).alias("year"), "horizon")
        .agg(pl.len().alias("rows"), (100 * inside.mean()).alias("coverage"), (100 * width.mean()).alias("width"))
        .sort("split", "year", "horizon")
    )


def forecast(
    history: History, origin: str, model: ForecastModel, published: Mapping[int, str], widths: pl.DataFrame
) -> pl.DataFrame:
    """What is published from an origin, for every zip with a history: `FORECAST_SCHEMA`, by zip and horizon.

    Args:
        history: of all zips; what comes after the origin is not looked at.
        origin: the last month whose values are used.
        model: its newest fit forecasts.
        published: predictor by horizon.
        widths: `INTERVAL_SCHEMA` with that origin; a horizon without one has no interval (null).

    Raises:
        HousingError: the origin is outside the history, or no zip has enough of it there.
    """
    known = np.flatnonzero(history.known(origin))
    if not known.size:
        raise HousingError(
            f"no forecasts from {origin}: no zip has {history_needed(origin)}; "
            f"the history is {history.first_month} to {history.last_month}"
        )
    width_of = dict(widths.filter(pl.col("origin") == origin).select("horizon", "log_width").iter_rows())
    last = np.exp(history.log_price[known, history.column(origin)])
    metros = pl.Series(history.metros).gather(history.metro[known])
    frames = []
    for horizon, predictor in published.items():
        if predictor == MODEL:
            growth = model.newest.log_growth(history, origin, horizon)
        else:
            growth = naive_growth(history, origin, horizon)[predictor]
        price, width = last * np.exp(growth[known]), width_of.get(horizon, np.nan)
        frames.append(
            pl.DataFrame(
                {
                    "origin": origin,
                    "date": month_end(add_months(origin, horizon)),
                    "horizon": horizon,
                    "zipcode": pl.Series(history.zips).gather(known),
                    "city_full": metros.replace("", None),
                    "predicted_price": price,
                    "predicted_low": pl.Series(price * np.exp(-width)).fill_nan(None),
                    "predicted_high": pl.Series(price * np.exp(width)).fill_nan(None),
                    "predictor": predictor,
                    "last_known_price": last,
                    "model_version": model.version,
                },
                schema=FORECAST_SCHEMA,
            )
        )
    return pl.concat(frames).sort("zipcode", "horizon")
