"""The history of every zip: one compact table, published with the months."""

import dagster as dg
import polars as pl

from housing_assets.config.settings import Settings
from housing_assets.core.catalogue import CLEANED, PRICE_HISTORY
from housing_assets.core.features.history import HISTORY_SCHEMA, history_table
from housing_assets.core.months import describe_months
from housing_assets.orchestration.described import described_asset
from housing_assets.orchestration.metadata import column_schema, table
from housing_assets.orchestration.resources.io_manager import MadeTable, MonthReader
from housing_assets.store.gates import sound_months
from housing_assets.store.histories import history_inputs
from housing_assets.store.layout import Store


def make_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """`price_history`."""

    @described_asset(
        PRICE_HISTORY,
        settings,
        ins={CLEANED: dg.AssetIn(partition_mapping=dg.AllPartitionMapping())},
        metadata=column_schema(HISTORY_SCHEMA),
        description="What later months may be predicted from: price and market figures of every zip in every month "
        "that its checks vouch for. Predictions, forecasts and the API read it: each the months before its own.",
    )
    def price_history(
        context: dg.AssetExecutionContext, cleaned: MonthReader, store: dg.ResourceParam[Store]
    ) -> MadeTable:
        available = [month for month in cleaned.months.available() if month in set(settings.months)]
        stamps = sound_months(store, CLEANED, available)
        sound = list(stamps)
        cleaned.months.require(sound or [settings.panel_start])
        if left_out := sorted(set(available) - set(sound)):
            context.log.warning(f"left out, since their checks do not vouch for them: {describe_months(left_out)}")
        history = history_table(frame for _, frame in cleaned.months.iterate(sound, list(HISTORY_SCHEMA)))
        priced = history.group_by(pl.col("date").dt.year().alias("year")).agg(
            pl.col("zipcode").n_unique().alias("zips"), pl.col("price").count().alias("prices")
        )
        context.add_output_metadata(
            {
                "months": describe_months(sound),
                "months left out": describe_months(left_out),
                "zips": history["zipcode"].n_unique(),
                "by year": table(priced.sort("year")),
            }
        )
        return MadeTable(history, history_inputs(settings.panel_start, stamps))

    return [price_history]
