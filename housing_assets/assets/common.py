"""What all assets share: partitions, owners, versions, and metadata from frames."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg
import polars as pl

from housing_assets.core.months import month_range
from housing_assets.core.schema import BY_NAME
from housing_assets.resources.io_manager import MonthlyFrames
from housing_assets.settings import Settings

CODE_VERSION = "2"
"""Of the computations: raise it when the same inputs give other outputs."""

OWNERS = ["team:data-platform"]
ML_OWNERS = ["team:ml-platform"]

FRESHNESS = dg.FreshnessPolicy.cron(deadline_cron="0 0 16 * *", lower_bound_delta=timedelta(days=15))
"""A monthly asset is materialized in the first half of each month; else the UI shows it as late."""

SINGLE_RUN = dg.BackfillPolicy.single_run()

OWNER_TAG = "housing/process"
"""Tag of a run that `housing run` executes itself: which process does."""

_FIRST, _LAST, _ONE = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end", "dagster/partition"


def month_tags(months: Sequence[str]) -> dict[str, str]:
    """Tags of a run over months without a gap."""
    return {_FIRST: months[0], _LAST: months[-1]}


def tagged_months(tags: Mapping[str, str]) -> list[str]:
    """The months of a run; none for a run without months."""
    first, last = (tags.get(name) or tags.get(_ONE) for name in (_FIRST, _LAST))
    return month_range(first, last) if first and last else []


def panel_partitions(settings: Settings) -> dg.MonthlyPartitionsDefinition:
    """One partition for each month of the panel."""
    return _monthly(settings.panel_start, settings)


def prediction_partitions(settings: Settings) -> dg.MonthlyPartitionsDefinition:
    """One partition for each month from the holdout start."""
    return _monthly(settings.holdout_start, settings)


def _monthly(start: str, settings: Settings) -> dg.MonthlyPartitionsDefinition:
    from housing_assets.core.months import add_months

    end = settings.panel_end or (settings.last_month if settings.uses_sample else "")
    # Dagster's end is exclusive; without one a month appears when it is complete.
    return dg.MonthlyPartitionsDefinition(start, add_months(end, 1) if end else None, fmt="%Y-%m")


def column_schema(
    schema: Mapping[str, pl.DataType], further: Mapping[str, str] | None = None
) -> dict[str, dg.TableSchema]:
    """Definition metadata: the columns of an asset with types, and descriptions from the contract.

    Args:
        schema: the columns.
        further: descriptions of columns that the contract of the raw panel does not have.
    """
    told = {name: f"{column.description} ({column.unit})" for name, column in BY_NAME.items()} | dict(further or {})
    columns = [dg.TableColumn(name, str(kind), told.get(name)) for name, kind in schema.items()]
    return {"dagster/column_schema": dg.TableSchema(columns)}


def monthly(
    context: dg.AssetExecutionContext,
    frames: Iterable[tuple[str, pl.DataFrame, Mapping[str, Any]]],
    summary: Callable[[], Mapping[str, Any]] = dict,
    made_from: Callable[[str], str] = lambda _: "",
) -> MonthlyFrames:
    """The months of a run, each with metadata of its own, which the UI plots over the partitions.

    Args:
        context: of the asset.
        frames: month, frame, and what is worth knowing of this month; made while they are written.
        summary: what is worth knowing of the whole run, asked for after the last month. Only the last
            month's event carries it: a table repeated on every event of a range costs tenths of a second each.
        made_from: gives for a month what it is made from, which its file keeps.
    """

    def noted() -> Iterator[tuple[str, pl.DataFrame]]:
        month = ""
        for month, frame, facts in frames:
            context.add_asset_metadata({"dagster/row_count": frame.height, **facts}, partition_key=month)
            yield month, frame
        if month:
            context.add_asset_metadata(summary(), partition_key=month)

    return MonthlyFrames(noted(), made_from)


def table(frame: pl.DataFrame) -> dg.TableMetadataValue:
    """A small frame as a metadata table; numbers rounded to what people read."""
    number = {pl.Float64: "float", pl.Float32: "float", pl.Int64: "int", pl.UInt32: "int"}
    rounded = frame.with_columns(pl.col(pl.Float64, pl.Float32).round_sig_figs(6))
    columns = [dg.TableColumn(n, number.get(type(t), "string")) for n, t in frame.schema.items()]
    records: list[dict[str, Any]] = rounded.to_dicts()
    return dg.MetadataValue.table([dg.TableRecord(r) for r in records], dg.TableSchema(columns))


def picture(png: bytes) -> dg.MarkdownMetadataValue:
    """A PNG as metadata that the UI shows in place."""
    import base64

    return dg.MetadataValue.md(f"![](data:image/png;base64,{base64.b64encode(png).decode()})")
