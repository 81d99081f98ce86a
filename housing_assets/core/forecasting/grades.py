"""The grades of a forecast model: its errors, which forecaster is published by horizon, and interval widths."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from housing_assets.core.errors import HousingError
from housing_assets.core.features.history import History
from housing_assets.core.forecasting.backtest import Backtest
from housing_assets.core.forecasting.grading import (
    COVERED_KEYS,
    added_up,
    coverage_table,
    covered,
    figures,
    first_outcomes,
    skill_table,
    skill_totals,
    tally,
    with_outcome,
)
from housing_assets.core.forecasting.model import ForecastModel
from housing_assets.core.forecasting.record import FirstPublished, ForecastRecord
from housing_assets.core.forecasting.schema import MODEL
from housing_assets.core.months import Split, TimeSplit, add_months

_MONTHS_APART = 12
"""Months whose tallies are held one by one before they are added up."""


@dataclass(frozen=True)
class ForecastGrades:
    """The grades of a forecast model on one history.

    Attributes:
        version: of the model.
        published: name of the forecaster that is published, by horizon.
        graded: errors, as `housing_assets.core.forecasting.grading.figures` gives them: `forecast_evaluation`.
        intervals: `forecast_intervals`, with `model_version`.
        skill: `forecast_skill`.
        coverage: `forecast_coverage`.
        weights: `forecast_weights`, with `model_version`.
        record: what the grades are made of, from which those of a longer history go on.
    """

    version: str
    published: dict[int, str]
    graded: pl.DataFrame
    intervals: pl.DataFrame
    skill: pl.DataFrame
    coverage: pl.DataFrame
    weights: pl.DataFrame
    record: ForecastRecord


def grade_forecasts(
    history: History,
    model: ForecastModel,
    split: TimeSplit,
    first: FirstPublished | None = None,
    former: ForecastRecord | None = None,
) -> ForecastGrades:
    """Grade a forecast model on every origin whose outcome the history knows.

    Args:
        history: of all zips.
        model: to grade. Every origin is forecast by a fit that none of its outcomes went into.
        split: its eval months decide what is published.
        first: first published prices; None: none is known.
        former: kept of an earlier grading; the months that are in it are not graded again, if it was made from the very
            same months, fits, first prices and code. None: there is none.

    Raises:
        HousingError: no forecast of eval has an outcome.
    """
    is_same = former is not None and former.holds(history, model, split, first)
    record = former.copy() if former and is_same else ForecastRecord.begin(model)
    walked = record.walked
    begin = max(split.eval_start, add_months(walked.through, 1) if walked.through else "")
    log_first = None if first is None else first_outcomes(history, first.since(begin))
    published = dict.fromkeys(walked.horizons, MODEL)
    tallies, skill, coverage = [record.tallies], [record.skill], [record.coverage]
    for known in _with_outcomes(walked, history, model, split):
        widths = walked.intervals(since=add_months(known["month"][0], -max(walked.horizons)))
        tallies.append(tally(history, known, log_first))
        skill.append(skill_totals(known))
        coverage.append(covered(known, widths, published))
        if len(tallies) > _MONTHS_APART:
            tallies = [added_up(tallies)]
    tallied = added_up(tallies)
    _require_eval(tallied.filter(split=Split.EVAL).height)
    record = ForecastRecord(walked, tallied, pl.concat(skill), added_up(coverage, COVERED_KEYS))
    record = record.made_from(history, model, split, first)
    named = pl.lit(model.version).alias("model_version")
    return ForecastGrades(
        version=model.version,
        published=published,
        graded=figures(record.tallies, published),
        intervals=walked.intervals().with_columns(named),
        skill=skill_table(record.skill),
        coverage=coverage_table(record.coverage),
        weights=walked.weight_table.with_columns(named),
        record=record,
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
    error = ((pl.col(MODEL) - pl.col("growth")).cast(pl.Float64).exp() - 1).abs()
    sums = [
        rows.drop_nulls(MODEL).group_by("horizon").agg(error.sum().alias("absolute"), pl.len().alias("rows"))
        for rows in _with_outcomes(Backtest.begin(model), known, model, split)
    ]
    _require_eval(len(sums))
    totals = added_up(sums, ["horizon"])
    return float(np.exp(np.log(100 * totals["absolute"] / totals["rows"]).mean()))  # type: ignore[arg-type]


def _with_outcomes(
    walked: Backtest, history: History, model: ForecastModel, split: TimeSplit
) -> Iterator[pl.DataFrame]:
    """The forecasts of eval and holdout whose outcome is known, month by month, as a walk goes on."""
    for rows in walked.advance(history, model, split.eval_start):
        known = with_outcome(rows, split)
        if not known.is_empty():
            yield known


def _require_eval(outcomes: int) -> None:
    if not outcomes:
        raise HousingError(
            "forecasts cannot be graded: no forecast of eval has an outcome. Ingest the months of eval, or set "
            "HOUSING_EVAL_START and HOUSING_HOLDOUT_START to months of the panel"
        )
