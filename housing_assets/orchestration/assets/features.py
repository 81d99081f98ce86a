"""Encoders and the training matrix, from exactly the train (and eval) months."""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from housing_assets.config.settings import Settings
from housing_assets.core.catalogue import CLEANED, ENCODERS, TRAINING_FEATURES
from housing_assets.core.features.encoding import ENCODER_COLUMNS, Encoders, fit_encoders
from housing_assets.core.features.monthly import (
    FEATURE_DESCRIPTIONS,
    FEATURE_INPUTS,
    FEATURES,
    KEYS,
    is_prices_alone,
    make_training_features,
    silent_features,
)
from housing_assets.core.months import Split
from housing_assets.core.panel.cleaning import CLEAN_DESCRIPTIONS
from housing_assets.core.panel.splits import with_split
from housing_assets.core.prefetch import prefetch_map
from housing_assets.core.quality.training import MATRIX_SCHEMA
from housing_assets.orchestration.described import described_asset
from housing_assets.orchestration.metadata import column_schema, table
from housing_assets.orchestration.resources.io_manager import MonthReader, TablePieces
from housing_assets.store.gates import require
from housing_assets.store.layout import Store


def make_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """`encoders` and `training_features`."""
    train = settings.split_months(Split.TRAIN)
    evaluation = settings.split_months(Split.EVAL)

    @described_asset(
        ENCODERS,
        settings,
        ins={CLEANED: dg.AssetIn(partition_mapping=dg.SpecificPartitionsPartitionMapping(train))},
        description=f"Frequency of each zip, smoothed mean price of each metro: fitted on the train months "
        f"alone ({train[0]} to {train[-1]}), one table with a row for each value.",
    )
    def encoders(
        context: dg.AssetExecutionContext, cleaned: MonthReader, store: dg.ResourceParam[Store]
    ) -> pl.DataFrame:
        cleaned.months.require(train)
        require(store, ENCODERS, {CLEANED: train})
        fitted = fit_encoders(frame for _, frame in cleaned.iterate(ENCODER_COLUMNS))
        context.add_output_metadata(
            {
                "zips": len(fitted.zipcode_frequency),
                "metros": len(fitted.city_full_target),
                "mean train price, US dollars": round(fitted.prior, 2),
                "metro encodings": table(fitted.table.filter(pl.col("encoder") == "city_full_target")),
            }
        )
        return fitted.table

    @described_asset(
        TRAINING_FEATURES,
        settings,
        ins={CLEANED: dg.AssetIn(partition_mapping=dg.SpecificPartitionsPartitionMapping(train + evaluation))},
        metadata=column_schema(
            MATRIX_SCHEMA,
            CLEAN_DESCRIPTIONS | FEATURE_DESCRIPTIONS,
        ),
        description="The exact matrix models see, with keys, split and price beside it: train and eval rows.",
    )
    def training_features(
        context: dg.AssetExecutionContext,
        cleaned: MonthReader,
        encoders: pl.DataFrame,
        store: dg.ResourceParam[Store],
    ) -> TablePieces:
        cleaned.months.require(train + evaluation)
        require(store, TRAINING_FEATURES, {CLEANED: train + evaluation})
        fitted = Encoders.from_table(encoders)
        columns = list(dict.fromkeys([*KEYS, *FEATURE_INPUTS]))

        def frames() -> Iterator[pl.DataFrame]:
            counts: list[pl.DataFrame] = []
            # The least and the greatest value of each month tell as well as all of them whether a feature is constant.
            ends: list[pl.DataFrame] = []
            months = (with_split(rows, settings.split) for _, rows in cleaned.iterate(columns))
            for frame in prefetch_map(lambda rows: make_training_features(rows, fitted), months, "features"):
                counts.append(frame.group_by("split").agg(pl.len().alias("rows"), pl.col(FEATURES).null_count()))
                train_rows = frame.filter(pl.col("split") == Split.TRAIN).select(FEATURES)
                ends += [train_rows.min(), train_rows.max()]
                yield frame
            _tell_of_matrix(context, pl.concat(counts), silent_features(pl.concat(ends)))

        return TablePieces(frames())

    return [encoders, training_features]


def _tell_of_matrix(context: dg.AssetExecutionContext, counts: pl.DataFrame, silent: dict[str, str]) -> None:
    """Log and record what the matrix lacks.

    Args:
        context: of the asset.
        counts: `split`, `rows`, and the missing values of each feature, for the months of each.
        silent: features that say nothing in train, with why.
    """
    if is_prices_alone(silent):
        used = ", ".join(name for name in FEATURES if name not in silent)
        context.log.warning(
            "the panel has prices and none of the market, census and amenity columns: models of a month's own figures "
            f"use {used}"
        )
    elif silent:
        message = ", ".join(f"{name} ({why})" for name, why in silent.items())
        context.log.warning(f"{len(silent)} features say nothing in train: {message}")
    nulls = counts.select(pl.col(FEATURES).sum() / pl.col("rows").sum()).row(0)
    context.add_asset_metadata(
        {
            "rows by split": table(counts.group_by("split", maintain_order=True).agg(pl.col("rows").sum())),
            "features that say nothing": len(silent),
            "missing share": table(pl.DataFrame({"feature": FEATURES, "missing": nulls})),
        }
    )
