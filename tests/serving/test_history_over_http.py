"""Predictions from a zip's own past: the numbers of batch, and histories that are new, damaged, or away."""

import io
import json
import shutil
import time
from pathlib import Path

import httpx
import numpy as np
import polars as pl
import pytest
from serving_fixtures import (
    Load,
    open_client,
    process,
    publish_history,
    rows_of,
    vouch,
    wait_for,
    wait_kept,
    wait_ready,
)

from housing_assets.core.features.history import HISTORY_FEATURES, History
from housing_assets.core.features.monthly import FEATURES
from housing_assets.core.forecasting.model import forecast_model_from_files
from housing_assets.core.forecasting.publishing import combination_at
from housing_assets.core.intervals.conformal import interval_ends
from housing_assets.core.models.price import PriceModel
from housing_assets.core.months import add_months, month_end
from housing_assets.core.panel.cleaning import standardize
from housing_assets.store.bundles import load_bundle
from housing_assets.store.histories import ASSET, KEY, read_history
from housing_assets.store.layout import Store
from housing_assets.store.pointers import FORECAST_POINTER, POINTER, champion_version, load_champion, newest_intervals
from housing_assets.store.verdicts import State, verdict_key
from housing_serving.bodies import ARROW
from housing_serving.json_rows import decode_rows
from housing_serving.predictor import FEW_ROWS, Predictor


@pytest.fixture(scope="module")
def seen(grown):
    """A client of an API whose champion predicts from history."""
    with open_client(grown.folder) as client:
        wait_ready(client)
        yield client


@pytest.fixture
def folder(grown, tmp_path) -> Path:
    """A copy of what serving reads, to change."""
    for name in ("models", "interval_calibration", "monthly_predictions"):
        shutil.copytree(grown.folder / name, tmp_path / "store" / name)
    publish_history(Store.open(str(tmp_path / "store")), grown.store.read_table(ASSET))
    vouch(Store.open(str(tmp_path / "store")), "interval_calibration")
    return tmp_path / "store"


@pytest.fixture(scope="module")
def raw(grown) -> pl.DataFrame:
    """The raw rows of every month of every split."""
    return grown.store.months("raw_splits").read_many(grown.settings.months)


@pytest.fixture(scope="module")
def model(grown) -> PriceModel:
    return load_champion(grown.store).model()


@pytest.fixture(scope="module")
def history(grown) -> History:
    return read_history(grown.store)


def predict(client, rows, query="") -> dict:
    answer = client.post(f"/predict{query}", json=rows)
    assert answer.status_code == 200, answer.text
    return answer.json()


def month_row(raw: pl.DataFrame, month: str, place: int = 0) -> dict:
    return rows_of(raw.filter(pl.col("date") == month_end(month)).sort("zipcode"))[place]


# ---------------------------------------------------------------- the numbers of batch


@pytest.mark.parametrize("query", ["", "?history=false"])
def test_every_row_of_every_split_over_http_is_that_of_batch(seen, grown, raw, model, history, query):
    assert model.growth is not None
    expected = model.predict(standardize(raw), None if query else history, newest_intervals(grown.store, model.version))
    answer = predict(seen, rows_of(raw), query)
    assert answer["from_history"] == expected["from_history"].to_list()
    from_history = expected["from_history"].to_numpy()
    predicted = np.array(answer["predictions"])
    np.testing.assert_array_equal(predicted[from_history], expected["predicted_price"].to_numpy()[from_history])
    np.testing.assert_allclose(predicted, expected["predicted_price"], rtol=1e-6)
    month = raw["date"].dt.strftime("%Y-%m")
    if query:
        assert not from_history.any()
        return
    for first, last in (("2017-01", "2018-12"), ("2019-01", "2019-12"), ("2020-01", "2020-06")):
        assert from_history[month.is_between(pl.lit(first), pl.lit(last))].all()
    assert not from_history[month < "2016-06"].any()
    usual = np.array([i for i in range(raw.height) if i not in {w["row"] for w in answer["warnings"]}])
    assert usual.size > 500
    low, high = np.array(answer["intervals"]).T
    np.testing.assert_allclose(low[usual], expected["predicted_low"].to_numpy()[usual], rtol=1e-9)
    np.testing.assert_allclose(high[usual], expected["predicted_high"].to_numpy()[usual], rtol=1e-9)


def test_months_of_the_holdout_are_those_on_file(seen, grown, raw, model):
    for month in grown.store.months("monthly_predictions").available():
        on_file = grown.read("monthly_predictions", month)
        rows = raw.join(on_file.select("zipcode", "date"), on=["zipcode", "date"], how="right")
        answer = predict(seen, rows_of(rows))
        assert answer["predictions"] == on_file["predicted_price"].to_list()
        assert all(answer["from_history"])
        assert answer["warnings"] == []
        assert answer["model_version"] == model.version


