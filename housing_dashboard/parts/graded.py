"""The forecasts part of the Model page: who forecasts what, and how that turned out by horizon, year and metro."""

import numpy as np
import polars as pl
import streamlit as st

from housing_assets.core.baselines.growth import NAIVE_GROWTH
from housing_assets.core.forecasting.schema import HORIZONS, MODEL, PUBLISHED
from housing_dashboard import charts, data, figures, shell
from housing_dashboard.glossary import help_for

MOST_METROS = 40
"""Rows of a chart of metros: all of the country's would be a chart of ten screens."""
_HORIZONS_THROUGH_TIME = (1, 3, 6, 12)
_SPLITS = {
    "holdout": "holdout: months that no model has seen",
    "eval": "eval: months for choosing models",
}
_SHOWN_WEIGHTS = 6
"""Forecasters whose weights are drawn: those that count most somewhere. The table has all."""


def forecasts() -> None:
    """The forecast model, the predictor published at each horizon, and errors by horizon."""
    shell.section("Forecasts")
    in_use = data.published_forecasts()
    graded = data.read_table("forecast_evaluation")
    if in_use is None or graded is None:
        shell.empty(
            "Nothing is forecast yet",
            "Run `make run`, or `forecast_job` in Dagster: it says how many months before the evaluation it needs.",
        )
        return
    version, published = in_use
    overall = graded.filter(by="overall")
    table = figures.published_table(overall, published)
    st.markdown(f"{figures.who_forecasts(published)} Forecast model: {version}.")
    splits = [split for split in _SPLITS if split in graded["split"].unique()]
    split = shell.choice("Graded on", splits, "split", splits[0], format_func=_SPLITS.__getitem__)
    left, right = st.columns(2)
    with left, shell.guard():
        by_horizon(overall.filter(split=split), split)
    with right, shell.guard():
        skill(split)
    shell.show_table(
        table, "published", "The published predictor by horizon, and its error beside the best naive baseline"
    )
    with shell.guard():
        coverage(split)
    shell.section("Year by year")
    left, right = st.columns(2)
    with left, shell.guard():
        regret(graded.filter(by="year"))
    with right, shell.guard():
        coverage_by_year()
    with shell.guard():
        through_time()
    with shell.guard():
        weights(version)
    with shell.guard():
        by_metro(graded.filter(by="metro", split=split, predictor=PUBLISHED))


def by_horizon(overall: pl.DataFrame, split: str) -> None:
    """Errors of each predictor by horizon."""
    table = overall.pivot("predictor", index="horizon", values="mape").sort("horizon")
    shown = [name for name in (PUBLISHED, MODEL, *NAIVE_GROWTH) if name in table.columns]
    if MODEL in shown and table[MODEL].equals(table[PUBLISHED], check_names=False):
        shown.remove(PUBLISHED)  # the same line
    first, last = table.row(0, named=True), table.row(-1, named=True)
    sentence = f"Mean absolute % error on {split} by months ahead. That of published forecasts is "
    sentence += f"{figures.percent(first[PUBLISHED])} at {first['horizon']} and {figures.percent(last[PUBLISHED])} at "
    sentence += f"{last['horizon']}."
    names = {name: figures.predictor_name(name) for name in shown}
    shell.chart(charts.lines(table, "horizon", names, "months ahead"), sentence, table, "forecast-errors")


def skill(split: str) -> None:
    """The error of the model relative to each baseline's, with its uncertainty."""
    table = data.read_table("forecast_skill")
    if table is None:
        return
    part = table.filter(split=split)
    if part.is_empty():
        shell.empty(f"No skill is known on {split}", "Materialize `forecast_evaluation` again.")
        return
    sure = figures.surely_skilled(part)
    sentence = (
        "How much lower the model's error is than that of each naive baseline, with a 95% interval from resampling "
        "months. "
    )
    sentence += (
        f"It is surely lower than that of every baseline {figures.spans(sure)} ahead."
        if sure
        else "At no horizon is it surely lower than that of every baseline."
    )
    names = {name: figures.predictor_name(name) for name in NAIVE_GROWTH}
    written = part.drop("split").with_columns(pl.col("against").replace(figures.PREDICTOR_NAMES))
    shell.chart(charts.skill(part, names), sentence, written, "skill")


