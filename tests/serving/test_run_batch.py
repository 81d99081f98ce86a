"""Months predicted anew through a real Dagster, and what is said while it is not there."""

import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from platform_fixtures import HELD, dagster_dev
from serving_fixtures import open_client

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def dagster(made, tmp_path_factory) -> Iterator[tuple[Path, str]]:
    """Dagster's webserver and daemon over a copy of the platform; gives its store and address."""
    home = tmp_path_factory.mktemp("dagster")
    shutil.copytree(made.folder, home / "store")
    with dagster_dev(made.source, home) as url:
        yield home / "store", url


def ended(client, run_id: str) -> dict:
    for _ in range(900):
        found = client.get(f"/run_batch/{run_id}").json()
        if found["status"] in ("SUCCESS", "FAILURE", "CANCELED"):
            return found
        time.sleep(0.1)
    pytest.fail(f"still runs: {found}")


def test_months_are_predicted_by_one_run_however_often_they_are_asked_for(dagster):
    store, url = dagster
    files = [store / "monthly_predictions" / f"{month}.parquet" for month in HELD[:2]]
    before = [file.stat().st_mtime_ns for file in files]
    with open_client(store, dagster_url=url) as client, ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(client.post, "/run_batch", json={"months": HELD[:2]}) for _ in range(4)]
        answers = [a.result() for a in asked]
        assert {a.status_code for a in answers} == {202}
        told = [a.json() for a in answers]
        assert len({t["run_id"] for t in told}) == 1
        assert sorted(t["launched"] for t in told) == [False, False, False, True]
        assert told[0]["months"] == HELD[:2]
        assert told[0]["status_url"] == f"/run_batch/{told[0]['run_id']}"
        found = ended(client, told[0]["run_id"])
        assert (found["status"], found["months"]) == ("SUCCESS", HELD[:2])
        assert all(file.stat().st_mtime_ns > was for file, was in zip(files, before, strict=True))
        again = client.post("/run_batch", json={"months": HELD[:1]}).json()
        assert again["run_id"] != told[0]["run_id"]
        assert ended(client, again["run_id"])["status"] == "SUCCESS"


def test_months_with_a_gap_take_a_run_for_each_stretch_and_none_means_all(dagster):
    store, url = dagster
    with open_client(store, dagster_url=url) as client:
        told = client.post("/run_batch", json={"months": [HELD[2], HELD[0]]}).json()
        assert [run["months"] for run in told["runs"]] == [[HELD[0]], [HELD[2]]]
        assert [ended(client, run["run_id"])["status"] for run in told["runs"]] == ["SUCCESS"] * 2
        every = client.post("/run_batch").json()
        assert every["months"] == HELD
        assert ended(client, every["run_id"])["status"] == "SUCCESS"
        absent = client.get("/run_batch/00000000-0000-0000-0000-000000000000")
        assert absent.status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"months": ["2031-01"]}, 422, f"2031-01 cannot be predicted: {HELD[0]} to {HELD[-1]} can"),
        ({"months": ["2019-01"]}, 422, "2019-01 cannot be predicted"),
        ({"months": ["January"]}, 422, "YYYY-MM"),
        ({"months": []}, 422, "length >= 1"),
        ({"month": HELD[0]}, 422, "unknown field"),
        ([], 422, "Expected `object`"),
    ],
)
def test_months_that_cannot_be_predicted_are_told(dagster, body, status, told):
    store, url = dagster
    with open_client(store, dagster_url=url) as client:
        answer = client.post("/run_batch", json=body)
        assert answer.status_code == status
        assert told in answer.json()["detail"]


def test_without_dagster_it_says_so(made):
    with open_client(made.folder, dagster_url=NOWHERE) as client:
        run = client.get("/run_batch/00000000-0000-0000-0000-000000000000")
        for answer in (client.post("/run_batch"), client.post("/run_batch", json={"months": HELD}), run):
            assert answer.status_code == 503
            assert answer.json()["title"] == "Dagster is not there"
            assert "ConnectError" in answer.json()["detail"]
            assert answer.headers["retry-after"]
        assert client.post("/run_batch", content=b"{", headers={"content-type": "application/json"}).status_code == 400


def test_what_is_no_dagster_is_told(made, s3_server):
    with open_client(made.folder, dagster_url=s3_server) as client:
        assert client.post("/run_batch").status_code == 503
