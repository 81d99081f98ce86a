"""Limits: of bodies, of calls at a time, of calls of one client; and clients that are slow or lie."""

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from pydantic import ValidationError
from serving_fixtures import open_client, process, wait_ready

from housing_serving.settings import ServingSettings

BODY = json.dumps([{"date": "2020-03-31", "zipcode": "02139"}]).encode()
JSON = {"content-type": "application/json"}


def test_one_client_may_call_so_often_and_another_still_can(made):
    with open_client(made.folder, rate_limit="3/minute", api_keys="one,two") as client:
        wait_ready(client)
        said = [client.post("/predict", content=BODY, headers={**JSON, "x-api-key": "one"}) for _ in range(5)]
        assert [a.status_code for a in said] == [200, 200, 200, 429, 429]
        assert said[-1].json()["title"] == "Too many requests"
        assert 1 <= int(said[-1].headers["retry-after"]) <= 60
        assert client.post("/predict", content=BODY, headers={**JSON, "x-api-key": "two"}).status_code == 200
        assert all(client.get("/health/live").status_code == 200 for _ in range(5))
        assert 'housing_errors_total{kind="too_often"} 2.0' in client.get("/metrics").text


def test_without_keys_another_key_for_each_call_escapes_no_limit(made):
    with open_client(made.folder, rate_limit="3/minute") as client:
        wait_ready(client)
        said = [client.get("/model", headers={"x-api-key": f"random-{i}"}).status_code for i in range(5)]
        assert said == [200, 200, 200, 429, 429]


def test_who_guesses_keys_is_limited_by_address_and_who_has_one_is_not_held_up(made):
    with open_client(made.folder, rate_limit="3/minute", api_keys="one") as client:
        wait_ready(client)
        said = [client.get("/model", headers={"x-api-key": f"guess-{i}"}).status_code for i in range(5)]
        assert said == [401, 401, 401, 429, 429]
        assert client.get("/model").status_code == 429
        assert client.get("/model", headers={"x-api-key": "one"}).status_code == 200


@pytest.mark.parametrize("rate", ["often", "0", "3/fortnight"])
def test_a_rate_that_is_none_stops_the_start(rate):
    with pytest.raises(ValidationError, match="100/second"):
        ServingSettings(rate_limit=rate)


@pytest.mark.parametrize(("folder", "keeps_copy"), [("", True), ("kept", True), ("none", False)])
def test_no_copy_is_kept_if_the_variable_says_none_and_an_empty_one_counts_as_unset(monkeypatch, folder, keeps_copy):
    monkeypatch.setenv("HOUSING_KEEP_FOLDER", folder)
    assert ServingSettings().keeps_copy == keeps_copy


def send(port: int, head: str, body: bytes = b"", wait: float = 10) -> bytes:
    """What a server says to bytes as they are."""
    with socket.create_connection(("127.0.0.1", port), timeout=wait) as client:
        client.sendall(head.replace("\n", "\r\n").encode() + b"\r\n" + body)
        said = b""
        while b"\r\n\r\n" not in said and (part := client.recv(65536)):
            said += part
        return said


POST = "POST /predict HTTP/1.1\nHost: here\nContent-Type: application/json\n"


@pytest.fixture(scope="module")
def impatient(made, tmp_path_factory):
    """A server that waits a second for bodies, and takes eight calls at a time."""
    env = {"HOUSING_BODY_SECONDS": "1", "HOUSING_MAX_CONCURRENT": "8", "HOUSING_MAX_BODY_MB": "0.1"}
    with process(str(made.folder), tmp_path_factory.mktemp("impatient"), **env) as (_, url):
        yield int(url.rpartition(":")[2])


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        (f"{POST}Content-Length: {len(BODY)}\n", BODY, b"200"),
        (f"{POST}Content-Length: {len(BODY) + 9}\n", BODY, b"408"),
        (f"{POST}Content-Length: {len(BODY) - 9}\n", BODY, b"400"),
        (f"{POST}Content-Length: -1\n", BODY, b"400"),
        (f"{POST}Content-Length: 1e3\n", BODY, b"400"),
        (f"{POST}Content-Length: 99999999999\n", BODY, b"413"),
        (f"{POST}Content-Length: {len(BODY)}\nContent-Length: 7\n", BODY, b"400"),
        (POST, b"", b"400"),
        (f"{POST}Transfer-Encoding: chunked\n", b"5\r\n[{\"da\r\n", b"408"),
        (f"{POST}Transfer-Encoding: chunked\n", b"FFFFFFF\r\n" + b" " * 200_000, b"413"),
        (f"{POST}Transfer-Encoding: chunked\n", b"nonsense\r\n", b"400"),
        (f"{POST}Content-Encoding: gzip\nContent-Length: 20\n", b"\x1f\x8b" + b"\0" * 18, b"415"),
        ("nonsense\n", b"", b"400"),
    ],
)  # fmt: skip
def test_a_body_that_is_not_as_it_says_gets_an_answer(impatient, head, body, status):
    assert send(impatient, head, body).split(b" ", 2)[1] == status


