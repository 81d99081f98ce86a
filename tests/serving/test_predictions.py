"""The same numbers over HTTP as in batch, whatever the order, alone or together."""

import json
import random

import numpy as np
import polars as pl
import pytest
from platform_fixtures import END, EVAL, HELD, HOLDOUT, MONTHS, START, TRAIN
from serving_fixtures import rows_of

from housing_assets.core.features.monthly import FEATURES, make_features
from housing_assets.core.models.rows import feature_matrix
from housing_assets.core.panel.cleaning import clean_month, standardize
from housing_assets.core.sample.spec import SampleSpec
from housing_assets.core.sample.writers import sample_frame
from housing_assets.store.pointers import champion_version, load_champion
from housing_serving.json_rows import decode_rows
from housing_serving.predictor import FEW_ROWS, Predictor


@pytest.fixture(scope="module")
def raw(made) -> pl.DataFrame:
    """The raw rows of every split, without those that cleaning takes out."""
    months = made.store.months("raw_splits")
    frames = []
    for month in MONTHS:
        kept = made.read("cleaned", month).select("zipcode")
        frames.append(months.read(month).join(kept, on="zipcode").unique("zipcode", keep="first", maintain_order=True))
    return pl.concat(frames)


def predict(client, rows) -> dict:
    answer = client.post("/predict", json=rows)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_features_over_http_are_those_of_batch(made, raw):
    predictor = Predictor(load_champion(made.store), None)
    matrix = predictor.matrix(decode_rows(json.dumps(rows_of(raw)).encode(), 10_000))
    expected = feature_matrix(make_features(standardize(raw), predictor.model.encoders))
    assert matrix.shape == (raw.height, len(FEATURES))
    np.testing.assert_array_equal(matrix, expected)


@pytest.mark.parametrize("month", HELD)
def test_a_month_over_http_is_that_of_monthly_predictions(client, made, raw, month):
    on_file = made.read("monthly_predictions", month).sort("zipcode")
    rows = raw.filter(pl.col("date").dt.strftime("%Y-%m") == month).sort("zipcode")
    answer = predict(client, rows_of(rows))
    assert answer["model_version"] == champion_version(made.store) == on_file["model_version"][0]
    np.testing.assert_allclose(answer["predictions"], on_file["predicted_price"], rtol=1e-12)
    assert answer["actuals"] == rows["price"].to_list()


@pytest.fixture(scope="module")
def panel() -> pl.DataFrame:
    """Cleaned rows, 1,000 and more of every split, of zips that mostly no encoder saw."""
    months = sample_frame(SampleSpec(400, START, END, 11, True)).partition_by("date")
    kept = [(m, clean_month(m).frame.select("zipcode")) for m in months]
    return pl.concat(m.join(zips, on="zipcode").unique("zipcode", maintain_order=True) for m, zips in kept)


@pytest.mark.parametrize(("first", "last"), [(START, TRAIN[-1]), (EVAL, "2019-12"), (HOLDOUT, END)])
def test_a_thousand_rows_of_every_split_over_http_are_those_of_batch(client, made, panel, first, last):
    rows = panel.filter(pl.col("date").dt.strftime("%Y-%m").is_between(pl.lit(first), pl.lit(last)))
    rows = rows.sample(1_000, seed=1, shuffle=True)
    expected = load_champion(made.store).model().predict(standardize(rows))["predicted_price"].to_numpy()
    sent = rows_of(rows)
    np.testing.assert_allclose(predict(client, sent)["predictions"], expected, rtol=1e-12)
    alone = [predict(client, sent[i : i + FEW_ROWS])["predictions"] for i in range(0, 1_000, FEW_ROWS)]
    np.testing.assert_allclose(np.concatenate(alone), expected, rtol=1e-12)


def test_many_rows_get_the_numbers_of_batch(made, raw):
    predictor = Predictor(load_champion(made.store), None)
    rows = decode_rows(json.dumps(rows_of(raw)).encode(), 10_000)
    assert len(rows) > FEW_ROWS
    np.testing.assert_allclose(predictor.predict(rows).price, predictor.model.prices(standardize(raw)), rtol=1e-12)


def test_a_row_alone_in_a_batch_or_in_another_order_gets_the_same_number(client, raw):
    rows = rows_of(raw.head(200))
    together = predict(client, rows)["predictions"]
    order = list(range(200))
    random.Random(1).shuffle(order)
    shuffled = [dict(random.Random(i).sample(list(rows[i].items()), len(rows[i]))) for i in order]
    assert predict(client, shuffled)["predictions"] == [together[i] for i in order]
    for i in (0, 7, 199):
        assert predict(client, [rows[i]])["predictions"][0] == pytest.approx(together[i], rel=1e-12)
    few = predict(client, rows[:FEW_ROWS])["predictions"]
    assert predict(client, rows[:1])["predictions"] == few[:1]


