"""Figures of predicted rows: pure functions of frames like `monthly_predictions`, with `month` and `naive_price`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from housing_assets.core.baselines.growth import NAIVE_GROWTH
from housing_assets.core.evaluation.metrics import price_metrics
from housing_assets.core.forecasting.schema import MODEL, PREDICTOR_LABELS, PUBLISHED
from housing_assets.core.months import add_months
from housing_assets.core.panel.areas import weighted_mean

ALL = "all"
"""The choice of a filter that keeps every row."""
WITHIN: tuple[float, ...] = (0.5, 1, 5)
"""Percent of the actual price: how close a prediction is counted to be. From a known past it errs by a few tenths of a
percent, without one by several percent."""


@dataclass(frozen=True)
class Headline:
    """How predictions did, and how carrying last month's price forward did on the same rows.

    Attributes:
        rows: predicted.
        known: of them with an actual price.
        model: figures of `price_metrics` over the known rows, and shares `within_0.5` to `within_5` as `WITHIN` has
            them, in percent; empty if there are none.
        naive: the same of `naive_price`, over known rows that have one.
        coverage: percent of the known rows whose actual price lies in the interval.
    """

    rows: int
    known: int
    model: dict[str, float]
    naive: dict[str, float]
    coverage: float | None


def headline(rows: pl.DataFrame) -> Headline:
    """The headline figures of predicted rows."""
    if rows.is_empty():
        return Headline(0, 0, {}, {}, None)
    known = rows.filter(pl.col("actual_price").is_not_null())
    carried = known.filter(pl.col("naive_price").is_not_null())
    inside = known.select(pl.col("actual_price").is_between("predicted_low", "predicted_high").mean()).item()
    return Headline(
        rows.height,
        known.height,
        _metrics(known, "predicted_price"),
        _metrics(carried, "naive_price"),
        None if inside is None else 100 * float(inside),
    )


def _metrics(rows: pl.DataFrame, column: str) -> dict[str, float]:
    if rows.is_empty():
        return {}
    actual, prices = rows["actual_price"].to_numpy(), rows[column].to_numpy()
    close = {f"within_{p:g}": 100 * float((np.abs(prices / actual - 1) <= p / 100).mean()) for p in WITHIN}
    return price_metrics(actual, prices) | close


def with_errors(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with `error` (US dollars, predicted less actual), `percent` (of the actual price) and `inside`."""
    error = pl.col("predicted_price") - pl.col("actual_price")
    return rows.with_columns(
        error.alias("error"),
        (100 * error / pl.col("actual_price")).alias("percent"),
        pl.col("actual_price").is_between("predicted_low", "predicted_high").alias("inside"),
    )


def choose(rows: pl.DataFrame, year: str = ALL, month: str = ALL, region: str = ALL) -> pl.DataFrame:
    """Rows of a year, a month and a metro."""
    chosen = []
    if month != ALL:
        chosen.append(pl.col("month") == month)
    elif year != ALL:
        chosen.append(pl.col("month").str.starts_with(year))
    if region != ALL:
        chosen.append(pl.col("city_full") == region)
    return rows.filter(*chosen) if chosen else rows


def span_before(year: str, month: str) -> tuple[str, str, str]:
    """Year, month and name of what a choice is compared to: the month before, or the year before.

    All months have nothing before them, which an empty name tells.
    """
    if month != ALL:
        before = add_months(month, -1)
        return ALL, before, before
    if year != ALL:
        before = str(int(year) - 1)
        return before, ALL, before
    return ALL, ALL, ""


def by_month(rows: pl.DataFrame) -> pl.DataFrame:
    """Means by month in US dollars, with the errors: `month`, `rows`, `actual`, `predicted`, `low`, `high`, `mape`,
    `naive_mape`, `coverage` (percent)."""
    share = (pl.col("predicted_price") / pl.col("actual_price") - 1).abs()
    naive = (pl.col("naive_price") / pl.col("actual_price") - 1).abs()
    inside = pl.col("actual_price").is_between("predicted_low", "predicted_high")
    return (
        rows.group_by("month")
        .agg(
            pl.len().alias("rows"),
            pl.col("actual_price").mean().alias("actual"),
            pl.col("predicted_price").mean().alias("predicted"),
            pl.col("predicted_low").mean().alias("low"),
            pl.col("predicted_high").mean().alias("high"),
            (100 * share.mean()).alias("mape"),
            (100 * naive.mean()).alias("naive_mape"),
            (100 * inside.mean()).alias("coverage"),
        )
        .sort("month")
    )