def test_the_connection_of_an_endless_body_ends_after_its_answer(impatient):
    head = f"{POST}Transfer-Encoding: chunked\n".replace("\n", "\r\n").encode() + b"\r\n"
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    ends = time.monotonic() + 30
    with socket.create_connection(("127.0.0.1", impatient), timeout=20) as client:
        client.sendall(head + 4 * chunk)
        said = client.recv(65_536)
        is_over = False
        while not is_over and time.monotonic() < ends:
            try:
                client.sendall(chunk)
                time.sleep(0.01)
            except ConnectionError:
                is_over = True
    assert is_over
    assert said.split(b" ", 2)[1] == b"413"
    assert b"\r\nconnection: close\r\n" in said.lower()


def test_a_client_that_sends_all_of_a_body_that_is_too_large_gets_the_answer(impatient):
    body = b" " * 20_000_000
    with httpx.Client(base_url=f"http://127.0.0.1:{impatient}", timeout=20) as client:
        assert client.post("/predict", content=body, headers=JSON).status_code == 413
        assert client.post("/predict", content=iter([body, body]), headers=JSON).status_code == 413
        assert client.post("/predict", content=BODY, headers=JSON).status_code == 200


def test_slow_bodies_fill_no_more_than_their_places_and_the_watchers_get_answers(impatient):
    url = f"http://127.0.0.1:{impatient}"
    half = f"{POST}Content-Length: {len(BODY)}\n".replace("\n", "\r\n").encode() + b"\r\n" + BODY[:9]
    slow = [socket.create_connection(("127.0.0.1", impatient), timeout=20) for _ in range(200)]
    try:
        for client in slow:
            client.sendall(half)
        for path in ("/health", "/health/ready", "/metrics", "/ping"):
            assert httpx.get(url + path, timeout=5).status_code == 200
        statuses = [client.recv(65536).split(b" ", 2)[1] for client in slow]
    finally:
        for client in slow:
            client.close()
    # The first eight are waited for; the others are told at once to come back.
    assert set(statuses) <= {b"408", b"503"}
    assert statuses.count(b"408") >= 8
    assert httpx.post(f"{url}/predict", content=BODY, headers=JSON).status_code == 200


def test_two_hundred_bodies_at_once_are_all_answered(made, tmp_path):
    rows = json.dumps(json.loads(BODY) * 2_000).encode()
    with process(str(made.folder), tmp_path, HOUSING_MAX_CONCURRENT="16") as (server, url):
        seen, over = [], threading.Event()

        def watch() -> None:
            with httpx.Client(timeout=20) as client:
                while not over.is_set():
                    seen.append(client.get(f"{url}/health/ready").status_code)
                    time.sleep(0.05)

        watcher = threading.Thread(target=watch)
        watcher.start()
        with (
            httpx.Client(timeout=240, limits=httpx.Limits(max_connections=200)) as client,
            ThreadPoolExecutor(200) as pool,
        ):
            calls = [pool.submit(client.post, f"{url}/predict", content=rows, headers=JSON) for _ in range(200)]
            answers = [call.result() for call in calls]
        over.set()
        watcher.join()
        assert set(seen) == {200}
        statuses = [a.status_code for a in answers]
        assert set(statuses) <= {200, 503}
        assert statuses.count(200) >= 16
        assert all(len(a.json()["predictions"]) == 2_000 for a in answers if a.status_code == 200)
        busy = [a for a in answers if a.status_code == 503]
        assert all(a.json()["title"] == "The server is busy" and a.headers["retry-after"] for a in busy)
        assert server.poll() is None
