"""Bundles that an earlier version published are still read, and predict what they did."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from serving_fixtures import open_client, wait_ready

from housing_assets.core.errors import BundleError
from housing_assets.core.features.monthly import FEATURES
from housing_assets.core.forecasting.model import forecast_model_from_files
from housing_assets.core.forecasting.publishing import forecast
from housing_assets.core.forecasting.schema import HORIZONS, INTERVAL_SCHEMA, MODEL
from housing_assets.core.models.price import twin_problem
from housing_assets.core.models.refitted import WEIGHT_SCHEMA
from housing_assets.store.bundles import load_bundle
from housing_assets.store.histories import read_sound_history
from housing_assets.store.layout import Store
from housing_assets.store.pointers import forecast_champion, load_champion

FOLDER = Path(__file__).parents[1] / "fixtures" / "format_2"
EXPECTED: dict[str, Any] = json.loads((FOLDER / "expected.json").read_text())
ZIPS = [row["zipcode"] for row in EXPECTED["rows"]]


@pytest.fixture
def store(tmp_path) -> Store:
    shutil.copytree(FOLDER / "store", tmp_path / "store")
    return Store.open(str(tmp_path / "store"))


def features_of(files: dict[str, bytes]) -> list[str]:
    return json.loads(files["features.json"])["features"]


def refused_for_its_features(bundle) -> bool:
    """True if the bundle has other features than this version makes. Then it has to be refused by name."""
    if features_of(bundle.files) == list(FEATURES):
        return False
    with pytest.raises(BundleError, match="was made with other features .* train again"):
        bundle.model()
    return True


def test_a_price_model_is_loaded_and_gives_its_golden_rows_their_prices(store):
    bundle = load_champion(store)
    assert bundle.manifest["format"] == 2
    if refused_for_its_features(bundle):
        return
    model = bundle.model()
    assert twin_problem(bundle.files, model) is None
    assert model.growth is not None
    assert (model.lag, model.max_list_price) == (1, 2e7)


def test_the_api_serves_a_price_model_with_its_intervals(store, tmp_path):
    if refused_for_its_features(load_champion(store)):
        return
    with open_client(tmp_path / "store") as client:
        wait_ready(client)
        answer = client.post("/predict", json=EXPECTED["rows"]).json()
        alone = client.post("/predict?history=false", json=EXPECTED["rows"]).json()
    assert answer["model_version"] == load_champion(store).version
    assert answer["from_history"] == [True] * len(ZIPS)
    np.testing.assert_allclose(answer["predictions"], [EXPECTED["prices"][z] for z in ZIPS], rtol=1e-6)
    low_and_high = [(EXPECTED["low"][z], EXPECTED["high"][z]) for z in ZIPS]
    np.testing.assert_allclose(answer["intervals"], low_and_high, rtol=1e-6)
    without_history = [EXPECTED["prices_without_history"][z] for z in ZIPS]
    np.testing.assert_allclose(alone["predictions"], without_history, rtol=1e-6)


def test_a_forecast_model_of_ridge_and_trees_is_loaded_and_forecasts_alone(store):
    version, published = forecast_champion(store)
    model = forecast_model_from_files(load_bundle(store, version).files, version)
    assert list(published) == list(HORIZONS)
    assert set(model.fits) == {"2018-01", "2019-01"}
    history, origin = read_sound_history(store), EXPECTED["forecast_origin"]
    for horizon, growth in EXPECTED["log_growth"].items():
        answer = dict(
            zip(
                history.zips,
                model.newest.fitted["ridge_and_trees"].log_growth(history.at(origin), int(horizon)),
                strict=True,
            )
        )
        assert answer == pytest.approx(growth, abs=1e-6)
    weights = pl.DataFrame(schema=WEIGHT_SCHEMA)
    rows = forecast(history, origin, model, published, pl.DataFrame(schema=INTERVAL_SCHEMA), weights)
    assert set(rows.filter(predictor=MODEL)["mostly"]) <= {"ridge_and_trees"}
    assert rows.height == len(ZIPS) * len(HORIZONS)
    assert set(rows["model_version"]) == {version}
