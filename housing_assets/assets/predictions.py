"""Monthly predictions: a month of `cleaned` through the champion's own encoders and model."""

from collections.abc import Iterator

import dagster as dg
import numpy as np
import polars as pl

from housing_assets.assets.common import (
    CODE_VERSION,
    ML_OWNERS,
    SINGLE_RUN,
    column_schema,
    monthly,
    prediction_partitions,
    table,
)
from housing_assets.core.evaluation import price_metrics
from housing_assets.core.model import PREDICTION_DESCRIPTIONS, PREDICTION_SCHEMA
from housing_assets.resources.io_manager import MonthlyFrames, MonthReader
from housing_assets.settings import Settings
from housing_assets.store.bundles import load_champion
from housing_assets.store.layout import Store


def prediction_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """`monthly_predictions`."""

    @dg.asset(
        partitions_def=prediction_partitions(settings),
        backfill_policy=SINGLE_RUN,
        group_name="predictions",
        owners=ML_OWNERS,
        kinds={"xgboost", "parquet"},
        code_version=CODE_VERSION,
        deps=["champion_model"],
        metadata=column_schema(PREDICTION_SCHEMA, PREDICTION_DESCRIPTIONS),
        description="Price of every zip of the month in US dollars, with a 90% interval and, where it is "
        "known, the actual price.",
    )
    def monthly_predictions(
        context: dg.AssetExecutionContext, cleaned: MonthReader, store: dg.ResourceParam[Store]
    ) -> MonthlyFrames:
        model = load_champion(store).model()
        by_month: list[dict[str, object]] = []

        def frames() -> Iterator[tuple[str, pl.DataFrame, dict]]:
            for month, rows in cleaned.iterate():
                predicted = model.predict(rows)
                found = _accuracy(predicted)
                by_month.append({"month": month, "rows": predicted.height, **found})
                yield month, predicted, {"model version": model.version, **found}

        return monthly(context, frames(), lambda: {"this run": table(pl.DataFrame(by_month, infer_schema_length=None))})

    return [monthly_predictions]


def _accuracy(predicted: pl.DataFrame) -> dict[str, float]:
    """Error figures of the rows whose price is known; nothing where none is."""
    known = predicted.filter(pl.col("actual_price").is_not_null())
    if known.is_empty():
        return {}
    actual = known["actual_price"].to_numpy()
    metrics = price_metrics(actual, known["predicted_price"].to_numpy())
    inside = (known["predicted_low"].to_numpy() <= actual) & (actual <= known["predicted_high"].to_numpy())
    return {
        "mae": metrics["mae"],
        "mape": metrics["mape"],
        "interval coverage": 100 * float(np.mean(inside)),
    }
