"""A panel of prices alone, without market, census and amenity columns, from raw rows to the API and the dashboard."""

import polars as pl
import pytest
from dashboard_fixtures import PAGES, figures_of, open_page, texts
from platform_fixtures import FEW_TREES, LONG, Platform, free_port, write_long_source
from serving_fixtures import open_client, process, wait_ready

from housing_assets.core.panel.schema import NUMERIC_FEATURES
from housing_assets.core.quality.drift import drifted_share
from housing_assets.store.pointers import champion_version

NEWEST = LONG["panel_end"]


@pytest.fixture(scope="module")
def prices_alone(tmp_path_factory) -> Platform:
    """Every stage over `date`, `zipcode`, `city_full` and `price`."""
    root = tmp_path_factory.mktemp("prices")
    whole = write_long_source(root / "whole.parquet")
    source = root / "prices.parquet"
    pl.read_parquet(whole, columns=["date", "zipcode", "city_full", "price"]).write_parquet(source)
    platform = Platform(root, source, LONG).run_months(FEW_TREES)
    held = [m for m in platform.settings.months if m >= LONG["holdout_start"]]
    assert platform.job("monitoring_job", held).success
    return platform


def test_every_zip_is_predicted_and_forecast(prices_alone):
    cleaned = prices_alone.read("cleaned", NEWEST)
    assert cleaned.select(NUMERIC_FEATURES).count().row(0) == (0,) * len(NUMERIC_FEATURES)
    predicted = prices_alone.read("monthly_predictions", NEWEST)
    assert set(predicted["zipcode"]) == set(cleaned["zipcode"])
    assert predicted["from_history"].all()
    error = (predicted["predicted_price"] / predicted["actual_price"] - 1).abs().mean()
    assert error < 0.03
    assert set(prices_alone.read("monthly_forecasts", NEWEST)["zipcode"]) == set(cleaned["zipcode"])


def test_columns_that_the_panel_never_had_have_not_drifted(prices_alone):
    table = prices_alone.read("drift_report", NEWEST)
    absent = table.filter(pl.col("feature").is_in(NUMERIC_FEATURES))
    assert not absent["drifted"].any()
    assert absent["distance"].null_count() == len(NUMERIC_FEATURES)
    assert 0 <= drifted_share(table) <= 1


def test_the_api_predicts_and_explains_from_prices_alone(prices_alone):
    row = prices_alone.read("cleaned", NEWEST).row(0, named=True)
    body = [{"date": str(row["date"]), "zipcode": row["zipcode"], "city_full": row["city_full"]}]
    with open_client(prices_alone.folder) as client:
        wait_ready(client)
        assert client.post("/predict", json=body).json()["from_history"] == [True]
        alone = client.post("/predict?history=false", json=body).json()
        explained = client.post("/explain?history=false", json=body).json()["explanations"][0]
        assert explained["prediction"] == pytest.approx(alone["predictions"][0], rel=1e-5)
        contributions = explained["contributions"]
        assert explained["base"] + sum(contributions.values()) == pytest.approx(explained["prediction"])
        assert {contributions[name] for name in NUMERIC_FEATURES} == {0.0}
        assert client.get("/model").json()["version"] == champion_version(prices_alone.store)
        assert client.get(f"/forecasts/{row['zipcode']}").status_code == 200
        assert client.get(f"/history/{row['zipcode']}").json()["months"][-1]["inventory"] is None


@pytest.mark.parametrize("page", PAGES)
def test_every_page_shows_prices_alone(prices_alone, page, monkeypatch):
    monkeypatch.setenv("HOUSING_STORE_URI", str(prices_alone.folder))
    monkeypatch.setenv("HOUSING_API_URL", f"http://127.0.0.1:{free_port()}")
    shown = open_page(page)
    assert not shown.exception
    assert not shown.error
    assert champion_version(prices_alone.store) in texts(shown)


def test_what_if_has_no_figures_to_change(prices_alone, tmp_path, monkeypatch):
    monkeypatch.setenv("HOUSING_STORE_URI", str(prices_alone.folder))
    with process(str(prices_alone.folder), tmp_path) as (_, url):
        monkeypatch.setenv("HOUSING_API_URL", url)
        shown = open_page("what_if")
        assert not shown.number_input
        assert "The panel has prices alone" in texts(shown)
        assert "Live prediction" in figures_of(shown)
