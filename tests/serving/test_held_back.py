"""What its checks do not vouch for is not given out: the newest sound month instead, or why not."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from platform_fixtures import HELD
from serving_fixtures import open_client, publish_history

from housing_assets.store.histories import ASSET
from housing_assets.store.layout import Store
from housing_assets.store.pointers import champion_version, newest_intervals
from housing_assets.store.verdicts import Problem, State, read_verdicts, verdict_key, write_verdicts

RED = (Problem("prices_are_prices", "ERROR", "predicted_price", "3 of 24 are negative"),)


@pytest.fixture
def store(made, tmp_path) -> Store:
    """A copy of what these calls read; predictions stand for forecasts, which the short platform has none of."""
    for name in ("monthly_predictions", "interval_calibration", "checks", "models"):
        shutil.copytree(made.folder / name, tmp_path / "store" / name)
    return Store.open(str(tmp_path / "store"))


def mark(store: Store, asset: str, month: str, state: State) -> None:
    verdict = read_verdicts(store, asset, [month])[month]
    write_verdicts(store, [replace(verdict, state=state, problems=RED)])


def test_a_red_month_is_not_given_out_and_the_newest_sound_one_is_the_default(store):
    mark(store, "monthly_predictions", HELD[-1], State.RED)
    with open_client(Path(store.uri)) as client:
        assert client.get("/predictions").json()["month"] == HELD[-2]
        assert client.get("/latest_predictions").json()["month"] == HELD[-2]
        assert client.get(f"/predictions?month={HELD[0]}").status_code == 200
        refused = client.get(f"/predictions?month={HELD[-1]}")
        assert refused.status_code == 409
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["title"] == "Held back by its checks"
        found = f"monthly_predictions is red for {HELD[-1]} (prices_are_prices: predicted_price: 3 of 24 are negative)"
        assert refused.json()["detail"].startswith(found)
        for month in HELD:
            mark(store, "monthly_predictions", month, State.RED)
        assert client.get("/predictions").status_code == client.get("/latest_predictions").status_code == 409


def test_a_month_that_was_written_since_its_check_is_asked_for_later(store):
    store.blobs.delete(verdict_key("monthly_predictions", HELD[-1]))
    with open_client(Path(store.uri)) as client:
        refused = client.get(f"/predictions?month={HELD[-1]}")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert "is never checked" in refused.json()["detail"]
        assert client.get("/predictions").json()["month"] == HELD[-2]


def test_intervals_are_of_the_newest_month_that_is_sound(store):
    version = champion_version(store) or ""
    mark(store, "interval_calibration", HELD[-1], State.RED)
    table = newest_intervals(store, version)
    assert table is not None
    assert table.equals(store.months("interval_calibration").read(HELD[-2]))


def test_a_red_origin_is_not_given_out(grown, tmp_path):
    for name in ("monthly_forecasts", "checks"):
        shutil.copytree(grown.folder / name, tmp_path / "store" / name)
    store = Store.open(str(tmp_path / "store"))
    publish_history(store, grown.store.read_table(ASSET))
    zipcode = grown.read("monthly_forecasts", "2020-06")["zipcode"][0]
    mark(store, "monthly_forecasts", "2020-06", State.RED)
    with open_client(Path(store.uri)) as client:
        assert client.get(f"/forecasts/{zipcode}").json()["origin"] == "2020-05"
        refused = client.get(f"/forecasts/{zipcode}?origin=2020-06")
        assert refused.status_code == 409
        assert "monthly_forecasts is red for 2020-06" in refused.json()["detail"]


def test_a_red_history_is_not_given_out(grown, tmp_path):
    store = Store.open(str(tmp_path / "store"))
    table = grown.store.read_table(ASSET)
    zipcode = table["zipcode"][0]
    publish_history(store, table.head(table.height // 2), State.RED)
    with open_client(Path(store.uri)) as client:
        assert client.get(f"/history/{zipcode}").status_code == 409
        publish_history(store, table)
        assert client.get(f"/history/{zipcode}").status_code == 200
