"""Backfills of some months, as Dagster's UI launches them."""

import time

import dagster as dg
import pytest
from dagster._core.execution.asset_backfill import AssetBackfillData
from platform_fixtures import MONTHS, Platform

PANEL = [dg.AssetKey("raw_splits"), dg.AssetKey("cleaned")]


@pytest.fixture
def fresh(tmp_path, source) -> Platform:
    """A platform that nothing was made on."""
    return Platform(tmp_path, source)


def months_of_a_backfill(platform: Platform, months: list[str]) -> dict[str, list[str]]:
    """The months that a backfill of the panel over some months would make, by asset."""
    data = AssetBackfillData.from_asset_partitions(
        asset_graph=platform.definitions.resolve_asset_graph(),
        partition_names=months,
        asset_selection=PANEL,
        dynamic_partitions_store=platform.instance,
        backfill_start_timestamp=time.time(),
        all_partitions=False,
    )
    subsets = data.target_subset.partitions_subsets_by_asset_key
    return {key.to_user_string(): sorted(subset.get_partition_keys()) for key, subset in subsets.items()}


def test_a_backfill_of_middle_months_makes_these_months_of_each_asset_and_no_others(fresh):
    middle = MONTHS[3:6]
    assert months_of_a_backfill(fresh, middle) == {"raw_splits": middle, "cleaned": middle}


def test_middle_months_are_cleaned_without_the_month_before_them(fresh):
    middle = MONTHS[3:6]
    assert fresh.job("ingest_job", middle).success
    assert fresh.store.months("cleaned").available() == middle
