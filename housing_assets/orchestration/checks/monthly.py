"""Checks of the monthly assets: every month of a run, one after the other."""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from housing_assets.config.settings import Settings
from housing_assets.core.catalogue import CLEANED, INTERVAL_CALIBRATION, MONTHLY_PREDICTIONS, QUARANTINED, RAW_SPLITS
from housing_assets.core.months import add_months, month_range, parse_month_range
from housing_assets.core.prefetch import prefetch_map
from housing_assets.core.quality.cleaned import measure_clean_month
from housing_assets.core.quality.measurement import Measurement
from housing_assets.core.quality.predictions import measure_calibration_month, measure_prediction_month
from housing_assets.core.quality.raw import RECENT, YEAR, measure_raw_months
from housing_assets.core.run_tags import tagged_months
from housing_assets.orchestration.checks.common import MONTHS, Measured, checks_of
from housing_assets.orchestration.work import raw_digests
from housing_assets.store.histories import made_from_history
from housing_assets.store.layout import Store


def monthly_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """The checks of `raw_splits`, `cleaned`, `interval_calibration` and `monthly_predictions`."""
    return [
        checks_of(RAW_SPLITS, _raw_months, settings.source_label, monthly=True),
        checks_of(CLEANED, _clean_months, settings.source_label, rests_on=raw_digests, monthly=True),
        checks_of(INTERVAL_CALIBRATION, _calibrations,
                  rests_on=made_from_history(INTERVAL_CALIBRATION), monthly=True),
        checks_of(MONTHLY_PREDICTIONS, _predictions,
                  rests_on=made_from_history(MONTHLY_PREDICTIONS), monthly=True),
    ]  # fmt: skip


def asked_months(context: dg.AssetCheckExecutionContext, store: Store, asset: str) -> list[str]:
    """The months that the config asks for, or those of the run; without either, every month that is there.

    Those of the run are from its tags: a run of checks alone has months too, which Dagster's context does not give.

    Raises:
        HousingError: the config names no months.
    """
    if text := context.op_execution_context.op_config[MONTHS]:
        return month_range(*parse_month_range(text))
    return tagged_months(context.run.tags) or store.months(asset).available()


def _raw_months(context: dg.AssetCheckExecutionContext) -> Measured:
    store: Store = context.resources.store
    run_months = asked_months(context, store, RAW_SPLITS)
    if not run_months:
        return
    months = store.months(RAW_SPLITS)
    lead = set(month_range(add_months(run_months[0], -YEAR), add_months(run_months[0], -1)))
    read = sorted((lead & set(months.available())) | set(run_months))
    yield from measure_raw_months(months.iterate(read), run_months)


def _clean_months(context: dg.AssetCheckExecutionContext) -> Iterator[tuple[str, int, list[Measurement]]]:
    store: Store = context.resources.store
    quarantined = store.months(QUARANTINED)
    available = set(quarantined.available())

    def measure(item: tuple[str, pl.DataFrame]) -> tuple[str, int, list[Measurement]]:
        month, frame = item
        out = quarantined.read(month, ["zipcode"]).height if month in available else 0
        return month, frame.height, measure_clean_month(frame, month, out)

    frames = store.months(CLEANED).iterate(asked_months(context, store, CLEANED))
    yield from prefetch_map(measure, frames, "measure")


def _calibrations(context: dg.AssetCheckExecutionContext) -> Iterator[tuple[str, int, list[Measurement]]]:
    store: Store = context.resources.store
    run_months = asked_months(context, store, INTERVAL_CALIBRATION)
    for month, frame in store.months(INTERVAL_CALIBRATION).iterate(run_months):
        yield month, frame.height, measure_calibration_month(frame, month)


def _predictions(context: dg.AssetCheckExecutionContext) -> Iterator[tuple[str, int, list[Measurement]]]:
    store: Store = context.resources.store
    cleaned = store.months(CLEANED)
    available = set(cleaned.available())
    prices: dict[str, pl.DataFrame] = {}

    def prices_of(month: str) -> pl.DataFrame:
        if month not in prices:
            prices[month] = cleaned.read(month, ["zipcode", "price"])
        return prices[month]

    run_months = asked_months(context, store, MONTHLY_PREDICTIONS)
    for month, frame in store.months(MONTHLY_PREDICTIONS).iterate(run_months):
        recent = [m for m in month_range(add_months(month, -RECENT), add_months(month, -1)) if m in available]
        before = pl.concat([prices_of(m) for m in recent]) if recent else None
        yield month, frame.height, measure_prediction_month(frame, month, prices_of(month)["zipcode"], before)
        prices = {m: prices[m] for m in (*recent, month)}
