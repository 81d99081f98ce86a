"""The catalogue: descriptions that agree with each other, and answer what jobs, gates and pages ask."""

import pytest

from housing_assets.core.catalogue import (
    ASSETS,
    CLEANED,
    FORECAST_JOB,
    INGEST_JOB,
    JOBS,
    MONTHLY_FORECASTS,
    PREDICTED,
    PRICE_HISTORY,
    RAW_SPLITS,
    assets_of,
    monthly_assets_of,
)
from housing_assets.core.quality.measures import all_measures
from housing_assets.core.quality.rules import CHECKED


def test_an_asset_rests_on_assets_that_come_before_it():
    earlier: set[str] = set()
    for key, asset in ASSETS.items():
        assert set(asset.rests_on) <= earlier, key
        earlier.add(key)


def test_every_asset_has_a_job_that_is_described():
    for key, asset in ASSETS.items():
        assert asset.jobs, key
        assert set(asset.jobs) <= set(JOBS), key


def test_the_assets_of_a_job():
    assert assets_of(INGEST_JOB)[:2] == (RAW_SPLITS, CLEANED)
    assert PRICE_HISTORY in assets_of(FORECAST_JOB)
    assert MONTHLY_FORECASTS in monthly_assets_of(FORECAST_JOB)
    assert PRICE_HISTORY not in monthly_assets_of(FORECAST_JOB)


def test_a_job_that_there_is_not_is_refused_with_those_there_are():
    with pytest.raises(KeyError, match="'ingest' is no job: choose one of sources_job, ingest_job"):
        assets_of("ingest")


def test_an_asset_is_described_as_checked_exactly_if_it_has_rules_and_measures():
    checked = {key for key, asset in ASSETS.items() if asset.is_checked}
    assert checked == set(CHECKED) == set(all_measures())


def test_what_a_model_predicts_from_the_history_is_monthly_and_rests_on_it():
    for key in PREDICTED:
        assert ASSETS[key].is_monthly
        assert PRICE_HISTORY in ASSETS[key].rests_on