def test_a_row_alone_in_any_batch_and_in_any_order_gets_the_same_number(seen, raw):
    rows = rows_of(raw.sample(200, seed=3))
    together = predict(seen, rows)
    backwards = predict(seen, rows[::-1])
    assert backwards["predictions"] == together["predictions"][::-1]
    few = [predict(seen, rows[i : i + FEW_ROWS]) for i in range(0, 200, FEW_ROWS)]
    kinds = [kind for answer in few for kind in answer["from_history"]]
    assert kinds == together["from_history"]
    assert {*kinds} == {True, False}
    for i in (*range(10), kinds.index(False)):
        alone = predict(seen, [rows[i]])["predictions"][0]
        exact = kinds[i]
        assert alone == (together["predictions"][i] if exact else pytest.approx(together["predictions"][i], rel=1e-4))


def test_the_figures_of_a_row_change_nothing_when_its_past_says_the_price(seen, raw):
    full = month_row(raw, "2020-03")
    bare = {"date": full["date"], "zipcode": full["zipcode"]}
    dear = {**bare, "median_list_price": 5e7}
    answer = predict(seen, [full, bare, dear])
    assert len(set(answer["predictions"])) == 1
    # Its metro is known from its past, and so is the interval of that metro.
    assert answer["intervals"][0] == answer["intervals"][1] == answer["intervals"][2]
    assert answer["warnings"] == []


def test_a_row_of_history_is_surer_than_one_of_its_figures_alone(seen, raw):
    row = month_row(raw, "2020-03")
    (sure,), (unsure,) = (predict(seen, [row], query)["intervals"] for query in ("", "?history=false"))
    assert np.log(unsure[1] / unsure[0]) > 2 * np.log(sure[1] / sure[0])


def test_arrow_answers_and_mlflows_protocol_have_the_same_numbers(seen, raw):
    rows = raw.filter(pl.col("date").is_between(month_end("2016-01"), month_end("2016-12")))
    expected = predict(seen, rows_of(rows))
    rows.select("date", "zipcode", "city_full").write_ipc_stream(body := io.BytesIO())
    headers = {"content-type": ARROW, "accept": ARROW}
    found = pl.read_ipc_stream(seen.post("/predict", content=body.getvalue(), headers=headers).content)
    assert found["from_history"].to_list() == expected["from_history"]
    assert {*expected["from_history"]} == {True, False}
    known = found["from_history"].to_numpy()
    np.testing.assert_array_equal(found["predicted_price"].to_numpy()[known], np.array(expected["predictions"])[known])
    off = seen.post("/predict?history=false", content=body.getvalue(), headers=headers)
    assert not pl.read_ipc_stream(off.content)["from_history"].any()
    scored = seen.post("/invocations", json={"dataframe_records": rows_of(rows)}).json()
    assert scored["predictions"] == expected["predictions"]


def test_until_errors_with_a_history_are_measured_batch_and_http_fall_back_alike(grown, raw, model, history):
    calibration = newest_intervals(grown.store, model.version).filter(~pl.col("from_history"))
    rows = raw.filter(pl.col("date") == month_end("2020-03")).sort("zipcode")
    expected = model.predict(standardize(rows), history, calibration)
    assert expected["from_history"].all()
    predictor = Predictor(load_champion(grown.store), calibration).with_history(history)
    said = predictor.predict(decode_rows(json.dumps(rows_of(rows)).encode(), rows.height))
    np.testing.assert_allclose(said.low, expected["predicted_low"], rtol=1e-9)
    np.testing.assert_allclose(said.high, expected["predicted_high"], rtol=1e-9)
    assert np.isfinite(said.low).all()


def test_a_months_table_is_made_once(grown, history):
    predictor = Predictor(load_champion(grown.store), None).with_history(history)
    assert predictor.history_prices is not None
    old, newest = ([{"date": f"{month}-28", "zipcode": history.zips[0]}] for month in ("2017-03", "2020-07"))
    old, newest = (decode_rows(json.dumps(rows).encode(), 1) for rows in (old, newest))
    # The newest month was made ahead; an older one is made aside, when it is asked for.
    assert predictor.is_ready(newest)
    assert not predictor.is_ready(old)
    said = predictor.predict(old).price
    assert predictor.is_ready(old)
    np.testing.assert_array_equal(predictor.predict(old).price, said)
    assert predictor.with_history(history) is predictor


