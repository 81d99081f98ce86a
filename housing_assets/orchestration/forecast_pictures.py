"""Pictures of the grades of a forecast model, for the metadata of `forecast_evaluation`."""

import polars as pl

from housing_assets.core.baselines.growth import NAIVE_GROWTH
from housing_assets.core.forecasting.grades import ForecastGrades
from housing_assets.core.forecasting.schema import PREDICTORS
from housing_assets.orchestration.plots import bars, lines_by_month


def forecast_pictures(grades: ForecastGrades) -> dict[str, bytes]:
    """PNG files by title: errors and coverage by horizon for each split, and the skill one month ahead."""
    pictures = {}
    for split in grades.graded["split"].unique(maintain_order=True):
        overall = grades.graded.filter((pl.col("by") == "overall") & (pl.col("split") == split))
        horizons = overall["horizon"].unique().sort().to_list()
        errors = {name: _by_horizon(overall, "predictor", name, "mape", horizons) for name in PREDICTORS}
        axis = [f"+{horizon}" for horizon in horizons]
        pictures[f"error by horizon, {split}"] = lines_by_month(
            axis, errors, f"Forecasts of {split} months", "mean absolute error, % of the price"
        )
        coverage = grades.coverage.filter(pl.col("split") == split)
        if coverage.height:
            years = coverage["year"].unique().sort().to_list()
            by_year = {year: _by_horizon(coverage, "year", year, "coverage", horizons) for year in years}
            pictures[f"coverage by horizon, {split}"] = lines_by_month(
                axis, by_year, f"90% intervals of {split} months", "% of prices inside", None, 90.0
            )
    skill = grades.skill
    nearest = skill.filter((pl.col("split") == skill["split"][-1]) & (pl.col("horizon") == pl.col("horizon").min()))
    pictures["skill one month ahead"] = bars(
        nearest["against"].to_list(),
        nearest["skill"].to_list(),
        f"Error saved against {len(NAIVE_GROWTH)} baselines",
        "%",
    )
    return pictures


def _by_horizon(table: pl.DataFrame, key: str, value: str, figure: str, horizons: list[int]) -> list[float | None]:
    """A figure at each horizon of the rows where `key` has a value; None where there is no such row."""
    by_horizon = dict(table.filter(pl.col(key) == value).select("horizon", figure).iter_rows())
    return [by_horizon.get(horizon) for horizon in horizons]
