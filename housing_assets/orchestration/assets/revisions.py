"""What new vintages changed of the months that were published before."""

import dagster as dg
import polars as pl

from housing_assets.config.settings import Settings
from housing_assets.core.catalogue import REVISIONS, SOURCES
from housing_assets.core.vintages.revisions import REVISIONS_SCHEMA
from housing_assets.orchestration import plots
from housing_assets.orchestration.described import described_asset
from housing_assets.orchestration.metadata import column_schema, picture, table
from housing_assets.store.layout import Store
from housing_assets.store.sources import read_record, read_revisions

_SHOWN = 24
"""Newest months of the table in the UI."""


def make_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """`revisions`."""

    @described_asset(
        REVISIONS,
        settings,
        deps=SOURCES,
        metadata=column_schema({"source": pl.String(), **REVISIONS_SCHEMA}),
        description="By source, month and column, how much the newest vintage changed of the one before it: median, "
        "95th percentile and most, as fractions. Publishers revise the past with every publication.",
    )
    def revisions(context: dg.AssetExecutionContext, store: dg.ResourceParam[Store]) -> pl.DataFrame:
        record = read_record(store)
        compared = {kind: source for kind, source in record.sources.items() if source.compared}
        frame = read_revisions(store, list(compared))
        prices = frame.filter((pl.col("column") == "price") & pl.col("median_change").is_not_null())
        metadata: dict[str, object] = {
            "compared": "\n".join(
                f"{kind}: {source.compared} with {'the refused file' if source.refused else source.time}"
                for kind, source in compared.items()
            ) or "nothing yet: each source has one vintage",
            "prices, newest months": table(
                prices.sort("month").tail(_SHOWN).select(
                    "source", "month", "zips_in_both", "share_changed", "median_change", "p95_change", "most_change",
                    "most_zip",
                )
            ),
        }  # fmt: skip
        if prices.height:
            metadata["plot"] = picture(_plot(prices))
        context.add_output_metadata(metadata)
        return frame

    return [revisions]


def _plot(prices: pl.DataFrame) -> bytes:
    """Median and 95th percentile of the price revisions by month, in percent, of the source with most months."""
    source = prices.group_by("source").len().sort("len", "source")["source"][-1]
    rows = prices.filter(pl.col("source") == source).sort("month")
    series = {
        "median": (100 * rows["median_change"]).to_list(),
        "95th percentile": (100 * rows["p95_change"]).to_list(),
    }
    return plots.lines_by_month(rows["month"].to_list(), series, f"Price revisions of {source}", "change, %")
