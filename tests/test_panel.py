"""Where the panel begins."""

import dagster as dg
import pytest
from platform_fixtures import END, EVAL, HOLDOUT, MONTHS

from housing_assets.config.settings import Settings
from housing_assets.core.errors import HousingError
from housing_assets.ingestion.changes import changed_months
from housing_assets.ingestion.panel_start import begin_panel, known_panel
from housing_assets.ingestion.sources import publish_sources
from housing_assets.orchestration.build import build_definitions
from housing_assets.store.layout import Store


def settings(**values: str) -> Settings:
    return Settings(**{"source_uri": "panel.csv", **values})  # pyright: ignore[reportArgumentType]


@pytest.fixture
def store(tmp_path) -> Store:
    return Store.open(str(tmp_path))


def test_it_begins_with_the_source_from_then_on(store):
    assert known_panel(settings(), store).panel_start == "2000-01", "not known yet: no month may be missing"
    assert begin_panel(settings(), store, "2015-01").panel_start == "2015-01"
    assert known_panel(settings(), store).months[0] == "2015-01"
    assert begin_panel(settings(), store, "2014-06").panel_start == "2014-06", "months were put before the others"
    assert known_panel(settings(), store).panel_start == "2014-06"


def test_a_source_that_keeps_its_newer_files_alone_leaves_the_beginning_as_it_is(store):
    begin_panel(settings(), store, "2015-01")
    assert begin_panel(settings(), store, "2023-01").panel_start == "2015-01"
    assert known_panel(settings(), store).panel_start == "2015-01"


def test_another_source_begins_elsewhere(store):
    begin_panel(settings(), store, "2015-01")
    assert known_panel(settings(source_uri="other.csv"), store).panel_start == "2000-01"


def test_what_is_set_holds(store):
    begin_panel(settings(), store, "2015-01")
    told = settings(panel_start="2013-05")
    assert begin_panel(told, store, "2016-01").panel_start == known_panel(told, store).panel_start == "2013-05"


def test_months_since_2000_are_taken_and_earlier_ones_only_if_asked_for(store):
    assert begin_panel(settings(), store, "2003-05").panel_start == "2003-05"
    assert known_panel(settings(), store).panel_start == "2003-05"
    assert begin_panel(settings(), store, "1996-04").panel_start == "2000-01"
    assert known_panel(settings(), store).panel_start == "2000-01"
    assert begin_panel(settings(panel_start="1996-04"), store, "1996-04").panel_start == "1996-04"


def test_partitions_that_were_defined_before_the_source_was_read_hold_every_month_of_it(store):
    told = settings(store_uri=store.uri, eval_start=EVAL, holdout_start=HOLDOUT, panel_end=END)
    key = dg.AssetKey("raw_splits")
    before = build_definitions(told, {}).resolve_asset_graph().get(key).partitions_def.get_partition_keys()
    begin_panel(told, store, "2003-05")
    after = build_definitions(told, {}).resolve_asset_graph().get(key).partitions_def.get_partition_keys()
    assert after[0] == "2003-05"
    assert set(after) < set(before)


def test_the_sample_begins_as_it_was_generated(store):
    assert begin_panel(settings(source_uri=""), store, "2015-01").panel_start == "2012-03"


def test_a_source_without_months_of_train_is_refused_and_not_remembered(store):
    with pytest.raises(HousingError, match="the source begins with 2020-01, HOUSING_EVAL_START is 2020-01: set"):
        begin_panel(settings(), store, "2020-01")
    assert store.blobs.keys("") == []


def test_a_damaged_note_is_as_good_as_none(store):
    store.blobs.write("panel.json", b"{")
    assert known_panel(settings(), store).panel_start == "2000-01"
    assert begin_panel(settings(), store, "2015-01").panel_start == "2015-01"


def test_whoever_looks_at_the_source_leaves_its_first_month_for_the_others(store, source):
    told = settings(source_uri=str(source), eval_start=EVAL, holdout_start=HOLDOUT, panel_end=END)
    publish_sources(told, store)
    assert changed_months(told, store) == MONTHS
    raw = build_definitions(told.model_copy(update={"store_uri": store.uri}), {}).resolve_asset_graph()
    assert raw.get(dg.AssetKey("raw_splits")).partitions_def.get_partition_keys() == MONTHS