def test_duplicate_rows_each_get_their_prediction(client, raw):
    row = rows_of(raw.head(1))[0]
    answer = predict(client, [row] * 3)
    assert len(answer["predictions"]) == len(answer["intervals"]) == 3
    assert len(set(answer["predictions"])) == 1


def test_the_interval_holds_the_prediction_and_is_that_of_the_metro(client, made, raw):
    on_file = made.read("monthly_predictions", HELD[-1]).sort("zipcode")
    rows = raw.filter(pl.col("date").dt.strftime("%Y-%m") == HELD[-1]).sort("zipcode")
    answer = predict(client, rows_of(rows))
    for price, (low, high) in zip(answer["predictions"], answer["intervals"], strict=True):
        assert low < price < high
    assert answer["warnings"] == []
    low, high = np.array(answer["intervals"]).T
    np.testing.assert_allclose(low, on_file["predicted_low"], rtol=1e-4)
    np.testing.assert_allclose(high, on_file["predicted_high"], rtol=1e-4)


SPARSE = {"date": "2020-03-31", "zipcode": "99999"}


def test_what_was_never_seen_is_predicted_with_a_warning_and_a_wider_interval(client, raw):
    known = rows_of(raw.filter(pl.col("date").dt.strftime("%Y-%m") == HELD[-1]).head(1))[0]
    usual = predict(client, [known])
    assert usual["warnings"] == []
    low, high = usual["intervals"][0]
    width = np.log(high / low)
    for change, field in (
        ({"zipcode": "99999"}, "zipcode"),
        ({"city_full": "Nowhere"}, "city_full"),
        ({"date": "2031-01-31"}, "date"),
        ({"median_list_price": 5e7}, "median_list_price"),
    ):
        answer = predict(client, [known, {**known, **change}])
        assert {(w["row"], w["field"]) for w in answer["warnings"]} == {(1, field)}, answer["warnings"]
        low, high = answer["intervals"][1]
        assert np.log(high / low) >= width - 1e-9
    assert predict(client, [SPARSE])["predictions"][0] > 0


def test_zeros_that_stand_for_gaps_are_gaps(client):
    gaps = {"median_list_price": 0, "Median Age": 0, "price": 0, "Total Population": 0, "Unemployed Population": 0}
    answers = [predict(client, [{**SPARSE, **extra}]) for extra in (gaps, dict.fromkeys(gaps), {})]
    assert answers[0] == answers[1] == answers[2]
    assert "actuals" not in answers[0]


# ---------------------------------------------------------------- explanations


def test_contributions_add_up_to_the_prediction(client, raw):
    rows = rows_of(raw.sample(100, seed=1))
    prices = predict(client, rows)["predictions"]
    answer = client.post("/explain", json=rows).json()
    assert len(answer["explanations"]) == 100
    for price, told in zip(prices, answer["explanations"], strict=True):
        assert told["prediction"] == pytest.approx(price, rel=1e-4)
        assert told["base"] + sum(told["contributions"].values()) == pytest.approx(told["prediction"], rel=1e-9)
        assert list(told["contributions"]) == list(FEATURES)
        assert 1 <= len(told["factors"]) <= 5
        assert all("adds $" in f or "takes off $" in f for f in told["factors"])


def test_at_most_100_rows_are_explained(client):
    assert client.post("/explain", json=[SPARSE] * 100).status_code == 200
    answer = client.post("/explain", json=[SPARSE] * 101)
    assert answer.status_code == 422
    assert "101 rows are more than 100: send them in several calls" in answer.text


# ---------------------------------------------------------------- months on file


def test_the_newest_month_is_the_default(client, made):
    answer = client.get("/latest_predictions").json()
    frame = made.read("monthly_predictions", HELD[-1])
    assert (answer["month"], answer["rows"], len(answer["preview"])) == (HELD[-1], frame.height, 5)
    assert answer["preview"][0]["zipcode"] == frame["zipcode"][0]
    assert client.get("/predictions").json()["month"] == HELD[-1]


def test_a_month_is_filtered_and_paged(client, made):
    frame = made.read("monthly_predictions", HELD[0])
    row = frame.row(3, named=True)
    answer = client.get("/predictions", params={"month": HELD[0], "zipcode": row["zipcode"]}).json()
    assert answer["rows"] == 1
    assert answer["predictions"][0]["predicted_price"] == row["predicted_price"]
    page = client.get("/predictions", params={"month": HELD[0], "limit": 2, "offset": 3}).json()
    assert [p["zipcode"] for p in page["predictions"]] == frame["zipcode"].slice(3, 2).to_list()
    metro = client.get("/predictions", params={"city_full": row["city_full"], "month": HELD[0]}).json()
    assert metro["rows"] == frame.filter(city_full=row["city_full"]).height


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("month=2031-01", 404),
        ("month=January", 422),
        ("zipcode=139", 422),
        ("limit=0", 422),
        ("limit=x", 422),
        ("offset=-1", 422),
    ],
)
def test_a_query_that_makes_no_sense_is_told(client, query, status):
    answer = client.get(f"/predictions?{query}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
