"""The grades of a forecast model: its errors, which forecaster is published by horizon, and interval widths."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from housing_assets.core.features.history import History
from housing_assets.core.forecasting.backtest import backtest
from housing_assets.core.forecasting.grading import (
    choose_published,
    coverage_table,
    eval_mape,
    first_outcomes,
    grade,
    skill_table,
    with_outcome,
)
from housing_assets.core.forecasting.intervals import forecast_intervals
from housing_assets.core.forecasting.model import ForecastModel
from housing_assets.core.forecasting.schema import HORIZONS
from housing_assets.core.months import TimeSplit, add_months


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
        weights: `forecast_weights`, with `model_version`.
    """

    version: str
    published: dict[int, str]
    graded: pl.DataFrame
    intervals: pl.DataFrame
    skill: pl.DataFrame
    coverage: pl.DataFrame
    weights: pl.DataFrame


def grade_forecasts(
    history: History, model: ForecastModel, split: TimeSplit, first: pl.DataFrame | None = None
) -> ForecastGrades:
    """Grade a forecast model on every origin whose outcome the history knows.

    Args:
        history: of all zips.
        model: to grade. Every origin is forecast by a fit that none of its outcomes went into.
        split: its eval months decide what is published.
        first: first published prices, `housing_assets.core.vintages.first_prices.FIRST_SCHEMA`; None: none is known.
    """
    walked = backtest(history, model, graded_from(split))
    published = choose_published(walked, split)
    widths = forecast_intervals(walked.errors)
    log_first = None if first is None else first_outcomes(history, first)
    graded, skill, coverage = [], [], []
    for horizon in walked.horizons:  # all horizons at once would be too much memory for a panel of the nation
        known = with_outcome(walked.of(horizon), split)
        graded.append(grade(history, known, published, log_first))
        skill.append(skill_table(known))
        coverage.append(coverage_table(known, widths, published))
    named = pl.lit(model.version).alias("model_version")
    return ForecastGrades(
        version=model.version,
        published=published,
        graded=pl.concat(graded).sort("split", "by", "group", "horizon", "predictor"),
        intervals=widths.with_columns(named),
        skill=pl.concat(skill).sort("split", "horizon", maintain_order=True),
        coverage=pl.concat(coverage).sort("split", "year", "horizon"),
        weights=walked.weights.with_columns(named),
    )


def eval_error(history: History, model: ForecastModel, split: TimeSplit) -> float:
    """Mean absolute % error of a model on eval, as the geometric mean over horizons, without any other grade.

    Args:
        history: of all zips. Months of holdout are not used.
        model: to grade.
        split: its eval months are graded.

    Raises:
        HousingError: no forecast of eval has an outcome.
    """
    known = history.until(min(history.last_month, add_months(split.holdout_start, -1)))
    walked = backtest(known, model, graded_from(split))
    errors = [eval_mape(walked.of(horizon), split) for horizon in choose_published(walked, split)]
    return float(np.exp(np.log([error for error in errors if error is not None]).mean()))


def graded_from(split: TimeSplit) -> str:
    """The first origin that is graded: its longest forecast is of the first month of eval."""
    return add_months(split.eval_start, -HORIZONS[-1])
