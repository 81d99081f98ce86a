"""Everything that is known of one forecast model once it is graded: what decides, what is published, how wide."""

from dataclasses import dataclass

import polars as pl

from housing_assets.core.features.history import History
from housing_assets.core.forecasting.backtest import backtest
from housing_assets.core.forecasting.grading import choose_published, coverage_table, grade, skill_table
from housing_assets.core.forecasting.intervals import forecast_intervals
from housing_assets.core.forecasting.model import ForecastModel
from housing_assets.core.months import TimeSplit


@dataclass(frozen=True)
class ForecastGrades:
    """The grades of a forecast model on one history.

    Attributes:
        version: of the model.
        published: by horizon, whose forecast is published.
        graded: errors, as `housing_assets.core.forecasting.grading.grade` gives them: `forecast_evaluation`.
        intervals: `forecast_intervals`, with `model_version`.
        skill: `forecast_skill`.
        coverage: `forecast_coverage`.
    """

    version: str
    published: dict[int, str]
    graded: pl.DataFrame
    intervals: pl.DataFrame
    skill: pl.DataFrame
    coverage: pl.DataFrame


def grade_forecasts(history: History, model: ForecastModel, split: TimeSplit) -> ForecastGrades:
    """Grade a forecast model on every origin whose outcome the history knows.

    Args:
        history: of all zips.
        model: to grade; every origin is forecast by the fit that saw none of its outcomes.
        split: eval of it decides what is published.
    """
    rows = backtest(history, model)
    published = choose_published(rows, split)
    widths = forecast_intervals(rows, published, history.last_month)
    return ForecastGrades(
        version=model.version,
        published=published,
        graded=grade(history, rows, split, published),
        intervals=widths.with_columns(pl.lit(model.version).alias("model_version")),
        skill=skill_table(rows, split),
        coverage=coverage_table(rows, widths, split, published),
    )