# ---------------------------------------------------------------- what has no history


def warned(answer: dict, row: int) -> dict[str, str]:
    return {w["field"]: w["message"] for w in answer["warnings"] if w["row"] == row}


def test_a_new_zip_is_predicted_from_its_figures_with_a_warning_and_the_widest_interval(seen, grown, raw, model):
    rows = raw.filter(pl.col("date") == month_end("2020-03")).head(1).with_columns(zipcode=pl.lit("99999"))
    answer = predict(seen, rows_of(rows))
    assert answer["from_history"] == [False]
    assert answer["predictions"] == pytest.approx(model.prices(standardize(rows)).tolist(), rel=1e-4)
    assert "99999 has no price history for 2020-03, 12 zips have" in answer["warnings"][0]["message"]
    ends = interval_ends(newest_intervals(grown.store, model.version))
    widest = [f(e[i] for (kind, _), e in ends.items() if not kind) for i, f in ((0, min), (1, max))]
    ratios = np.log(np.array(answer["intervals"][0]) / answer["predictions"][0])
    np.testing.assert_allclose(ratios, widest, rtol=1e-9)


def test_a_month_after_the_history_is_referred_to_forecasts(seen, raw):
    row = month_row(raw, "2020-06")
    answer = predict(seen, [{**row, "date": f"{month}-28"} for month in ("2020-06", "2020-07", "2020-08")])
    assert answer["from_history"] == [True, True, False]
    told = [w["message"] for w in answer["warnings"] if w["row"] == 2]
    assert f"2020-08 is after the history of {row['zipcode']}, which ends with 2020-06" in told[0]
    assert f"GET /forecasts/{row['zipcode']}" in told[0]
    # Of July nobody knows yet how far prices will be off.
    assert "intervals are known for" in warned(answer, 1)["date"]


def test_what_is_asked_from_figures_alone_has_no_word_of_history(seen, raw):
    answer = predict(seen, [month_row(raw, "2020-06")], "?history=false")
    assert answer["from_history"] == [False]
    assert answer["warnings"] == []
    assert seen.post("/predict?history=perhaps", json=[month_row(raw, "2020-06")]).status_code == 422


def test_a_zip_with_a_gap_is_predicted_from_history_where_that_reaches(folder, grown, raw, model):
    table = grown.store.read_table(ASSET)
    zipcode = table["zipcode"][0]
    gap = (pl.col("zipcode") == zipcode) & pl.col("date").is_between(month_end("2018-01"), month_end("2018-12"))
    gappy = table.with_columns(pl.when(gap).then(None).otherwise(pl.col("price")).alias("price"))
    store = Store.open(str(folder))
    publish_history(store, gappy)
    rows = raw.filter(pl.col("zipcode") == zipcode)
    expected = model.predict(standardize(rows), History.from_table(gappy), newest_intervals(store, model.version))
    with open_client(folder) as client:
        wait_ready(client)
        answer = predict(client, rows_of(rows))
    assert answer["from_history"] == expected["from_history"].to_list()
    np.testing.assert_allclose(answer["predictions"], expected["predicted_price"], rtol=1e-4)
    kind = dict(zip(rows["date"].dt.strftime("%Y-%m"), answer["from_history"], strict=True))
    # A last known price stands for six months of a gap; after it a year of prices has to be there again.
    kinds = {"2018-07": True, "2018-08": False, "2019-01": False, "2019-02": False, "2020-01": False, "2020-02": True}
    assert {month: kind[month] for month in kinds} == kinds
    row = rows["date"].to_list().index(month_end("2019-09"))
    told = warned(answer, row)["zipcode"]
    assert f"{zipcode} has too little history for 2019-09" in told
    assert "a price in 2019-08 and one 12 months before" in told
    # As wide as what such rows measured, and no wider: the row is like those that were seen.
    low, high = np.log(np.array(answer["intervals"][row]) / answer["predictions"][row])
    ends = interval_ends(newest_intervals(store, model.version))
    assert (low, high) == pytest.approx(ends.get((False, rows["city_full"][row]), ends[False, None]))


def test_a_champion_without_growth_model_says_nothing_of_history(client, made):
    assert load_champion(made.store).model().growth is None
    rows = rows_of(made.read("raw_splits", "2020-03").unique("zipcode").head(5))
    for query in ("", "?history=false"):
        answer = predict(client, rows, query)
        assert answer["from_history"] == [False] * 5
        assert not [w for w in answer["warnings"] if "history" in w["message"]]
    assert client.get("/model").json()["history"] is None


