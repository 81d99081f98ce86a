"""API keys, and MLflow's scoring protocol."""

import json

import pytest
from pydantic import ValidationError
from serving_fixtures import open_client, wait_ready

from housing_serving.settings import ServingSettings

ROWS = [
    {"date": "2020-03-31", "zipcode": "02139", "city_full": "Boston", "median_list_price": 800_000.0},
    {"date": "2020-02-29", "zipcode": "99999", "city_full": None, "median_list_price": None},
]
CSV = """date,zipcode,city_full,median_list_price
2020-03-31,02139,Boston,800000
2020-02-29,99999,,
"""


@pytest.fixture(scope="module")
def guarded(made):
    with open_client(made.folder, api_keys="first-key, second-key") as client:
        wait_ready(client)
        yield client


@pytest.mark.parametrize("key", ["first-key", "second-key"])
def test_a_key_opens_every_call(guarded, key):
    assert guarded.post("/predict", json=ROWS, headers={"x-api-key": key}).status_code == 200
    assert guarded.get("/model", headers={"x-api-key": key}).status_code == 200


@pytest.mark.parametrize("key", [None, "", "first", "first-key,second-key", "FIRST-KEY"])
@pytest.mark.parametrize("path", ["/", "/model", "/predictions", "/docs", "/openapi.json", "/nothing"])
def test_without_a_key_nothing_is_told(guarded, key, path):
    answer = guarded.get(path, headers={} if key is None else {"x-api-key": key})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"]
    assert "first-key" not in answer.text


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready", "/metrics", "/ping"])
def test_health_and_metrics_need_no_key(guarded, path):
    assert guarded.get(path).status_code == 200


# ---------------------------------------------------------------- behind a load balancer


@pytest.fixture(scope="module")
def under_api(made):
    with open_client(made.folder, api_keys="first-key", api_root_path="/api", rate_limit="4/hour") as client:
        wait_ready(client)
        yield client


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready", "/metrics"])
def test_under_a_path_health_and_metrics_are_open_and_never_limited(under_api, path):
    for _ in range(6):
        assert under_api.get(f"/api{path}").status_code == 200
        assert under_api.get(path).status_code == 200  # as the balancer's health check and the dashboard ask


def test_under_a_path_every_call_works_with_and_without_it_and_links_keep_it(under_api):
    key = {"x-api-key": "first-key"}
    assert under_api.post("/api/predict", json=ROWS).status_code == 401
    under, direct = (under_api.post(f"{root}/predict", json=ROWS, headers=key) for root in ("/api", ""))
    assert under.status_code == 200
    assert under.json() == direct.json()
    assert "/api/openapi.json" in under_api.get("/api/docs", headers=key).text
    assert under_api.get("/api/", headers=key).json()["links"]["model"] == "/api/model"


@pytest.mark.parametrize("path", ["api", "/api/", "/"])
def test_a_path_that_is_none_is_refused(path):
    with pytest.raises(ValidationError, match="such as /api"):
        ServingSettings.model_validate({"api_root_path": path})


# ---------------------------------------------------------------- MLflow's protocol


def test_every_form_of_a_body_gets_the_same_predictions(client):
    expected = client.post("/predict", json=ROWS).json()["predictions"]
    columns = list(ROWS[0])
    split = {"columns": columns, "data": [[row[c] for c in columns] for row in ROWS]}
    for body in (
        {"dataframe_records": ROWS},
        {"dataframe_split": split},
        {"dataframe_split": {"index": [0, 1], **split}},
    ):
        assert client.post("/invocations", json=body).json() == {"predictions": expected}
    for text in (CSV, "\ufeff" + CSV, CSV.replace("\n", "\r\n")):
        answer = client.post("/invocations", content=text.encode(), headers={"content-type": "text/csv"})
        assert answer.json() == {"predictions": expected}


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b"{", 400, "no JSON"),
        (b"[]", 422, "send dataframe_split, dataframe_records, or CSV"),
        (b'{"inputs": []}', 422, "send dataframe_split"),
        (b'{"dataframe_split": {"columns": ["date"]}}', 422, "needs `columns` and `data`"),
        (b'{"dataframe_split": {"columns": ["date"], "data": [[1, 2]]}}', 422, "needs 1 values"),
        (b'{"dataframe_split": {"columns": ["date", "date"], "data": [[1, 2]]}}', 422, "is there twice: send it once"),
        (b'{"dataframe_records": [{"date": "2020-01-31"}]}', 422, "is missing: it is required"),
        (b'{"dataframe_records": 7}', 422, "send a list of rows"),
        (b'{"dataframe_records": []}', 422, "no rows: send at least one"),
        (
            b'{"dataframe_records": [{"date": "2020-01-31", "zipcode": "02139", "bus": 1, "bus": 2}]}',
            400,
            "there twice",
        ),
        (b'{"dataframe_split": {"columns": ["date"], "data": []}}', 422, "no rows: send at least one"),
        (b'{"dataframe_split": {"columns": "date", "data": []}}', 422, "needs `columns` and `data`"),
    ],
)
def test_a_body_of_another_form_is_told(client, body, status, told):
    answer = client.post("/invocations", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert told in answer.text


@pytest.mark.parametrize(
    ("text", "status", "told"),
    [
        (b"", 422, "send a header and rows"),
        (b"date,zipcode\n", 422, "no rows"),
        (b"date,zipcode\n2020-01-31\n", 422, "needs 2 fields"),
        (b"date,zipcode,price\n2020-01-31,02139,cheap\n", 422, "'cheap' is no number"),
        (b"date,zipcode,price\n2020-01-31,02139,nan\n", 422, "'nan' is no number"),
        (b"date,zipcode,price\n2020-01-31,02139,1e400\n", 422, "'1e400' is no number"),
        (b"date,zipcode,prise\n2020-01-31,02139,1\n", 422, "did you mean 'price'"),
        (b"date,zipcode\n2020-01-31,2139\n", 422, "is no zip code"),
        (b"date,zipcode,zipcode\n2020-01-31,02139,02140\n", 422, "is there twice: send it once"),
        (b"\xff\xfe", 400, "no CSV"),
    ],
)
def test_a_csv_that_cannot_be_read_is_told(client, text, status, told):
    answer = client.post("/invocations", content=text, headers={"content-type": "text/csv"})
    assert answer.status_code == status
    assert told in json.dumps(answer.json(), ensure_ascii=False)
