"""Intervals and predictions: months of `cleaned` through the champion's own encoders and model."""

from collections.abc import Iterator

import dagster as dg
import numpy as np
import polars as pl

from housing_assets.config.settings import Settings
from housing_assets.core.catalogue import (
    CHAMPION_MODEL,
    CLEANED,
    INTERVAL_CALIBRATION,
    MONTHLY_PREDICTIONS,
    PRICE_HISTORY,
    RAW_SPLITS,
)
from housing_assets.core.errors import HousingError, StoreError
from housing_assets.core.evaluation.judged import Judged
from housing_assets.core.evaluation.metrics import price_metrics
from housing_assets.core.intervals.conformal import (
    CALIBRATION_DESCRIPTIONS,
    CALIBRATION_SCHEMA,
    WINDOW,
    calibrate_month,
    calibration_window,
)
from housing_assets.core.models.engine import CORES
from housing_assets.core.models.price import PREDICTION_DESCRIPTIONS, PREDICTION_SCHEMA, PriceModel
from housing_assets.core.models.publication import widen
from housing_assets.core.months import describe_months
from housing_assets.core.vintages.first_prices import WANTED_SCHEMA, with_vintage
from housing_assets.orchestration.asset_pictures import error_picture
from housing_assets.orchestration.described import described_asset
from housing_assets.orchestration.histories import open_sound_history
from housing_assets.orchestration.metadata import column_schema, picture, table
from housing_assets.orchestration.partitions import monthly
from housing_assets.orchestration.resources.io_manager import MonthlyFrames, MonthReader
from housing_assets.store.first_prices import FirstPriceReader, raw_vintage
from housing_assets.store.gates import require
from housing_assets.store.layout import Store
from housing_assets.store.pointers import load_champion
from housing_assets.store.verdicts import State, UnsoundError, states


def make_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """`interval_calibration` and `monthly_predictions`."""
    return [_interval_calibration(settings), _monthly_predictions(settings)]


def _interval_calibration(settings: Settings) -> dg.AssetsDefinition:
    @described_asset(
        INTERVAL_CALIBRATION,
        settings,
        deps=[CHAMPION_MODEL, PRICE_HISTORY],
        ins={
            CLEANED: dg.AssetIn(
                partition_mapping=dg.TimeWindowPartitionMapping(
                    start_offset=1 - settings.publication_lag - WINDOW,
                    end_offset=-settings.publication_lag,
                    allow_nonexistent_upstream_partitions=True,
                )
            )
        },
        metadata=column_schema(CALIBRATION_SCHEMA, CALIBRATION_DESCRIPTIONS),
        description=f"How wide the month's 90% intervals are, by metro: conformal on the champion's log errors of the "
        f"{WINDOW} newest months whose prices were known when it was predicted. Months the champion was trained on do "
        "not count. Where such intervals missed on eval, they are widened by the champion's factor.",
    )
    def interval_calibration(
        context: dg.AssetExecutionContext,
        cleaned: MonthReader,
        store: dg.ResourceParam[Store],
    ) -> MonthlyFrames:
        model, first = _champion(store)
        history, made_from = open_sound_history(store)
        months = list(context.partition_keys)
        _require_unseen(months, first, model.version)
        windows = {m: [w for w in calibration_window(m, model.lag) if w >= first] for m in months}
        stopped = _stopped(store, cleaned, {w for window in windows.values() for w in window})
        windows = {m: _without(m, window, stopped) for m, window in windows.items()}
        needed = sorted({w for window in windows.values() for w in window})
        cleaned.months.require(needed)
        require(store, INTERVAL_CALIBRATION, {CLEANED: needed})
        widths: list[dict[str, object]] = []

        def frames() -> Iterator[tuple[str, pl.DataFrame, dict]]:
            known = {month: model.residuals(rows, history) for month, rows in cleaned.months.iterate(needed)}
            for month in months:
                factors = model.publication.factors()
                frame = widen(calibrate_month(month, known, model.version, windows[month]), factors)
                facts: dict[str, object] = {}
                for pooled in frame.filter(pl.col("city_full").is_null()).iter_rows(named=True):
                    kind = "with history" if pooled["from_history"] else "without history"
                    facts |= {f"{end}, {kind}": pooled[end] for end in ("log_low", "log_high")}
                    facts |= {
                        f"residuals, {kind}": pooled["rows"],
                        f"widened by, {kind}": factors[pooled["from_history"]],
                    }
                widths.append({"month": month, **facts})
                yield month, frame, {"model version": model.version, **facts}

        left_out = describe_months(sorted(stopped))
        return monthly(
            context,
            frames(),
            lambda: {
                "this run": table(pl.DataFrame(widths, infer_schema_length=None)),
                "months that checks stopped": left_out,
            },
            made_from,
        )

    return interval_calibration