def test_before_a_history_is_published_rows_are_predicted_from_their_figures(folder, raw):
    (folder / KEY).unlink()
    with open_client(folder) as client:
        wait_ready(client)
        answer = predict(client, [month_row(raw, "2020-03")])
        assert answer["from_history"] == [False]
        assert "no price history is published yet" in answer["warnings"][0]["message"]
        assert client.get("/health").json()["reason"] == ""


def test_the_model_and_the_months_on_file_tell_of_history(seen, grown):
    told = seen.get("/model").json()["history"]
    assert told == {
        "first_month": "2015-06",
        "last_month": "2020-06",
        "zips": 12,
        "publication_lag": 1,
        "fitted_before": "2020-07",
    }
    rows = seen.get("/latest_predictions").json()["preview"]
    assert [row["from_history"] for row in rows] == [True] * 5


# ---------------------------------------------------------------- explanations


def test_contributions_of_a_price_from_history_add_up_to_it(seen, raw, history):
    rows = rows_of(raw.filter(pl.col("date") >= month_end("2017-01")).sample(60, seed=1))
    rows += rows_of(raw.filter(pl.col("date") < month_end("2016-06")).sample(40, seed=1))
    predicted = predict(seen, rows)
    answer = seen.post("/explain", json=rows).json()["explanations"]
    assert [told["from_history"] for told in answer] == predicted["from_history"] == [True] * 60 + [False] * 40
    for row, price, told in zip(rows, predicted["predictions"], answer, strict=True):
        assert told["prediction"] == pytest.approx(price, rel=1e-7 if told["from_history"] else 1e-4)
        assert told["base"] + sum(told["contributions"].values()) == pytest.approx(told["prediction"], rel=1e-12)
        assert tuple(told["contributions"]) == (HISTORY_FEATURES if told["from_history"] else FEATURES)
        assert 1 <= len(told["factors"]) <= 5
        if told["from_history"]:
            origin = history.column(add_months(row["date"][:7], -1))
            last = np.exp(history.log_price[history.zip_index[row["zipcode"]], origin])
            assert told["base"] == pytest.approx(last, rel=0.03)
    assert any("Growth of its price over" in factor for factor in answer[0]["factors"])


@pytest.mark.parametrize("horizon", [1, 3, 12])
def test_parts_of_growth_add_up_to_it_at_every_horizon(grown, history, horizon):
    version = champion_version(grown.store, FORECAST_POINTER) or ""
    model = forecast_model_from_files(load_bundle(grown.store, version).files, version)
    growth = combination_at(model, "2019-12", grown.store.read_table("forecast_weights"))
    at = np.arange(len(history.zips))
    base, parts = growth.contributions(history.at("2019-12"), horizon, at)
    np.testing.assert_allclose(base + parts.sum(axis=1), growth.log_growth(history.at("2019-12"), horizon), atol=1e-6)
    assert np.abs(parts).max() > 1e-4


def test_an_explanation_from_figures_alone_is_of_the_price_from_figures_alone(seen, raw):
    rows = [month_row(raw, "2020-03")]
    (told,) = seen.post("/explain?history=false", json=rows).json()["explanations"]
    assert told["prediction"] == pytest.approx(predict(seen, rows, "?history=false")["predictions"][0], rel=1e-4)
    assert tuple(told["contributions"]) == FEATURES
    assert told["from_history"] is False


# ---------------------------------------------------------------- new, damaged, away


def dearer(table: pl.DataFrame, times: float = 2.0) -> pl.DataFrame:
    return table.with_columns(pl.col("price") * times)


def test_a_new_history_is_taken_under_load_without_a_failed_call(folder, grown, raw, tmp_path):
    store, table = Store.open(str(folder)), grown.store.read_table(ASSET)
    row = month_row(raw, "2020-06")

    def said(url: str) -> float:
        return httpx.post(f"{url}/predict", json=[row]).json()["predictions"][0]

    with process(str(folder), tmp_path, HOUSING_RELOAD_SECONDS="0.02", HOUSING_KEEP_FOLDER="none") as (_, url):
        once = said(url)
        with Load(url, row).running() as load:
            for i in range(12):
                times = (2.0, 1.0)[i % 2]
                publish_history(store, dearer(table, times))
                for _ in range(500):
                    if said(url) == pytest.approx(once * times, rel=1e-6):
                        break
                    time.sleep(0.02)
                else:
                    pytest.fail(f"history {i} was not taken: {httpx.get(f'{url}/health').json()}")
        assert load.statuses == {200}
        answers = [answer for *_, answer in load.answers]
        assert len(answers) > 50
        # Whole answers of one history or of the other, and nothing between.
        assert {round(price / once, 6) for answer in answers for price in answer["predictions"]} == {1.0, 2.0}
        assert all(len(set(answer["predictions"])) == 1 and all(answer["from_history"]) for answer in answers)


