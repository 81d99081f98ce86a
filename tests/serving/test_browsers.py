"""Browser applications on another origin, and HEAD where GET is."""

import httpx
import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError
from serving_fixtures import process, wait_ready

from housing_serving.app import create_app
from housing_serving.settings import ServingSettings

HERE, THERE = "https://app.example.com", "https://other.example.com"
ROWS = [{"date": "2020-03-31", "zipcode": "02139"}]


@pytest.fixture(scope="module")
def shared(made):
    origins = f"{HERE}, http://localhost:3000"
    app = create_app(
        ServingSettings.model_validate(
            {"store_uri": str(made.folder), "keep_folder": "", "api_keys": "first-key", "rate_limit": "2/hour"}
            | {"cors_origins": origins}
        )
    )
    app.add_api_route("/broken", lambda: 1 / 0)
    with TestClient(app, raise_server_exceptions=False) as client:
        wait_ready(client)
        yield client


@pytest.mark.parametrize("origin", [HERE, "http://localhost:3000"])
@pytest.mark.parametrize("path", ["/predict", "/model", "/health"])
def test_a_preflight_is_answered_without_a_key_however_often(shared, origin, path):
    asked = {"origin": origin, "access-control-request-method": "POST"}
    asked["access-control-request-headers"] = "content-type,x-api-key,x-request-id"
    for _ in range(4):
        answer = shared.options(path, headers=asked)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == origin
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert "X-API-Key" in answer.headers["access-control-allow-headers"]


def test_errors_can_be_read_by_the_application(shared):
    statuses = []
    for path, key in (
        ("/model", "wrong"),
        ("/broken", "first-key"),
        ("/nothing", "first-key"),
        ("/model", "first-key"),
    ):
        answer = shared.get(path, headers={"origin": HERE, "x-api-key": key})
        statuses.append(answer.status_code)
        assert answer.headers["access-control-allow-origin"] == HERE
        assert "Retry-After" in answer.headers["access-control-expose-headers"]
        assert answer.headers["x-request-id"]
        assert answer.headers["content-type"] == "application/problem+json"
    assert statuses == [401, 500, 404, 429]


def test_another_origin_is_given_nothing(shared, client):
    asked = {"origin": THERE, "access-control-request-method": "POST"}
    assert "access-control-allow-origin" not in shared.options("/predict", headers=asked).headers
    assert "access-control-allow-origin" not in shared.get("/health", headers={"origin": THERE}).headers
    for origin in (HERE, "null"):
        assert not [h for h in client.get("/health", headers={"origin": origin}).headers if "access-control" in h]


@pytest.mark.parametrize(
    "origins",
    ["*", "app.example.com", "https://app.example.com/", "https://app.example.com/path", "ftp://host", "null",
     "https://", "https://*.example.com", "https://u:p@host", "https://host:x", "https://host?q", "https://host#f",
     "https://App.example.com", "https://host:443", f"{HERE},*", "https://a b", "https://host:0"],
)  # fmt: skip
def test_what_is_no_origin_stops_the_start(origins):
    with pytest.raises(ValidationError, match="is no origin: write scheme://host"):
        ServingSettings.model_validate({"cors_origins": origins})


def test_origins_are_listed():
    settings = ServingSettings.model_validate({"cors_origins": f" {HERE},http://127.0.0.1:8080 ,https://[::1]:1,"})
    assert settings.origins == (HERE, "http://127.0.0.1:8080", "https://[::1]:1")


def test_head_is_answered_wherever_get_is(made, tmp_path):
    with process(str(made.folder), tmp_path) as (_, url), httpx.Client(base_url=url) as client:
        paths = [path for path, told in client.get("/openapi.json").json()["paths"].items() if "get" in told]
        assert len(paths) > 10
        assert not [path for path, told in client.get("/openapi.json").json()["paths"].items() if "head" in told]
        for pattern in [*paths, "/docs", "/redoc", "/openapi.json", "/nothing"]:
            path = pattern.format(zipcode="02139", run_id="0" * 8 + "-0000" * 3 + "-" + "0" * 12)
            got, head = client.get(path), client.head(path)
            assert (head.status_code, head.content) == (got.status_code, b""), path
            changing = {"date", "x-request-id", *(("content-length",) if path == "/metrics" else ())}
            assert [h for h in head.headers.items() if h[0] not in changing] == [
                h for h in got.headers.items() if h[0] not in changing
            ]
        assert client.head("/predict").status_code == 405
        assert set(client.delete("/health").headers["allow"].split(", ")) == {"GET", "HEAD"}
        assert client.get("/health").json()["status"] == "healthy"
