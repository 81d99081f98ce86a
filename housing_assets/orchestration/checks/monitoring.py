"""Checks of the monitoring assets: they warn, and a sensor asks for training when they go on warning."""

from collections.abc import Callable, Iterator

import dagster as dg
import polars as pl

from housing_assets.core.catalogue import DRIFT_REPORT, PREDICTION_ACCURACY
from housing_assets.core.quality.drift import measure_accuracy_month, measure_drift_month
from housing_assets.core.quality.measurement import Measurement
from housing_assets.orchestration.checks.common import checks_of
from housing_assets.orchestration.checks.monthly import asked_months
from housing_assets.orchestration.work import prediction_stamps
from housing_assets.store.layout import Store


def monitoring_checks() -> list[dg.AssetChecksDefinition]:
    """The checks of `drift_report` and `prediction_accuracy`."""
    return [
        checks_of(DRIFT_REPORT, _each(DRIFT_REPORT, measure_drift_month), rests_on=prediction_stamps, monthly=True),
        checks_of(
            PREDICTION_ACCURACY,
            _each(PREDICTION_ACCURACY, measure_accuracy_month),
            rests_on=prediction_stamps,
            monthly=True,
        ),
    ]


def _each(
    asset: str, measure: Callable[[pl.DataFrame, str], list[Measurement]]
) -> Callable[[dg.AssetCheckExecutionContext], Iterator[tuple[str, int, list[Measurement]]]]:
    def measured(context: dg.AssetCheckExecutionContext) -> Iterator[tuple[str, int, list[Measurement]]]:
        store: Store = context.resources.store
        for month, frame in store.months(asset).iterate(asked_months(context, store, asset)):
            yield month, frame.height, measure(frame, month)

    return measured