def by_metro(rows: pl.DataFrame) -> pl.DataFrame:
    """The same by metro: `city_full`, `rows`, `zips`, `actual`, `predicted`, `mape`, `bias` (percent), `coverage`."""
    error = pl.col("predicted_price") / pl.col("actual_price") - 1
    inside = pl.col("actual_price").is_between("predicted_low", "predicted_high")
    return (
        rows.group_by("city_full")
        .agg(
            pl.len().alias("rows"),
            pl.col("zipcode").n_unique().alias("zips"),
            pl.col("actual_price").median().alias("actual"),
            pl.col("predicted_price").median().alias("predicted"),
            (100 * error.abs().mean()).alias("mape"),
            (100 * error.mean()).alias("bias"),
            (100 * inside.mean()).alias("coverage"),
        )
        .sort("city_full", nulls_last=True)
    )


def error_grid(rows: pl.DataFrame) -> pl.DataFrame:
    """Mean absolute percent error: a row for each metro, a column for each month."""
    share = (100 * (pl.col("predicted_price") / pl.col("actual_price") - 1).abs()).mean().alias("mape")
    long = rows.group_by("city_full", "month").agg(share).sort("month", "city_full")
    return long.pivot("month", index="city_full", values="mape").sort("city_full", nulls_last=True)


def calibration(rows: pl.DataFrame) -> pl.DataFrame:
    """How often prices fell below, inside and above the interval, percent by month."""
    known = rows.filter(pl.col("actual_price").is_not_null())
    return (
        known.group_by("month")
        .agg(
            (100 * (pl.col("actual_price") < pl.col("predicted_low")).mean()).alias("below"),
            (100 * pl.col("actual_price").is_between("predicted_low", "predicted_high").mean()).alias("inside"),
            (100 * (pl.col("actual_price") > pl.col("predicted_high")).mean()).alias("above"),
        )
        .sort("month")
    )


def thin(rows: pl.DataFrame, most: int, seed: int = 0) -> pl.DataFrame:
    """At most so many rows, chosen at random but the same each time."""
    return rows if rows.height <= most else rows.sample(most, seed=seed)


def median_or_none(values: pl.Series) -> float | None:
    """The median without nulls; None if all are null."""
    present = values.drop_nulls().to_numpy()
    return float(np.median(present)) if present.size else None


def weighted_or_none(rows: pl.DataFrame, column: str) -> float | None:
    """The mean of a column weighted by people; None without a row that has it."""
    return rows.select(weighted_mean(pl.col(column))).item() if rows.height else None


def largest_or_none(values: pl.Series) -> float | None:
    """The largest value; None if all are null."""
    present = values.drop_nulls().to_numpy()
    return float(present.max()) if present.size else None


PREDICTOR_NAMES = PREDICTOR_LABELS
"""Predictors of forecasts in words: the naive baselines by what they assume."""


def predictor_name(predictor: str) -> str:
    """A predictor of forecasts in words."""
    return PREDICTOR_NAMES.get(predictor, predictor)


