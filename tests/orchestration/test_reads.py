"""What schedules ask of the store: each listing once, each file once."""

from collections import Counter
from dataclasses import replace

from serving_fixtures import CountedBlobs

from housing_assets.orchestration.work import read_facts, work_to_do
from housing_assets.store.layout import Store
from housing_assets.store.verdicts import data_stamps


def test_what_is_to_be_done_is_told_with_each_month_read_once(grown):
    predicted = grown.store.months("monthly_predictions").available()
    assert len(predicted) > 3
    blobs = CountedBlobs(grown.folder)
    for reads in (len(predicted), 0):
        blobs.calls.clear()
        facts = read_facts(grown.settings, Store(blobs))
        calls = Counter(call for call, key in blobs.calls if key.startswith("monthly_predictions/"))
        assert calls["read"] == reads
    assert "predictions_job" not in {task.job for task in work_to_do(facts)}


def test_a_champion_that_comes_back_is_other_work_than_before(grown):
    facts = read_facts(grown.settings, grown.store)
    predicted = facts.assets["monthly_predictions"]
    of_another = replace(predicted, stamps={month: f"by B: {stamp}" for month, stamp in predicted.stamps.items()})
    again = replace(facts, champion="A")
    once = {t.content for t in work_to_do(again) if t.job == "predictions_job"}
    back = replace(again, assets={**facts.assets, "monthly_predictions": of_another})
    twice = {t.content for t in work_to_do(back) if t.job == "predictions_job"}
    assert once
    assert twice
    assert not once & twice


def test_the_stamps_of_an_assets_months_are_one_listing(grown):
    blobs = CountedBlobs(grown.folder)
    found = data_stamps(Store(blobs), "cleaned")
    assert list(found) == grown.store.months("cleaned").available()
    assert blobs.calls == [("stamps", "cleaned/")]
