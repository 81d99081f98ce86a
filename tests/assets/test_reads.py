"""What schedules ask of the store: each listing once, each file once."""

from collections import Counter

from serving_fixtures import CountedBlobs

from housing_assets.automation.months import months_to_predict
from housing_assets.store.bundles import champion_version
from housing_assets.store.layout import Store
from housing_assets.store.verdicts import data_stamps


def test_the_months_to_predict_cost_one_listing_and_each_month_is_read_once(grown):
    version = champion_version(grown.store) or ""
    predicted = grown.store.months("monthly_predictions").available()
    assert len(predicted) > 3
    blobs = CountedBlobs(grown.folder)
    for reads in (len(predicted), 0):
        blobs.calls.clear()
        assert months_to_predict(grown.settings, Store(blobs), version) == []
        calls = Counter(call for call, key in blobs.calls if key.startswith("monthly_predictions/"))
        assert calls["read"] == reads
        assert calls["stamps"] + calls["keys"] == 1
    assert months_to_predict(grown.settings, Store(blobs), "another") == predicted


def test_the_stamps_of_an_assets_months_are_one_listing(grown):
    blobs = CountedBlobs(grown.folder)
    found = data_stamps(Store(blobs), "cleaned")
    assert list(found) == grown.store.months("cleaned").available()
    assert blobs.calls == [("stamps", "cleaned/")]
