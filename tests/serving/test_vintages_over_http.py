"""Vintages, first published prices and attribution over HTTP, and files from before there were any."""

import shutil
from datetime import UTC, datetime

import polars as pl
import pytest
from platform_fixtures import HELD
from serving_fixtures import open_client, vouch, wait_ready

from housing_assets.store.layout import Store
from housing_assets.store.vintages import Origin, Vintage, publish

NEWEST = HELD[-1]
THEN = datetime(2024, 1, 20, 10, tzinfo=UTC)


@pytest.fixture
def store(made, tmp_path) -> Store:
    shutil.copytree(made.folder, tmp_path / "store")
    return Store.open(str(tmp_path / "store"))


def rewrite(store: Store, asset: str, month: str, *changes: pl.Expr, drop: tuple[str, ...] = ()) -> None:
    months = store.months(asset)
    months.write(month, months.read(month).with_columns(*changes).drop(drop))
    vouch(store, asset)


def keep(store: Store) -> Vintage:
    rows = pl.DataFrame({"date": [THEN.date()], "zipcode": ["02139"], "price": [9e5]})
    origin = Origin("Zillow Research", "zhvi.csv", (), THEN, attribution="Data by Zillow")
    return publish(store, "zillow", [rows], lambda: origin, now=THEN)


def test_predictions_name_their_vintage_and_model_its_attribution(store):
    vintage = keep(store)
    named = pl.lit(f"zillow {vintage.time}").alias("vintage")
    rewrite(store, "monthly_predictions", NEWEST, named, pl.lit(4e5).alias("first_price"))
    with open_client(store.uri) as client:
        wait_ready(client)
        row = client.get("/latest_predictions?limit=1").json()["preview"][0]
        assert (row["vintage"], row["first_price"]) == (f"zillow {vintage.time}", 4e5)
        assert client.get("/model").json()["sources"] == [
            {
                "source": "zillow",
                "publisher": "Zillow Research",
                "vintage": vintage.time,
                "attribution": "Data by Zillow",
            }
        ]


def test_predictions_of_earlier_versions_have_neither(store):
    rewrite(store, "monthly_predictions", NEWEST, drop=("vintage", "first_price"))
    with open_client(store.uri) as client:
        wait_ready(client)
        rows = client.get(f"/predictions?month={NEWEST}").json()["predictions"]
        assert {(row["vintage"], row["first_price"]) for row in rows} == {(None, None)}
        assert client.get("/model").json()["sources"] == []


def test_forecasts_of_earlier_versions_have_no_vintage(grown, tmp_path):
    shutil.copytree(grown.folder, tmp_path / "store")
    store = Store.open(str(tmp_path / "store"))
    origin = store.months("monthly_forecasts").available()[-1]
    zipcode = store.months("monthly_forecasts").read(origin)["zipcode"][0]
    rewrite(store, "monthly_forecasts", origin, pl.lit("zillow 2024-01-20T10-00-00Z").alias("vintage"))
    with open_client(store.uri) as client:
        wait_ready(client)
        assert client.get(f"/forecasts/{zipcode}").json()["vintage"] == "zillow 2024-01-20T10-00-00Z"
        rewrite(store, "monthly_forecasts", origin, drop=("vintage",))
        assert client.get(f"/forecasts/{zipcode}").json()["vintage"] is None
