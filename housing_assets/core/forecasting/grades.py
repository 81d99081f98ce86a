"""The grades of a forecast model: its errors, which forecaster is published by horizon, and interval widths."""

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
        published: name of the forecaster that is published, by horizon.
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


def grade_forecasts(
    history: History, model: ForecastModel, split: TimeSplit, first: pl.DataFrame | None = None
) -> ForecastGrades:
    """Grade a forecast model on every origin whose outcome the history knows.

    Args:
        history: of all zips.
        model: to grade. Every origin is forecast by a fit that none of its outcomes went into.
        split: its eval months decide what is published.
        first: first published prices, see `housing_assets.core.forecasting.grading.grade`.
    """
    return grade_backtest(history, backtest(history, model), model.version, split, first)


def grade_backtest(
    history: History, rows: pl.DataFrame, version: str, split: TimeSplit, first: pl.DataFrame | None = None
) -> ForecastGrades:
    """Grade the forecasts of a backtest.

    Args:
        history: that the backtest was made from.
        rows: as `housing_assets.core.forecasting.backtest.backtest` returns them.
        version: of the model.
        split: its eval months decide what is published.
        first: first published prices, see `housing_assets.core.forecasting.grading.grade`.
    """
    published = choose_published(rows, split)
    widths = forecast_intervals(rows, published, history.last_month)
    return ForecastGrades(
        version=version,
        published=published,
        graded=grade(history, rows, split, published, first),
        intervals=widths.with_columns(pl.lit(version).alias("model_version")),
        skill=skill_table(rows, split),
        coverage=coverage_table(rows, widths, split, published),
    )