def _monthly_predictions(settings: Settings) -> dg.AssetsDefinition:
    @described_asset(
        MONTHLY_PREDICTIONS,
        settings,
        deps=[CHAMPION_MODEL, PRICE_HISTORY],
        metadata=column_schema(PREDICTION_SCHEMA, PREDICTION_DESCRIPTIONS),
        description="Price of every zip of the month in US dollars, with a 90% interval and, where it is "
        "known, the actual price, as it is now and as it was first published, by the model or by the naive baseline "
        "that was better on eval.",
    )
    def monthly_predictions(
        context: dg.AssetExecutionContext,
        cleaned: MonthReader,
        interval_calibration: MonthReader,
        store: dg.ResourceParam[Store],
    ) -> MonthlyFrames:
        model, first = _champion(store)
        months = list(context.partition_keys)
        _require_unseen(months, first, model.version)
        cleaned.months.require(months)
        require(store, MONTHLY_PREDICTIONS, {CLEANED: months, INTERVAL_CALIBRATION: months})
        history, made_from = open_sound_history(store)
        used = {month: raw_vintage(store, month) for month in months}
        first_prices = FirstPriceReader(store)
        by_month: list[dict[str, object]] = []
        calibrations = dict(interval_calibration.iterate())
        for month, calibration in calibrations.items():
            if set(calibration["model_version"]) != {model.version}:
                raise StoreError(
                    f"interval_calibration of {month} is of {calibration['model_version'][0]}, the champion is "
                    f"{model.version}: materialize interval_calibration for {month} first"
                )

        def frames() -> Iterator[tuple[str, pl.DataFrame, dict]]:
            for month, rows in cleaned.iterate():
                first = first_prices.read(rows.select(*WANTED_SCHEMA), used[month])
                for problem in first.damaged:
                    context.log.warning(f"first prices of {month} are not known: {problem}")
                predicted = model.predict(rows, history, calibrations[month], unseen=True)
                predicted = with_vintage(predicted, used[month], first.prices)
                found = _accuracy(predicted)
                found["from history, %"] = 100 * float(predicted["from_history"].mean() or 0)  # type: ignore[arg-type]
                facts = {
                    "model version": model.version,
                    "predictor": model.publication.predictor,
                    "vintage": used[month] or "not known",
                    "first prices known": predicted["first_price"].count(),
                    **found,
                }
                by_month.append({"month": month, "rows": predicted.height, **found})
                yield month, predicted, facts

        def run_metadata() -> dict[str, object]:
            shown: dict[str, object] = {"this run": table(pl.DataFrame(by_month, infer_schema_length=None))}
            if len(by_month) > 1:
                shown["error by month"] = picture(error_picture(by_month))
            return shown

        return monthly(context, frames(), run_metadata, made_from)

    return monthly_predictions


def _champion(store: Store) -> tuple[PriceModel, str]:
    """The champion, and the first month that it was not fitted on: that of the eval by which it was judged."""
    bundle = load_champion(store)
    return bundle.model(threads=CORES), Judged.from_manifest(bundle.manifest).eval_start


def _require_unseen(months: list[str], first: str, version: str) -> None:
    """Refuse months before the first one that a model was not fitted on."""
    if seen := [month for month in months if month < first]:
        raise HousingError(
            f"{describe_months(seen)} cannot be predicted: {version} was fitted on every month before {first}. What is "
            f"on file of earlier months stays as it was made: choose months from {first} on"
        )


def _stopped(store: Store, cleaned: MonthReader, months: set[str]) -> set[str]:
    """The months that never came to be cleaned, because the checks of their raw rows are red."""
    absent = months - set(cleaned.months.available())
    return {month for month, state in states(store, RAW_SPLITS, sorted(absent)).items() if state is State.RED}


def _without(month: str, window: list[str], stopped: set[str]) -> list[str]:
    """The window of a month without the months that checks stopped.

    Raises:
        UnsoundError: fewer than half are left.
    """
    left = [w for w in window if w not in stopped]
    if 2 * len(left) < len(window):
        raise UnsoundError(
            f"intervals of {month}: the checks of raw_splits stopped {len(window) - len(left)} of the {len(window)} "
            f"months before it ({describe_months(sorted(stopped))}): mend these first"
        )
    return left


def _accuracy(predicted: pl.DataFrame) -> dict[str, float]:
    """Error figures of the rows whose price is known; nothing where none is."""
    known = predicted.filter(pl.col("actual_price").is_not_null())
    if known.is_empty():
        return {}
    actual, said = known["actual_price"].to_numpy(), known["predicted_price"].to_numpy()
    low, high = known["predicted_low"].to_numpy(), known["predicted_high"].to_numpy()
    metrics = price_metrics(actual, said)
    return {
        "mae": metrics["mae"],
        "mape": metrics["mape"],
        "interval coverage, %": 100 * float(np.mean((low <= actual) & (actual <= high))),
        "interval width, % of the price": 100 * float(np.mean((high - low) / said)),
    }
