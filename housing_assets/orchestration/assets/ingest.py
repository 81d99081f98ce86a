"""Ingest: the source to `raw_splits` to `cleaned`, month by month."""

from collections import Counter
from collections.abc import Iterator

import dagster as dg
import polars as pl

from housing_assets.config.settings import Settings
from housing_assets.core.catalogue import (
    CLEANED,
    QUARANTINED,
    RAW_SPLITS,
    SOURCES,
)
from housing_assets.core.months import add_months
from housing_assets.core.panel.cleaning import CLEAN_DESCRIPTIONS, CLEAN_SCHEMA, CleaningRules, CleanMonth, clean_month
from housing_assets.core.prefetch import prefetch_map
from housing_assets.core.quality.raw import RAW_SPLITS_SCHEMA
from housing_assets.ingestion.panel import VintagePanel, vintage_panel
from housing_assets.ingestion.panel_split import with_newest_month
from housing_assets.ingestion.source import FINGERPRINT
from housing_assets.ingestion.sources import publish_sources
from housing_assets.orchestration.asset_pictures import null_shares, quarantine_picture, raw_picture, reasons_of
from housing_assets.orchestration.described import described_asset
from housing_assets.orchestration.metadata import column_schema, picture, table
from housing_assets.orchestration.partitions import monthly
from housing_assets.orchestration.resources.io_manager import MonthlyFrames, MonthReader
from housing_assets.store.gates import require
from housing_assets.store.layout import Store
from housing_assets.store.verdicts import PASSING, states


def make_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """`raw_splits` and `cleaned`."""
    described = (
        "as HOUSING_EVAL_START and HOUSING_HOLDOUT_START say, once the newest month of the panel is known"
        if settings.split_problem
        else f"train < {settings.split.eval_start} <= eval < {settings.split.holdout_start} <= holdout"
    )
    label = settings.source_label

    @described_asset(
        RAW_SPLITS,
        settings,
        deps=SOURCES,
        metadata={**column_schema(RAW_SPLITS_SCHEMA, CLEAN_DESCRIPTIONS), "source": label},
        description="The rows of a month from the vintages in use, typed to the schema and routed to their split "
        f"({described}) by the month alone.",
    )
    def raw_splits(context: dg.AssetExecutionContext, store: dg.ResourceParam[Store]) -> MonthlyFrames:
        months = list(context.partition_keys)
        seen: dict[str, object] = {"source": label}
        panel = _panel(context, settings, store)
        split = with_newest_month(settings.with_newest_month(""), panel.vintages).split
        seen |= {"vintage": panel.vintage, FINGERPRINT: panel.fingerprint}
        seen["source months"] = f"{panel.months[0]} to {panel.months[-1]}"
        for complaint in panel.passed_over:
            context.log.warning(complaint)

        by_month: dict[str, tuple[int, dict[str, float]]] = {}

        def frames() -> Iterator[tuple[str, pl.DataFrame, dict]]:
            for month, rows in panel.iterate(months):
                by_month[month] = (rows.height, null_shares(rows))
                part = str(split.of(month))
                yield month, rows.with_columns(pl.lit(part).alias("split")), {"split": part}
            for note in panel.notes:
                context.log.warning(note)
            seen["notes"] = "\n".join(panel.notes) or "none"
            if len(by_month) > 1:
                seen["rows and nulls by month"] = picture(raw_picture(by_month))

        return monthly(context, frames(), lambda: seen, lambda _: panel.vintage)

    @described_asset(
        CLEANED,
        settings,
        metadata=column_schema(CLEAN_SCHEMA, CLEAN_DESCRIPTIONS),
        description="Metro names normalized and placed, 0-coded gaps made missing, duplicates resolved, "
        "impossible rows quarantined (kept with their reason under `quarantined/`).",
    )
    def cleaned(
        context: dg.AssetExecutionContext, raw_splits: MonthReader, store: dg.ResourceParam[Store]
    ) -> MonthlyFrames:
        months = list(context.partition_keys)
        counts: Counter[str] = Counter()
        reasons: dict[str, dict[str, int]] = {}
        rules = CleaningRules(settings.max_list_price)
        raw_splits.months.require(months)
        require(store, CLEANED, {RAW_SPLITS: months})
        # The month before serves to find repeats, if it is sound; a broken one has nothing to compare with. It is no
        # mapped partition: a backfill of some months would then ask for the month after them too.
        known = states(store, RAW_SPLITS, {m for month in months for m in (add_months(month, -1), month)})
        wanted = sorted(month for month, state in known.items() if state in PASSING)

        def pairs() -> Iterator[tuple[str, pl.DataFrame, pl.DataFrame | None]]:
            previous: tuple[str, pl.DataFrame] | None = None
            for month, raw in raw_splits.months.iterate(wanted):
                if month in months:
                    before = previous[1] if previous and previous[0] == add_months(month, -1) else None
                    yield month, raw, before
                previous = (month, raw)

        def clean(pair: tuple[str, pl.DataFrame, pl.DataFrame | None]) -> tuple[str, CleanMonth]:
            month, raw, before = pair
            result = clean_month(raw, before, rules)
            store.months(QUARANTINED).write(month, result.quarantined)
            return month, result

        def frames() -> Iterator[tuple[str, pl.DataFrame, dict]]:
            for month, result in prefetch_map(clean, pairs(), "clean"):
                counts.update(result.counts)
                reasons[month] = reasons_of(result.quarantined)
                yield month, result.frame, {**result.counts, "quarantined": result.quarantined.height}

        return monthly(
            context,
            frames(),
            lambda: {
                "this run": table(pl.DataFrame({"rule": list(counts), "count": list(counts.values())})),
                "quarantined path": f"{store.uri}/quarantined",
                **({"quarantine by reason": picture(quarantine_picture(reasons))} if len(reasons) > 1 else {}),
            },
        )

    return [raw_splits, cleaned]


def _panel(context: dg.AssetExecutionContext, settings: Settings, store: Store) -> VintagePanel:
    """The vintages in use, after a look at the sources: what changed there since `sources_job` is published first."""
    if not settings.as_of:
        for problem in publish_sources(settings, store, context.log.info).problems:
            context.log.warning(f"the last good vintage is used, since {problem}")
    return vintage_panel(settings, store)