def spans(numbers: Sequence[int]) -> str:
    """Numbers in order, runs of them as spans: 1 to 3, 5, 7 to 9."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def who_forecasts(published: Mapping[int, str]) -> str:
    """Which predictor is published at which horizon, a sentence for each predictor.

    Args:
        published: predictor by horizon in months.
    """
    by_predictor: dict[str, list[int]] = {}
    for horizon, predictor in sorted(published.items()):
        by_predictor.setdefault(predictor, []).append(horizon)
    sentences = []
    for predictor, horizons in by_predictor.items():
        months = f"{spans(horizons)} month{'s' if horizons != [1] else ''} ahead"
        if predictor == MODEL:
            sentences.append(f"Several forecasters together, each by how well it did lately, forecast {months}.")
        else:
            baseline = f"The naive baseline “{predictor_name(predictor)}” forecasts {months}"
            sentences.append(f"{baseline}, where the model is not surely better.")
    return " ".join(sentences)


def with_outcomes(forecasts: pl.DataFrame, actual: pl.DataFrame) -> pl.DataFrame:
    """Forecasts with actual prices, null where those are not known yet.

    Args:
        forecasts: of one zip, as `monthly_forecasts` has them.
        actual: its known prices: `date`, `price`.

    Returns:
        The forecasts with `actual_price`, `error` (US dollars, forecast less actual), `percent` (of the actual price),
        `naive_price` (the price at the origin, which says that nothing changes), `naive` (its error in percent) and
        `inside` the interval.
    """
    prices = actual.select("date", pl.col("price").alias("actual_price"))
    return with_forecast_errors(forecasts.join(prices, on="date", how="left", maintain_order="left"))


def with_forecast_errors(forecasts: pl.DataFrame) -> pl.DataFrame:
    """Forecasts that have an `actual_price`, with the columns that `with_outcomes` adds to it."""
    flat = 100 * (pl.col("last_known_price") / pl.col("actual_price") - 1)
    return with_errors(forecasts).with_columns(pl.col("last_known_price").alias("naive_price"), flat.alias("naive"))


def by_horizon(outcomes: pl.DataFrame) -> pl.DataFrame:
    """Errors of forecasts with an outcome by horizon: `horizon`, `rows`, `mape`, `naive_mape`, `bias`, `coverage`
    (percent; null where no forecast had an interval)."""
    return (
        outcomes.drop_nulls("actual_price")
        .group_by("horizon")
        .agg(
            pl.len().alias("rows"),
            pl.col("percent").abs().mean().alias("mape"),
            pl.col("naive").abs().mean().alias("naive_mape"),
            pl.col("percent").mean().alias("bias"),
            (100 * pl.col("inside").mean()).alias("coverage"),
        )
        .sort("horizon")
    )


def by_year(errors: pl.DataFrame) -> pl.DataFrame:
    """Errors by the year of the origin and the horizon: `year`, `horizon`, `rows`, `mape`, `naive_mape`, `coverage`,
    and `skill`: by how many percent the error is lower than that of no change.

    Args:
        errors: of each origin, as `by_horizon` gives them, with `origin`.
    """
    weight, names = pl.col("rows"), ("mape", "naive_mape", "coverage")
    means = [((pl.col(n) * weight).sum() / weight.filter(pl.col(n).is_not_null()).sum()).alias(n) for n in names]
    table = errors.with_columns(pl.col("origin").str.slice(0, 4).alias("year")).group_by("year", "horizon")
    skill = (100 * (1 - pl.col("mape") / pl.col("naive_mape"))).alias("skill")
    return table.agg(weight.sum(), *means).with_columns(skill).sort("year", "horizon")


def published_table(graded: pl.DataFrame, published: Mapping[int, str]) -> pl.DataFrame:
    """What is published by horizon, beside the best naive baseline.

    Args:
        graded: the rows of `forecast_evaluation` over everything.
        published: predictor by horizon.

    Returns:
        `horizon`, `predictor` and, for eval and for holdout where they are graded, the mean absolute percent errors
        `<split>` of what is published and `<split>_naive` of the best baseline, and `<split>_ratio` of the two.
    """
    table = pl.DataFrame(
        {"horizon": list(published), "predictor": [predictor_name(name) for name in published.values()]},
        schema={"horizon": pl.Int64, "predictor": pl.String},
    )
    errors = graded.with_columns(pl.col("horizon").cast(pl.Int64))
    for split in ("eval", "holdout"):
        part = errors.filter(pl.col("split") == split)
        if part.is_empty():
            continue
        ours = part.filter(pl.col("predictor") == PUBLISHED).select("horizon", pl.col("mape").alias(split))
        naive = part.filter(pl.col("predictor").is_in(NAIVE_GROWTH)).group_by("horizon")
        best = naive.agg(pl.col("mape").min().alias(f"{split}_naive"))
        table = table.join(ours, on="horizon", how="left").join(best, on="horizon", how="left")
        table = table.with_columns((pl.col(split) / pl.col(f"{split}_naive")).alias(f"{split}_ratio"))
    return table.sort("horizon")


def regret(graded: pl.DataFrame) -> pl.DataFrame:
    """How much larger the error of what was published is than that of the naive baseline that turned out best.

    The best baseline of a year and a horizon is known only afterwards, so nobody could have published it.

    Args:
        graded: the rows of `forecast_evaluation` by year.

    Returns:
        `year` (of the month forecast), `horizon`, `rows`, `mape` (of what was published), `best` (the baseline's name
        in words), `naive_mape` and `regret`: the first error less the second, in percentage points; below 0 where what
        was published was better. Rows of a year that is in two splits are taken together.
    """
    means = graded.group_by(pl.col("group").alias("year"), "horizon", "predictor").agg(
        pl.col("rows").sum(), ((pl.col("mape") * pl.col("rows")).sum() / pl.col("rows").sum()).alias("mape")
    )
    keys = ["year", "horizon"]
    naive = means.filter(pl.col("predictor").is_in(NAIVE_GROWTH)).sort(*keys, "mape", "predictor")
    best = naive.group_by(keys).agg(
        pl.col("predictor").first().alias("best"), pl.col("mape").first().alias("naive_mape")
    )
    ours = means.filter(predictor=PUBLISHED).drop("predictor")
    joined = ours.join(best, on=keys).with_columns(
        pl.col("best").replace(PREDICTOR_NAMES), (pl.col("mape") - pl.col("naive_mape")).alias("regret")
    )
    return joined.select(*keys, "rows", "mape", "best", "naive_mape", "regret").sort(keys)


def weights_through_time(weights: pl.DataFrame, most: int) -> pl.DataFrame:
    """What each forecaster counts at each origin: `origin`, and a column for each in percent, the largest first.

    Args:
        weights: the rows of `forecast_weights` of one version and one horizon.
        most: so many forecasters have a column of their own; `others` has the rest, where there is any.
    """
    order = (
        weights.group_by("predictor").agg(pl.col("weight").mean()).sort("weight", "predictor", descending=[True, False])
    )
    own = order["predictor"].head(most).to_list()
    named = pl.when(pl.col("predictor").is_in(own)).then("predictor").otherwise(pl.lit("others")).alias("predictor")
    summed = weights.group_by("origin", named).agg((100 * pl.col("weight").sum()).alias("weight"))
    wide = summed.pivot("predictor", index="origin", values="weight").fill_null(0).sort("origin")
    return wide.select("origin", *own, *(["others"] if "others" in wide.columns else []))


def surely_skilled(table: pl.DataFrame) -> list[int]:
    """Horizons at which the model beats every naive baseline with 95% confidence: no interval of its skill includes 0.

    Args:
        table: of one split, as `forecast_skill` has them.
    """
    least = table.group_by("horizon").agg(pl.col("skill_low").min())
    return least.filter(pl.col("skill_low") > 0)["horizon"].sort().to_list()


def by_kind(rows: pl.DataFrame) -> pl.DataFrame:
    """Predictions from a zip's own history and those without: `from_history`, `rows`, `known` (with an actual price),
    `mape`, `coverage` and the median `width` of the interval, the last three in percent."""
    share = (pl.col("predicted_price") / pl.col("actual_price") - 1).abs()
    inside = pl.col("actual_price").is_between("predicted_low", "predicted_high")
    width = (pl.col("predicted_high") - pl.col("predicted_low")) / pl.col("predicted_price")
    return (
        rows.group_by("from_history")
        .agg(
            pl.len().alias("rows"),
            pl.col("actual_price").count().alias("known"),
            (100 * share.mean()).alias("mape"),
            (100 * inside.mean()).alias("coverage"),
            (100 * width.median()).alias("width"),
        )
        .sort("from_history", descending=True)
    )


def percent(value: float, signed: bool = False) -> str:
    """An error or a change in percent: a second decimal below ten, where it still means something."""
    decimals = 2 if abs(value) < 9.995 else 1
    return f"{value:{'+' if signed else ''}.{decimals}f}%"


def price_range(low: float, high: float) -> str:
    """An interval of prices, short enough for a headline figure: thousands of US dollars, or millions from there on,
    with more decimals where it is narrow."""
    if low >= 1e6:
        decimals = 2 if high - low >= 50_000 else 3
        return f"${low / 1e6:,.{decimals}f}–{high / 1e6:,.{decimals}f}M"  # noqa: RUF001
    decimals = 0 if high - low >= 5_000 else 1
    return f"${low / 1e3:,.{decimals}f}–{high / 1e3:,.{decimals}f}k"  # noqa: RUF001
