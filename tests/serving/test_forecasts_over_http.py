"""One zip over HTTP: its forecasts and its past, as on file; and every way of asking for what is not there."""

import shutil
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
from serving_fixtures import open_client, publish_history, vouch, wait_ready

from housing_assets.core.features.history import HISTORY_SCHEMA
from housing_assets.core.forecasting.schema import FORECAST_SCHEMA, MODEL, PREDICTOR_LABELS
from housing_assets.core.months import month_end
from housing_assets.store.histories import ASSET, KEY
from housing_assets.store.layout import Store
from housing_serving.schemas import Forecasts, PastMonths

FIRST, LAST = "2020-01", "2020-06"
"""Origins of the platform's forecasts."""


@pytest.fixture(scope="module")
def seen(grown):
    with open_client(grown.folder) as client:
        wait_ready(client)
        yield client


@pytest.fixture
def folder(grown, tmp_path) -> Path:
    """A copy of what these calls read, to change."""
    shutil.copytree(grown.folder / "monthly_forecasts", tmp_path / "store/monthly_forecasts")
    publish_history(Store.open(str(tmp_path / "store")), grown.store.read_table(ASSET))
    vouch(Store.open(str(tmp_path / "store")), "monthly_forecasts")
    return tmp_path / "store"


@pytest.fixture(scope="module")
def zipcode(grown) -> str:
    return grown.read("monthly_forecasts", LAST)["zipcode"][0]


def problem(answer) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == answer.status_code
    return answer.json()["detail"]


# ---------------------------------------------------------------- forecasts


def test_forecasts_are_those_on_file_of_every_zip_and_origin(seen, grown):
    months = grown.store.months("monthly_forecasts")
    assert months.available() == [FIRST, "2020-02", "2020-03", "2020-04", "2020-05", LAST]
    for origin in months.available():
        for (zipcode,), on_file in months.read(origin).group_by("zipcode"):
            told = seen.get(f"/forecasts/{zipcode}", params={"origin": origin}).json()
            shared = {name: told[name] for name in told if name in FORECAST_SCHEMA}
            found = pl.DataFrame([shared | row for row in told["forecasts"]]).with_columns(pl.col("date").str.to_date())
            assert found.select(FORECAST_SCHEMA.keys()).equals(on_file.sort("horizon"))
            assert [row["date"][:7] for row in told["forecasts"]] == [row["month"] for row in told["forecasts"]]


def test_the_newest_origin_and_every_horizon_are_the_default(seen, zipcode):
    told = seen.get(f"/forecasts/{zipcode}").json()
    assert told["origin"] == LAST
    assert [row["horizon"] for row in told["forecasts"]] == list(range(1, 13))
    (one,) = seen.get(f"/forecasts/{zipcode}?horizon=3").json()["forecasts"]
    assert one == told["forecasts"][2]
    assert (one["month"], one["date"]) == ("2020-09", "2020-09-30")


def test_whose_forecast_it_is_is_told_in_words(folder, zipcode):
    months = Store.open(str(folder)).months("monthly_forecasts")
    frame = months.read(LAST)
    mixed = pl.when(pl.col("horizon") > 6).then(pl.lit("damped_momentum")).otherwise(pl.lit(MODEL)).alias("predictor")
    unknown = pl.when(pl.col("horizon") < 12).then(pl.col("predicted_low")).alias("predicted_low")
    months.write(LAST, frame.with_columns(mixed, unknown))
    vouch(Store.open(str(folder)), "monthly_forecasts")
    with open_client(folder) as client:
        rows = client.get(f"/forecasts/{zipcode}").json()["forecasts"]
    assert rows[0]["explanation"] == (
        "The model's, several forecasters by how well each did lately 1 month ahead, mostly "
        f"{PREDICTOR_LABELS[rows[0]['mostly']]}"
    )
    assert rows[11]["predictor"] == "damped_momentum"
    assert rows[11]["explanation"] == (
        "The naive baseline damped momentum (the growth of the zip's last 3 months goes on and fades): "
        "on eval the model was not shown to beat it 12 months ahead"
    )
    # An interval that nothing was known for is absent, not a number.
    assert rows[11]["predicted_low"] is None


