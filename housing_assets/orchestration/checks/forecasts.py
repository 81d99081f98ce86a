"""Checks of the history, and of the forecasts that rest on it."""

from collections.abc import Iterator

import dagster as dg

from housing_assets.core.catalogue import FORECAST_EVALUATION, FORECAST_MODEL, MONTHLY_FORECASTS, PRICE_HISTORY
from housing_assets.core.errors import BundleError
from housing_assets.core.forecasting.model import forecast_model_from_files
from housing_assets.core.quality.forecasts import (
    measure_forecast_evaluation,
    measure_forecast_model,
    measure_forecast_month,
    measure_history,
)
from housing_assets.core.quality.measurement import Measurement
from housing_assets.orchestration.checks.common import Measured, checks_of
from housing_assets.orchestration.checks.monthly import asked_months
from housing_assets.orchestration.histories import read_history
from housing_assets.store.bundles import load_bundle
from housing_assets.store.histories import made_from_history
from housing_assets.store.layout import Store


def forecast_checks() -> list[dg.AssetChecksDefinition]:
    """The checks of `price_history`, `forecast_model`, `forecast_evaluation` and `monthly_forecasts`."""

    def history(context: dg.AssetCheckExecutionContext) -> Measured:
        store: Store = context.resources.store
        table = store.read_table(PRICE_HISTORY)
        yield "", table.height, measure_history(table)

    def model(context: dg.AssetCheckExecutionContext) -> Measured:
        store: Store = context.resources.store
        version, fits, problem = store.read_json("forecast_model.json")["version"], list[str](), None
        try:
            fits = list(forecast_model_from_files(load_bundle(store, version).files, version).fits)
        except BundleError as error:
            problem = str(error)
        yield "", len(fits), measure_forecast_model(fits, read_history(store).last_month, problem)

    def evaluation(context: dg.AssetCheckExecutionContext) -> Measured:
        store: Store = context.resources.store
        table = store.read_table(FORECAST_EVALUATION)
        yield "", table.height, measure_forecast_evaluation(table)

    return [
        checks_of(PRICE_HISTORY, history),
        checks_of(FORECAST_MODEL, model),
        checks_of(FORECAST_EVALUATION, evaluation),
        checks_of(MONTHLY_FORECASTS, _forecasts, rests_on=made_from_history(MONTHLY_FORECASTS), monthly=True),
    ]


def _forecasts(context: dg.AssetCheckExecutionContext) -> Iterator[tuple[str, int, list[Measurement]]]:
    store: Store = context.resources.store
    run_months = asked_months(context, store, MONTHLY_FORECASTS)
    for month, frame in store.months(MONTHLY_FORECASTS).iterate(run_months):
        yield month, frame.height, measure_forecast_month(frame, month)
