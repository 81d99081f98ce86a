"""The sources: what publishers' files say, kept vintage by vintage."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from housing_assets.config.settings import Settings
from housing_assets.core.catalogue import HOUSETS_PANEL, REDFIN_MARKET, SOURCES, ZILLOW_HOME_VALUES
from housing_assets.core.errors import SourceError
from housing_assets.ingestion.sources import SAMPLE, Published, publish_sources
from housing_assets.orchestration.described import described_spec
from housing_assets.store.layout import Store
from housing_assets.store.vintages import Vintage

_KINDS = {ZILLOW_HOME_VALUES: ("zillow",), REDFIN_MARKET: ("redfin",), HOUSETS_PANEL: ("housets", SAMPLE)}
"""The `kind` of the readers whose vintages each asset shows."""
_DESCRIPTIONS = {
    ZILLOW_HOME_VALUES: "Zillow's home values of zips, each published file as a vintage that never changes.",
    REDFIN_MARKET: "Redfin's market figures of zips, each published file as a vintage that never changes.",
    HOUSETS_PANEL: "A panel in the platform's own layout (or the generated sample), each file as a vintage that never "
    "changes.",
}
_NOT_USED = "not used: no address of HOUSING_SOURCE_URI gives it"


def make_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """An asset for each publisher, all made by one step."""

    @dg.multi_asset(
        name="sources",
        specs=[described_spec(key, description=_DESCRIPTIONS[key], skippable=True) for key in SOURCES],
        can_subset=True,
        pool="ingest",
        config_schema={"accept_restated": dg.Field(str, default_value="", is_required=False, description="Accept a "
                                                   "vintage that cannot be a revision of the one before it: why")},
    )  # fmt: skip
    def sources(context: dg.AssetExecutionContext, store: dg.ResourceParam[Store]) -> Iterator[dg.MaterializeResult]:
        accept = context.op_execution_context.op_config["accept_restated"]
        publication = publish_sources(settings, store, context.log.info, accept)
        by_kind = {published.kind: published for published in publication.sources}
        for key in context.selected_asset_keys:
            name = key.to_user_string()
            several = [by_kind[kind] for kind in _KINDS[name] if kind in by_kind]
            metadata = _metadata(several[0]) if several else {"source": _NOT_USED}
            yield dg.MaterializeResult(asset_key=key, metadata=metadata)
        if publication.failures:
            raise SourceError("\n".join(publication.failures))

    return [sources]


def _metadata(published: Published) -> dict[str, Any]:
    metadata: dict[str, Any] = {"is new": published.is_new}
    if published.refused:
        metadata["refused"] = published.refused
    if published.warnings:
        metadata["warnings"] = "\n".join(published.warnings)
    return metadata | (_vintage_metadata(published.vintage) if published.vintage else {})


def _vintage_metadata(vintage: Vintage) -> dict[str, Any]:
    notes = [text if count == 1 else f"{text} ({count:,} times)" for text, count in vintage.notes]
    return {
        "source": vintage.address,
        "vintage": vintage.time,
        "publisher": vintage.publisher,
        "published": vintage.published_at.isoformat() if vintage.published_at else "not known",
        "months": f"{vintage.first_month} to {vintage.last_month}",
        "dagster/row_count": vintage.rows,
        "zips": vintage.zips,
        "columns": ", ".join(vintage.columns),
        "notes": "\n".join(notes) or "none",
        "attribution": vintage.attribution or "none asked for",
    }