BAD_FORECASTS = {
    "letters": ("/forecasts/ABCDE", 422, "zipcode: String should match pattern '^[0-9]{5}$', not 'ABCDE'"),
    "four digits": ("/forecasts/2139", 422, "not '2139'"),
    "an unknown zip": ("/forecasts/99999", 404, "99999 is not known: the history has 12 zips"),
    "no month": ("/forecasts/ZIP?origin=May", 422, "origin: String should match pattern"),
    "month 13": ("/forecasts/ZIP?origin=2020-13", 422, "origin: String should match pattern"),
    "a day": ("/forecasts/ZIP?origin=2020-06-30", 422, "origin: String should match pattern"),
    "before there is enough history": (
        "/forecasts/ZIP?origin=2015-07", 404, f"no forecasts from 2015-07; there are from {FIRST} to {LAST}"),
    "after the data": (
        "/forecasts/ZIP?origin=2031-01", 404, f"no forecasts from 2031-01; there are from {FIRST} to {LAST}"),
    "horizon 0": ("/forecasts/ZIP?horizon=0", 422, "horizon: Input should be greater than or equal to 1, not '0'"),
    "horizon 13": ("/forecasts/ZIP?horizon=13", 422, "horizon: Input should be less than or equal to 12, not '13'"),
    "half a month": ("/forecasts/ZIP?horizon=1.5", 422, "horizon: Input should be a valid integer"),
    "a huge horizon": (f"/forecasts/ZIP?horizon={'9' * 5_000}", 422, "horizon: "),
}  # fmt: skip


@pytest.mark.parametrize(("path", "status", "told"), BAD_FORECASTS.values(), ids=BAD_FORECASTS)
def test_a_forecast_that_cannot_be_given_is_told(seen, zipcode, path, status, told):
    answer = seen.get(path.replace("ZIP", zipcode))
    assert answer.status_code == status
    assert told in problem(answer)
    if status == 422:
        assert answer.json()["errors"][0]["field"] in path or "zipcode" in answer.json()["errors"][0]["field"]


def test_a_zip_whose_history_has_gaps_is_told_what_is_needed(folder, grown, zipcode):
    store, table = Store.open(str(folder)), grown.store.read_table(ASSET)
    gap = (pl.col("zipcode") == zipcode) & pl.col("date").is_between(month_end("2019-03"), month_end("2019-12"))
    publish_history(store, table.with_columns(pl.when(~gap).then(pl.col("price")).alias("price")))
    months = store.months("monthly_forecasts")
    months.write(LAST, months.read(LAST).filter(pl.col("zipcode") != zipcode))
    vouch(store, "monthly_forecasts")
    with open_client(folder) as client:
        answer = client.get(f"/forecasts/{zipcode}")
    assert answer.status_code == 404
    assert problem(answer) == (
        f"{zipcode} has no forecasts from 2020-06: its history is too short or has gaps there. Prices up to then: "
        "2015-06 to 2019-02, 2020-01 to 2020-06; needed are a price in 2020-06 and one 12 months before, at most 6 "
        "months old each, and 12 prices of its own from 2019-01 to 2020-06"
    )


def test_before_there_are_forecasts_or_a_history_what_to_run_is_told(client, made, tmp_path):
    assert not made.store.months("monthly_forecasts").available()
    answer = client.get("/forecasts/02139")
    assert (answer.status_code, problem(answer)) == (
        404,
        "no month is forecast yet: run forecast_job (or `housing run`) first",
    )
    with open_client(tmp_path / "empty") as empty:
        answer = empty.get("/history/02139")
        assert answer.status_code == 404
        assert "run predictions_job" in problem(answer)


# ---------------------------------------------------------------- history


def test_a_history_is_that_on_file_of_every_zip(seen, grown):
    table = grown.store.read_table(ASSET)
    for (zipcode,), on_file in table.group_by("zipcode"):
        told = seen.get(f"/history/{zipcode}").json()
        assert told["zipcode"] == zipcode
        assert told["city_full"] == on_file.sort("date")["city_full"][-1]
        found = pl.DataFrame(told["months"], infer_schema_length=None)
        assert found["month"].to_list() == on_file.sort("date")["date"].dt.strftime("%Y-%m").to_list()
        for name in set(HISTORY_SCHEMA) - {"date", "zipcode", "city_full"}:
            said, known = (f.sort(k)[name].cast(pl.Float64) for f, k in ((found, "month"), (on_file, "date")))
            np.testing.assert_allclose(said.to_numpy(), known.to_numpy(), rtol=1e-6)


def test_a_history_may_be_asked_from_a_month_and_to_one(seen, zipcode):
    def months(query: str) -> list[str]:
        return [row["month"] for row in seen.get(f"/history/{zipcode}?{query}").json()["months"]]

    assert months("from=2020-04") == ["2020-04", "2020-05", "2020-06"]
    assert months("to=2015-07") == ["2015-06", "2015-07"]
    assert months("from=2017-12&to=2018-01") == ["2017-12", "2018-01"]
    assert months("from=2017-12&to=2017-12") == ["2017-12"]


def test_what_is_not_known_of_a_month_is_null(folder, grown, zipcode):
    table = grown.store.read_table(ASSET)
    newest = pl.col("date") == month_end(LAST)
    publish_history(
        Store.open(str(folder)),
        table.with_columns(
            pl.when(~newest).then(pl.col("price")).alias("price"),
            pl.when(newest).then(float("nan")).otherwise(pl.col("median_dom")).alias("median_dom"),
        ),
    )
    with open_client(folder) as client:
        row = client.get(f"/history/{zipcode}?from={LAST}").json()["months"][0]
    assert (row["price"], row["median_dom"]) == (None, None)
    assert row["inventory"] is not None