def damage(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(bytes(data) if how == "flipped" else bytes(data[:-9]) if how == "truncated" else b"")


@pytest.mark.parametrize("how", ["flipped", "truncated", "empty", "gone", "red", "never checked"])
def test_a_history_that_cannot_be_trusted_leaves_the_last_good_one(folder, grown, raw, how):
    store, table = Store.open(str(folder)), grown.store.read_table(ASSET)
    rows = [month_row(raw, "2020-06")]
    with open_client(folder) as client:
        wait_ready(client)
        said = predict(client, rows)
        assert said["from_history"] == [True]
        if how in ("red", "never checked"):
            (folder / verdict_key(ASSET)).unlink()
            if how == "red":
                publish_history(store, dearer(table), State.RED)
            else:
                store.write_table(ASSET, dearer(table))
        else:
            damage(folder / KEY, how)
        wait_for(client, lambda: "the last good one serves" in client.get("/health").json()["reason"], "not refused")
        assert predict(client, rows) == said
        health = client.get("/health").json()
        assert health["status"] == "healthy"
        assert str(folder) not in health["reason"]
        publish_history(store, dearer(table))
        wait_for(client, lambda: client.get("/health").json()["reason"] == "", "not taken")
        assert predict(client, rows)["predictions"][0] == pytest.approx(2 * said["predictions"][0], rel=1e-6)


def test_a_new_champion_is_taken_beside_a_damaged_history(folder, raw):
    store = Store.open(str(folder))
    rows = [month_row(raw, "2020-06")]
    with open_client(folder) as client:
        wait_ready(client)
        damage(folder / KEY, "flipped")
        wait_for(client, lambda: "last good one" in client.get("/health").json()["reason"], "not refused")
        first = champion_version(store)
        other = next(
            p.parent.name for p in (folder / "models").glob("*/manifest.json") if p.parent.name[:8] == "baseline"
        )
        store.write_json(POINTER, {"version": other})
        wait_for(client, lambda: client.get("/health").json()["model_version"] == other, "not reloaded")
        assert predict(client, rows)["model_version"] == other != first


def test_it_starts_from_the_copy_of_the_history_while_the_store_is_away_or_damaged(folder, raw, tmp_path):
    rows = [month_row(raw, "2020-06")]
    kept = tmp_path / "kept"
    with process(str(folder), tmp_path, HOUSING_KEEP_FOLDER=str(kept)) as (_, url):
        expected = httpx.post(f"{url}/predict", json=rows).json()
        wait_kept(kept)
    assert expected["from_history"] == [True]
    damage(folder / KEY, "flipped")
    with open_client(folder, keep_folder=str(kept)) as client:
        wait_ready(client)
        assert predict(client, rows) == expected
        assert "the last good one serves" in client.get("/health").json()["reason"]
    away = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1"}
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "HOUSING_KEEP_FOLDER": str(kept)}
    with process("s3://bucket/store", tmp_path, **away, **keys) as (_, url):
        assert httpx.post(f"{url}/predict", json=rows).json() == expected
        assert "from its copy" in httpx.get(f"{url}/health").json()["reason"]
    # A copy that is damaged too is not used: prices are from figures then, and say so.
    damage(kept / KEY, "flipped")
    with open_client(folder, keep_folder=str(kept)) as client:
        wait_ready(client)
        assert predict(client, rows)["from_history"] == [False]
        assert "prices are from the rows' own figures" in client.get("/health").json()["reason"]


def test_a_history_in_s3_is_taken_and_served_while_s3_is_away(grown, bucket, s3_env, monkeypatch, raw):
    there = Store.open(f"s3://{bucket}/store")
    for prefix in ("models/", "interval_calibration/"):
        for key in grown.store.blobs.keys(prefix):
            there.blobs.write(key, grown.store.blobs.read(key))
    publish_history(there, grown.store.read_table(ASSET))
    vouch(there, "interval_calibration")
    rows = [month_row(raw, "2020-06")]
    with open_client(f"s3://{bucket}/store") as client:
        wait_ready(client)
        said = predict(client, rows)
        assert said["from_history"] == [True]
        # All of it goes, the pointer before the calibrations, which would be taken for newer ones: what serves goes on.
        for key in reversed(there.blobs.keys("")):
            there.blobs.delete(key)
        wait_for(client, lambda: client.get("/health").json()["reason"] != "", "not noticed")
        assert predict(client, rows) == said
