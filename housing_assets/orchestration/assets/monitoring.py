"""Monitoring: drift and errors of the predicted months, and one page on the quality of all data."""

from collections.abc import Iterator

import dagster as dg
import polars as pl
from pydantic import Field

from housing_assets.config.settings import Settings
from housing_assets.core.catalogue import (
    CHAMPION_MODEL,
    CLEANED,
    DATA_QUALITY,
    DRIFT_REPORT,
    MONTHLY_PREDICTIONS,
    PREDICTION_ACCURACY,
    PRICE_HISTORY,
    RAW_SPLITS,
    TRAINING_FEATURES,
)
from housing_assets.core.errors import StoreError
from housing_assets.core.features.history import History
from housing_assets.core.features.monthly import FEATURE_DESCRIPTIONS
from housing_assets.core.models.engine import CORES
from housing_assets.core.models.price import PREDICTION_DESCRIPTIONS
from housing_assets.core.months import Split, TimeSplit, add_months
from housing_assets.core.quality.drift import (
    ACCURACY_DESCRIPTIONS,
    ACCURACY_SCHEMA,
    DRIFT_DESCRIPTIONS,
    DRIFT_SCHEMA,
    DRIFTED_SHARE,
    accuracy_table,
    drift_html,
    drift_sample,
    drift_table,
    drifted_share,
    eval_errors,
    measure_drift_month,
    prediction_distance,
    reference_rows,
)
from housing_assets.core.quality.rules import broken_rules
from housing_assets.orchestration.described import described_asset
from housing_assets.orchestration.metadata import column_schema, picture, table
from housing_assets.orchestration.names import CODE_VERSION
from housing_assets.orchestration.partitions import monthly
from housing_assets.orchestration.plots import lines_by_month
from housing_assets.orchestration.quality_page import PAGE, read_health, render_page
from housing_assets.orchestration.resources.io_manager import AS_FILE, AS_HISTORY, MonthlyFrames, MonthReader
from housing_assets.store.bundles import load_bundle
from housing_assets.store.gates import require
from housing_assets.store.layout import Store
from housing_assets.store.pointers import load_champion
from housing_assets.store.remembered import remembered
from housing_assets.store.table import TableFile
from housing_assets.store.verdicts import State, data_stamps


class DriftConfig(dg.Config):
    """What is written beside the table of a month."""

    newest_report_only: bool = Field(
        False, description="Evidently's HTML report for the last month of the run alone: it takes four seconds a month"
    )
    drifted_report_only: bool = Field(
        False, description="Evidently's HTML report only for months that a check of their table warns of"
    )


