"""The monthly partitions, and the settings that monthly assets share."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import dagster as dg
import polars as pl

from housing_assets.config.settings import Settings
from housing_assets.orchestration.resources.io_manager import MonthlyFrames


def panel_partitions(settings: Settings) -> dg.MonthlyPartitionsDefinition:
    """One partition for each month of the panel."""
    return _monthly(settings.panel_start, settings)


def prediction_partitions(settings: Settings) -> dg.MonthlyPartitionsDefinition:
    """One partition for each month from the holdout start, or from the first month that was ever predicted.

    A split that moves on takes no partition away.
    """
    return _monthly(settings.predictions_start, settings)


def _monthly(start: str, settings: Settings) -> dg.MonthlyPartitionsDefinition:
    from housing_assets.core.months import add_months

    end = settings.panel_end or (settings.last_month if settings.uses_sample else "")
    # Dagster's end is exclusive; without one a month appears when it is complete.
    return dg.MonthlyPartitionsDefinition(start, add_months(end, 1) if end else None, fmt="%Y-%m")


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