def coverage(split: str) -> None:
    """Coverage and width of the intervals by horizon and year."""
    table = data.read_table("forecast_coverage")
    if table is None or (part := table.filter(split=split)).is_empty():
        return
    shell.section("How often intervals held")
    held, width = (part.pivot("year", index="horizon", values=v).sort("horizon") for v in ("coverage", "width"))
    years = {year: year for year in part["year"].unique().sort()}
    worst = part.sort("coverage").row(0, named=True)
    one, two = st.columns(2)
    with one:
        share = float(np.average(part["coverage"], weights=part["rows"]))
        sentence = f"Share of prices inside their 90% interval on {split}: {share:.1f}% overall. The lowest is "
        sentence += f"{worst['coverage']:.1f}%, {worst['horizon']} ahead in {worst['year']}."
        least = min(70.0, 10 * (worst["coverage"] // 10))
        figure = charts.lines(held, "horizon", years, "months ahead", 90, least)
        shell.chart(figure, sentence, held, "forecast-coverage")
    with two:
        sentence = "Width of these intervals, in percent of the forecast."
        shell.chart(charts.lines(width, "horizon", years, "months ahead"), sentence, width, "forecast-width")


def regret(by_year: pl.DataFrame) -> None:
    """The error of what was published beside that of the baseline that turned out best, by year and horizon."""
    table = figures.regret(by_year)
    if table.is_empty():
        return
    worst = table.sort("regret").row(-1, named=True)
    better = table.filter(pl.col("regret") <= 0).height
    sentence = (
        "Regret: how many percentage points the error of what was published is above that of the naive baseline that "
        f"turned out best, which is known only afterwards. It is not above it in {better} of {table.height} cases. "
    )
    sentence += f"The largest is {worst['regret']:+.2f} points, {worst['horizon']} ahead in {worst['year']}."
    points = st.column_config.NumberColumn("Regret, points", format="%+.2f", help=help_for("regret"))
    formats = {"regret": points, "best": st.column_config.TextColumn("Best naive")}
    shell.chart(charts.regret(table), sentence, table, "regret", formats=formats)


def coverage_by_year() -> None:
    """Coverage of the intervals by year at some horizons, over eval and holdout."""
    table = data.read_table("forecast_coverage")
    if table is None or table.is_empty():
        return
    rows = pl.col("rows")
    held = table.group_by("year", "horizon").agg(
        ((pl.col("coverage") * rows).sum() / rows.sum()).alias("coverage"), rows.sum()
    )
    wide = held.sort("horizon").pivot("horizon", index="year", values="coverage").sort("year")
    low = held.sort("coverage", "year", "horizon").row(0, named=True)
    sentence = (
        f"Share of prices inside the 90% interval of their forecast by year, {wide['year'][0]} to {wide['year'][-1]}. "
        f"The lowest is {low['coverage']:.1f}%, {low['horizon']} ahead in {low['year']}."
    )
    names = {str(h): f"{h} ahead" for h in _HORIZONS_THROUGH_TIME if str(h) in wide.columns}
    least = min(70.0, 10 * (low["coverage"] // 10))
    shell.chart(charts.lines(wide, "year", names, "", 90, least), sentence, wide, "coverage-by-year")


def through_time() -> None:
    """What came of the published forecasts: skill by year and horizon, and coverage by origin."""
    read = data.errors_by_origin()
    shell.damaged(read.damaged)
    if read.frame.is_empty():
        return
    table = figures.by_year(read.frame)
    one, two = st.columns(2)
    with one:
        worst = table.sort("skill").row(0, named=True)
        sentence = (
            "How much lower the error of published forecasts was than that of “no change”, by months ahead and by the "
            f"year they were made in. The least is {figures.percent(worst['skill'], signed=True)}, "
            f"{worst['horizon']} ahead in {worst['year']}."
        )
        wide = table.pivot("year", index="horizon", values="skill").sort("horizon")
        years = {year: year for year in table["year"].unique().sort()}
        shell.chart(charts.lines(wide, "horizon", years, "months ahead"), sentence, table, "skill-by-year")
    with two:
        held = read.frame.drop_nulls("coverage").filter(pl.col("horizon").is_in(_HORIZONS_THROUGH_TIME))
        if held.is_empty():
            return
        wide = held.sort("horizon").pivot("horizon", index="origin", values="coverage").sort("origin")
        names = {str(h): f"{h} ahead" for h in _HORIZONS_THROUGH_TIME if str(h) in wide.columns}
        low = held.sort("coverage").row(0, named=True)
        sentence = (
            "Share of prices inside the 90% interval of published forecasts, by the month they were made in. The "
            f"lowest is {low['coverage']:.0f}%, {low['horizon']} ahead from {low['origin']}."
        )
        figure = charts.lines(wide, "origin", names, "origin", 90, min(70.0, 10 * (low["coverage"] // 10)))
        shell.chart(figure, sentence, wide, "coverage-by-origin")


def weights(version: str) -> None:
    """What each forecaster counts: in the newest forecasts by horizon, and at one horizon through time."""
    table = data.read_table("forecast_weights")
    if table is None or (of_version := table.filter(model_version=version)).is_empty():
        return
    shell.section("What each forecaster counts")
    available = set(of_version["horizon"])
    horizons = [str(horizon) for horizon in HORIZONS if horizon in available]
    ahead = shell.choice("Weights through time, months ahead", horizons, "ahead", horizons[-1])
    left, right = st.columns(2)
    with left:
        newest_weights(of_version)
    with right:
        weights_through_time(of_version.filter(horizon=int(ahead)), ahead)


def newest_weights(of_version: pl.DataFrame) -> None:
    """What each forecaster counts in the newest forecasts, by horizon."""
    origin = str(of_version["origin"].max())
    newest = of_version.filter(origin=origin).with_columns(pl.col("weight") * 100)
    grid = newest.pivot("predictor", index="horizon", values="weight").sort("horizon")
    by_share = newest.group_by("predictor").agg(pl.col("weight").max()).sort("weight", "predictor", descending=True)
    names = {name: figures.predictor_name(name) for name in by_share["predictor"].head(_SHOWN_WEIGHTS)}
    first, last = (newest.filter(horizon=h).sort("weight").row(-1, named=True) for h in (1, grid["horizon"].max()))
    sentence = (
        f"What each forecaster counts in the forecasts from {origin}, in percent, by how small its known errors are. "
    )
    sentence += f"One month ahead {figures.predictor_name(first['predictor'])} counts most ({first['weight']:.0f}%), "
    sentence += f"{last['horizon']} ahead {figures.predictor_name(last['predictor'])} ({last['weight']:.0f}%)."
    shell.chart(charts.lines(grid, "horizon", names, "months ahead"), sentence, grid, "forecast-weights")


def weights_through_time(of_horizon: pl.DataFrame, ahead: str) -> None:
    """What each forecaster counted at each origin in forecasts so many months ahead."""
    table = figures.weights_through_time(of_horizon, _SHOWN_WEIGHTS)
    first, last = table.row(0, named=True), table.row(-1, named=True)
    most = max((name for name in table.columns if name != "origin"), key=lambda name: last[name])
    sentence = (
        f"What each forecaster counted in forecasts {ahead} ahead, by the month they were made in. From "
        f"{first['origin']} to {last['origin']} {figures.predictor_name(most)} went from {first[most]:.0f}% to "
        f"{last[most]:.0f}%, the most at the end."
    )
    names = {name: figures.predictor_name(name) for name in table.columns if name != "origin"}
    shell.chart(charts.shares(table, names), sentence, table, "weights-through-time")


def by_metro(graded: pl.DataFrame) -> None:
    """Errors of published forecasts by metro."""
    if graded.is_empty():
        return
    shell.section("Metro by metro")
    grid = graded.sort("horizon").pivot("horizon", index="group", values="mape").sort("group")
    last = graded.filter(horizon=graded["horizon"].max()).sort("mape").row(-1, named=True)
    sentence = (
        f"Mean absolute % error of published forecasts by metro and months ahead. The largest {last['horizon']} ahead "
    )
    sentence += f"is that of {last['group'] or 'zips without a metro'}: {figures.percent(last['mape'])}."
    worst = graded.group_by("group").agg(pl.col("mape").max()).sort("mape", descending=True).head(MOST_METROS)
    shown = grid.filter(pl.col("group").is_in(worst["group"].implode(), nulls_equal=True))
    shell.chart(charts.heat(shown, "group", "% error"), f"{sentence}{left_out(grid)}", grid, "forecast-metros")


def left_out(grid: pl.DataFrame) -> str:
    """What a chart of metros says of those that it has no room for."""
    return f" The {MOST_METROS} with the largest errors are shown." if grid.height > MOST_METROS else ""
