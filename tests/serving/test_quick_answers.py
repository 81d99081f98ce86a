"""A call that is answered from look-ups alone gets what every other way of the same rows gets, byte for byte."""

import json
import random

import polars as pl
import pytest
from serving_fixtures import open_client, rows_of, wait_ready

from housing_assets.store.histories import read_history
from housing_assets.store.pointers import load_champion, newest_intervals
from housing_serving.json_rows import decode_rows
from housing_serving.predictor import Predictor
from housing_serving.quick_answers import QUICK_BYTES, quick_answer
from housing_serving.routes.predictions import json_answer
from housing_serving.rows import BadRowsError

QUICK = {"content-type": "application/json"}
USUAL = {"content-type": "application/json; charset=utf-8"}


@pytest.fixture(scope="module")
def predictor(grown) -> Predictor:
    champion = load_champion(grown.store)
    predictor = Predictor(champion, newest_intervals(grown.store, champion.version))
    return predictor.with_history(read_history(grown.store))


@pytest.fixture(scope="module")
def known(grown, predictor) -> list[dict]:
    """Raw rows of the newest month that the history has tables of, without nulls and without their city."""
    rows = rows_of(grown.store.months("raw_splits").read(grown.settings.months[-1]))
    rows = [{name: value for name, value in row.items() if value is not None} for row in rows]
    rows = [row | {"city_full": None} for row in rows if row["zipcode"] in predictor.history_prices.history.zip_index]
    return [row for row in rows if quick_answer(predictor, json.dumps([row]).encode(), 1)]


def usual_answer(predictor: Predictor, body: bytes, most: int) -> bytes | None:
    """What the operation answers; None if it refuses."""
    try:
        return json_answer(predictor, decode_rows(body, most), True)
    except BadRowsError:
        return None


CHANGES = [
    {},
    {"price": None},
    {"price": 0},
    {"price": 0.5},
    {"price": 250_000.5},
    {"price": -1},
    {"price": "1"},
    {"zipcode": "99999"},
    {"zipcode": "x"},
    {"zipcode": 2139},
    {"date": "1999-01-31"},
    {"date": "2150-01-31"},
    {"date": "2023-13-31"},
    {"city_full": ""},
    {"city_full": "Boston-Cambridge-Newton"},
    {"city_full": "Atlantis"},
    {"median_list_price": 90_000_000},
    {"median_list_price": 1e9},
    {"colour": "red"},
]


@pytest.mark.parametrize("change", CHANGES, ids=[json.dumps(change) for change in CHANGES])
@pytest.mark.parametrize("count", [1, 3])
def test_a_row_of_any_kind_is_answered_as_by_the_operation_or_left_to_it(predictor, known, change, count):
    rows = [*random.Random(count).choices(known, k=count - 1), {**known[0], **change}]
    body = json.dumps(rows).encode()
    quick = quick_answer(predictor, body, 3)
    assert quick is None or quick == (usual_answer(predictor, body, 3), count)


def test_rows_with_a_history_are_answered_quickly_alone_and_together(predictor, known):
    assert known
    for count in (1, 2, 7):
        body = json.dumps(known[:count]).encode()
        assert quick_answer(predictor, body, count) == (usual_answer(predictor, body, count), len(known[:count]))
        assert quick_answer(predictor, body, len(known[:count]) - 1) is None


@pytest.mark.parametrize("body", [b"", b"[]", b"[", b"{}", b"null", b"[[]]", b"[" * 5_000, b"\xff", b"[1e999]"])
def test_a_body_without_rows_is_left_to_the_operation(predictor, body):
    assert quick_answer(predictor, body, 10) is None


def test_a_key_that_is_there_twice_is_left_to_the_operation(predictor, known):
    body = json.dumps(known[:1]).encode().replace(b"[{", b'[{"price": 7, ', 1)
    assert quick_answer(predictor, body, 10) is None


def test_over_http_both_ways_give_the_same_bytes_ids_metrics_and_refusals(grown, known):
    with open_client(grown.folder) as client:
        wait_ready(client)
        refused = {**known[0], "price": -1}
        for rows in (known[:1], known[:5], [refused], [{**known[0], "zipcode": "99999"}]):
            body = json.dumps(rows)
            assert len(body) < QUICK_BYTES
            quick, usual = (
                client.post("/predict", content=body, headers={**headers, "x-request-id": "mine"})
                for headers in (QUICK, USUAL)
            )
            assert (quick.status_code, quick.content) == (usual.status_code, usual.content)
            assert quick.headers == usual.headers
            assert quick.headers["x-request-id"] == "mine"
        text = client.get("/metrics").text
        assert 'housing_requests_total{method="POST",path="/predict",status="200"} 6.0' in text
        assert 'housing_requests_total{method="POST",path="/predict",status="422"} 2.0' in text
        assert f"housing_rows_total {2.0 * (2 + len(known[:5]))}" in text


def test_keys_and_limits_hold_for_quick_answers(grown, known):
    body = json.dumps(known[:1])
    with open_client(grown.folder, api_keys="one", rate_limit="4/minute") as client:
        wait_ready(client)
        assert client.post("/predict", content=body, headers=QUICK).status_code == 401
        said = [client.post("/predict", content=body, headers={**QUICK, "x-api-key": "one"}) for _ in range(5)]
    assert [a.status_code for a in said] == [200, 200, 200, 200, 429]


def test_each_request_has_a_line_in_the_log(grown, known, capsys):
    with open_client(grown.folder) as client:
        wait_ready(client)
        client.post("/predict", json=known[:1], headers={"x-request-id": "mine"})
        client.post("/predict", json=[], headers={"x-request-id": "other"})
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    mine, other = (next(line for line in lines if line.get("id") == name) for name in ("mine", "other"))
    assert mine | {"milliseconds": 0, "time": ""} == {
        "level": "INFO",
        "logger": "housing_serving.requests",
        "message": "request",
        "id": "mine",
        "method": "POST",
        "path": "/predict",
        "status": 200,
        "milliseconds": 0,
        "time": "",
    }
    assert (other["status"], other["problem"]) == (422, "not_valid")
    assert pl.Series([mine["time"]]).str.to_datetime(time_zone="UTC").is_not_null().all()