def make_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """`drift_report`, `prediction_accuracy` and `data_quality`."""

    @described_asset(
        DRIFT_REPORT,
        settings,
        ins={PRICE_HISTORY: AS_HISTORY, TRAINING_FEATURES: AS_FILE},
        deps=[CHAMPION_MODEL],
        metadata=column_schema(DRIFT_SCHEMA, FEATURE_DESCRIPTIONS | PREDICTION_DESCRIPTIONS | DRIFT_DESCRIPTIONS),
        description="How far the features and predictions of the month are from those of train: a distance for each, "
        "and Evidently's HTML report beside it in the store. `housing run` writes the report of the newest month if it "
        "has drifted; materialize a month to have its report.",
    )
    def drift_report(
        context: dg.AssetExecutionContext,
        config: DriftConfig,
        cleaned: MonthReader,
        monthly_predictions: MonthReader,
        price_history: History,
        training_features: TableFile,
        store: dg.ResourceParam[Store],
    ) -> MonthlyFrames:
        model = load_champion(store).model(threads=CORES)
        months = list(context.partition_keys)
        cleaned.months.require(months)
        monthly_predictions.months.require(months)
        require(store, DRIFT_REPORT, {CLEANED: months, MONTHLY_PREDICTIONS: months})
        train = training_features.of(Split.TRAIN)

        def of_train() -> pl.DataFrame:
            sampled = reference_rows(train.pieces(), sum(train.groups().values()))
            return drift_sample(sampled, model, price_history)

        inputs = _inputs(store, settings.split, model.version, price_history)
        reference = remembered(store, "drift_reference", inputs, of_train)
        newest = pl.DataFrame()

        def frames() -> Iterator[tuple[str, pl.DataFrame, dict]]:
            nonlocal newest
            for month, rows in cleaned.iterate():
                published = monthly_predictions.months.read(month)
                if set(published["model_version"]) != {model.version}:
                    raise StoreError(
                        f"monthly_predictions of {month} is of {published['model_version'][0]}, the champion is "
                        f"{model.version}: materialize monthly_predictions for {month} first"
                    )
                current = drift_sample(rows, model, published=published)
                newest = drift_table(reference, current)
                facts: dict[str, object] = {
                    "features drifted, %": 100 * drifted_share(newest),
                    "distance of predictions": prediction_distance(newest),
                    "model version": model.version,
                }
                has_drifted = bool(broken_rules(DRIFT_REPORT, measure_drift_month(newest, month)))
                is_wanted = has_drifted or not config.drifted_report_only
                key = f"drift_report/{month}.html"
                if is_wanted and (month == months[-1] or not config.newest_report_only):
                    store.blobs.write(key, drift_html(reference, current))
                    facts["report"] = dg.MetadataValue.path(f"{store.uri}/{key}")
                else:
                    store.blobs.delete(key)  # one that is there is of other predictions
                yield month, newest, facts

        return monthly(
            context,
            frames(),
            lambda: {months[-1]: table(newest), "trend": picture(_drift_picture(store, {months[-1]: newest}))},
        )

    @described_asset(
        PREDICTION_ACCURACY,
        settings,
        ins={PRICE_HISTORY: AS_HISTORY, TRAINING_FEATURES: AS_FILE},
        deps=[CHAMPION_MODEL],
        metadata=column_schema(ACCURACY_SCHEMA, ACCURACY_DESCRIPTIONS),
        description="Errors of the month's predictions where the price is known by now, overall and by metro, beside "
        "the errors of the same champion on eval: against the newest price, and against the price as first published.",
    )
    def prediction_accuracy(
        context: dg.AssetExecutionContext,
        monthly_predictions: MonthReader,
        training_features: TableFile,
        price_history: History,
        store: dg.ResourceParam[Store],
    ) -> MonthlyFrames:
        monthly_predictions.months.require(context.partition_keys)
        require(store, PREDICTION_ACCURACY, {MONTHLY_PREDICTIONS: context.partition_keys})
        held = training_features.of(Split.EVAL)
        on_eval: dict[str, dict[str | None, float]] = {}
        overall: list[dict[str, object]] = []

        def frames() -> Iterator[tuple[str, pl.DataFrame, dict]]:
            for month, predictions in monthly_predictions.iterate():
                version = predictions["model_version"][0]
                if version not in on_eval:
                    on_eval[version] = _errors_on_eval(store, settings.split, version, held, price_history)
                found = accuracy_table(predictions, on_eval[version])
                facts = found.filter(pl.col("city_full").is_null()).row(0, named=True)
                overall.append({"month": month, **{k: v for k, v in facts.items() if k != "city_full"}})
                yield month, found, {k: v for k, v in facts.items() if isinstance(v, float | int)}

        return monthly(context, frames(), lambda: {"this run": table(pl.DataFrame(overall, infer_schema_length=None))})

    @described_asset(
        DATA_QUALITY,
        settings,
        deps=[RAW_SPLITS, CLEANED, CHAMPION_MODEL, MONTHLY_PREDICTIONS, DRIFT_REPORT, PREDICTION_ACCURACY],
        description="One HTML page on what all checks say of all months, what is quarantined, and how predictions "
        "drift and err: for people without Dagster.",
    )
    def data_quality(store: dg.ResourceParam[Store]) -> dg.MaterializeResult:
        health = read_health(store)
        pictures = {
            "Drift of features and predictions": _drift_picture(store, {}),
            "Error of predictions": _error_picture(store),
        }
        store.blobs.write(PAGE, render_page(store, health, settings.source_label, pictures))
        broken = pl.DataFrame(health.broken(), schema=dict.fromkeys(
            ("asset", "month", "rule", "severity", "column", "told", "remedy"), pl.String()))  # fmt: skip
        return dg.MaterializeResult(
            metadata={
                "page": dg.MetadataValue.path(f"{store.uri}/{PAGE}"),
                "sound": health.count(State.GREEN),
                "with warnings": health.count(State.WARN),
                "blocked": health.count(State.RED),
                "not checked, or changed since": health.count(State.ABSENT, State.STALE),
                "broken": table(broken.head(100)),
            }
        )

    return [drift_report, prediction_accuracy, data_quality]


def _inputs(store: Store, split: TimeSplit, version: str, history: History) -> list[str]:
    """What a model says of train and eval depends on."""
    last = min(add_months(split.holdout_start, -1), history.last_month)
    known = history.fingerprint(last) if last >= history.first_month else ""
    return [CODE_VERSION, version, known, data_stamps(store, TRAINING_FEATURES)[""]]


def _errors_on_eval(
    store: Store, split: TimeSplit, version: str, held: TableFile, history: History
) -> dict[str | None, float]:
    """Mean absolute % error of a model on eval, by metro; None: all of them."""

    def by_metro() -> pl.DataFrame:
        errors = eval_errors(held.read(), load_bundle(store, version).model(threads=CORES), history)
        return pl.DataFrame({"city_full": list(errors), "mape": list(errors.values())}).sort("city_full")

    kept = remembered(store, f"eval_errors/{version}", _inputs(store, split, version, history), by_metro)
    return dict(kept.iter_rows())


def _drift_picture(store: Store, further: dict[str, pl.DataFrame]) -> bytes:
    """The trend over every month on file, and those that are about to be."""
    months = store.months(DRIFT_REPORT)
    tables = dict(months.iterate([m for m in months.available() if m not in further])) | further
    named = sorted(tables)
    distances = [prediction_distance(tables[m]) for m in named]
    series = {
        "features drifted": [100 * drifted_share(tables[m]) for m in named],
        "predictions, distance in % of a standard deviation": [None if d is None else 100 * d for d in distances],
    }
    return lines_by_month(named, series, "Drift from train", "%", level=100 * DRIFTED_SHARE)


def _error_picture(store: Store) -> bytes:
    months = store.months(PREDICTION_ACCURACY)
    rows = {
        m: f.filter(pl.col("city_full").is_null()).row(0, named=True) for m, f in months.iterate(months.available())
    }
    series = {
        "this month": [rows[m]["mape"] for m in sorted(rows)],
        "the same champion on eval": [rows[m]["eval_mape"] for m in sorted(rows)],
    }
    return lines_by_month(sorted(rows), series, "Mean absolute error", "% of the price")