BAD_HISTORIES = {
    "letters": ("/history/ABCDE", 422, "not 'ABCDE'"),
    "six digits": ("/history/021390", 422, "not '021390'"),
    "an unknown zip": ("/history/99999", 404, "99999 is not known: the history has 12 zips"),
    "no month": ("/history/ZIP?from=2020", 422, "from: String should match pattern"),
    "month 0": ("/history/ZIP?to=2020-00", 422, "to: String should match pattern"),
    "the wrong way round": ("/history/ZIP?from=2020-02&to=2020-01", 422, "from=2020-02 is after to=2020-01: swap them"),
    "after it": ("/history/ZIP?from=2031-01", 404, "has no month from 2031-01; its history is 2015-06 to 2020-06"),
    "before it": ("/history/ZIP?to=2001-01", 404, "has no month to 2001-01; its history is 2015-06 to 2020-06"),
}


@pytest.mark.parametrize(("path", "status", "told"), BAD_HISTORIES.values(), ids=BAD_HISTORIES)
def test_a_history_that_cannot_be_given_is_told(seen, zipcode, path, status, told):
    answer = seen.get(path.replace("ZIP", zipcode))
    assert answer.status_code == status
    assert told in problem(answer)


# ---------------------------------------------------------------- of both


def test_what_was_written_again_is_read_again(folder, grown, zipcode):
    store = Store.open(str(folder))
    months = store.months("monthly_forecasts")
    with open_client(folder) as client:
        before = client.get(f"/forecasts/{zipcode}?horizon=1").json()["forecasts"][0]["predicted_price"]
        past = client.get(f"/history/{zipcode}?from={LAST}").json()["months"][0]["price"]
        months.write(LAST, months.read(LAST).with_columns(pl.col("predicted_price") * 2))
        vouch(store, "monthly_forecasts")
        publish_history(store, grown.store.read_table(ASSET).with_columns(pl.col("price") * 2))
        after = client.get(f"/forecasts/{zipcode}?horizon=1").json()["forecasts"][0]["predicted_price"]
        assert after == before * 2
        assert client.get(f"/history/{zipcode}?from={LAST}").json()["months"][0]["price"] == past * 2


@pytest.mark.parametrize("how", ["truncated", "no Parquet"])
def test_a_damaged_file_is_a_503_and_the_next_good_one_is_served(folder, zipcode, how):
    calls = {f"/forecasts/{zipcode}?origin={LAST}": f"monthly_forecasts/{LAST}.parquet", f"/history/{zipcode}": KEY}
    for call, key in calls.items():
        data = (folder / key).read_bytes()
        with open_client(folder) as client:
            assert client.get(call).status_code == 200
            (folder / key).write_bytes(data[:-9] if how == "truncated" else b"nothing")
            answer = client.get(call)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert str(folder) not in problem(answer)
            (folder / key).write_bytes(data)
            assert client.get(call).status_code == 200


def test_while_the_store_is_away_the_answer_is_to_come_again(monkeypatch, unused_port, zipcode):
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{unused_port}",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    with open_client("s3://bucket/store") as client:
        for call in (f"/forecasts/{zipcode}", f"/history/{zipcode}"):
            answer = client.get(call)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert problem(answer) == "the store cannot be read now: try later"


def test_keys_limits_and_figures_hold_for_them_too(grown, zipcode):
    with open_client(grown.folder, api_keys="key", rate_limit="4/minute") as client:
        calls = (f"/forecasts/{zipcode}", f"/history/{zipcode}")
        assert [client.get(call).status_code for call in calls] == [401, 401]
        key = {"x-api-key": "key"}
        said = [client.get(call, headers=key).status_code for call in calls * 3]
        assert said == [200, 200, 200, 200, 429, 429]
        metrics = client.get("/metrics").text
        for path in ("/forecasts/{zipcode}", "/history/{zipcode}"):
            assert f'housing_requests_total{{method="GET",path="{path}",status="200"}} 2.0' in metrics


def test_both_are_linked_and_their_examples_are_answers(seen):
    links = seen.get("/").json()["links"]
    assert (links["forecasts"], links["history"]) == ("/forecasts/{zipcode}", "/history/{zipcode}")
    page = seen.get("/openapi.json").json()
    for path, struct in (("/forecasts/{zipcode}", Forecasts), ("/history/{zipcode}", PastMonths)):
        told = page["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
        assert told["schema"] == {"$ref": f"#/components/schemas/{struct.__name__}"}
        msgspec.convert(told["example"], struct)
