"""Under load: champions that change, two who publish at once, and an S3 that is slow, busy or hangs up."""

import http.client
import shutil
import socket
import struct
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from serving_fixtures import Load, process, wait_kept

from housing_assets.store.bundles import list_versions, load_bundle, publish_bundle
from housing_assets.store.layout import Store
from housing_assets.store.pointers import champion_version, point_to

ROW = {"date": "2020-03-31", "zipcode": "02139", "city_full": "Boston"}


def served_version(url: str) -> str:
    return httpx.get(f"{url}/health").json()["model_version"]


def test_a_hundred_reloads_under_load_fail_no_call_and_every_answer_is_of_the_current_model(made, tmp_path):
    shutil.copytree(made.folder, tmp_path / "store")
    store = Store.open(str(tmp_path / "store"))
    first = champion_version(store)
    other = next(v for v in list_versions(store) if v != first)
    with process(str(tmp_path / "store"), tmp_path, HOUSING_RELOAD_SECONDS="0.02") as (_, url):
        stretches = []
        with Load(url, ROW).running() as load:
            for i in range(100):
                version = (other, first)[i % 2]
                point_to(store, version)
                while served_version(url) != version:
                    time.sleep(0.01)
                begun = time.monotonic()
                time.sleep(0.03)
                stretches.append((begun, time.monotonic(), version))
        assert load.statuses == {200}
        within = [
            (said, version)
            for began, ended, _, said in load.answers
            for begun, over, version in stretches
            if begun <= began and ended <= over
        ]
        assert len(within) > 50
        assert all(said["model_version"] == version for said, version in within)
        assert 'outcome="refused"' not in httpx.get(f"{url}/metrics").text


def test_with_two_publishers_at_once_readers_see_whole_versions_only(made, tmp_path):
    shutil.copytree(made.folder, tmp_path / "store")
    store = Store.open(str(tmp_path / "store"))
    champion = load_bundle(store, champion_version(store) or "")
    published: set[str] = {champion.version}

    def publish(who: str) -> None:
        for i in range(8):
            facts = {"months": {"train": ["2019-01", "2019-09"]}, "who": f"{who}{i}"}
            version = publish_bundle(store, "tuned", champion.files, facts)
            published.add(version)
            point_to(store, version)

    with process(str(tmp_path / "store"), tmp_path, HOUSING_RELOAD_SECONDS="0.02") as (_, url):
        with Load(url, ROW).running() as load:
            publishers = [threading.Thread(target=publish, args=(who,)) for who in "ab"]
            for publisher in publishers:
                publisher.start()
            for publisher in publishers:
                publisher.join()
            newest = champion_version(store)
            for _ in range(300):
                if served_version(url) == newest:
                    break
                time.sleep(0.05)
        assert load.statuses == {200}
        assert len(published) == 17
        assert {said["model_version"] for *_, said in load.answers} <= published
        assert served_version(url) == newest
        assert 'outcome="refused"' not in httpx.get(f"{url}/metrics").text


# ---------------------------------------------------------------- S3 that fails


class FaultyS3:
    """A proxy before an S3 server: `well`, `slow` (20 s), `busy` (503) or `reset`."""

    SLOW = 20

    def __init__(self, behind: str) -> None:
        self.mode, self.asked = "well", 0
        there = urlsplit(behind).netloc
        faulty = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self) -> None:
                faulty.asked += 1
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                if faulty.mode == "reset":
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.close_connection = True
                    self.connection.close()
                    return
                if faulty.mode == "busy":
                    self.send_response(503, "Slow Down")
                    self.send_header("content-length", "0")
                    self.end_headers()
                    return
                if faulty.mode == "slow":
                    faulty.over.wait(faulty.SLOW)
                server = http.client.HTTPConnection(there, timeout=30)
                server.request(self.command, self.path, body, dict(self.headers))
                answer = server.getresponse()
                said = answer.read()
                self.send_response_only(answer.status, answer.reason)
                for name, value in answer.getheaders():
                    if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                        self.send_header(name, value)
                self.send_header("content-length", answer.getheader("content-length") or str(len(said)))
                self.end_headers()
                self.wfile.write(said)
                server.close()

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = pass_on  # noqa: N815

            def log_message(self, *told) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address) -> None:
                pass

        self.over = threading.Event()
        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.over.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def faulty(s3_env, bucket, made) -> Iterator[tuple[FaultyS3, str]]:
    """A copy of the store in S3 behind a proxy; gives the proxy and the store's address."""
    there = Store.open(f"s3://{bucket}/store")
    for prefix in ("models/", "monthly_predictions/", "interval_calibration/", "checks/interval_calibration/"):
        for key in made.store.blobs.keys(prefix):
            there.blobs.write(key, made.store.blobs.read(key))
    proxy = FaultyS3(s3_env)
    yield proxy, f"s3://{bucket}/store"
    proxy.close()


FAULTS = ["slow", "busy", "reset"]


def test_while_s3_fails_no_prediction_does_and_a_new_champion_comes_when_it_is_well_again(faulty, s3_env, tmp_path):
    proxy, uri = faulty
    store = Store.open(uri)
    first = champion_version(store)
    other = next(v for v in list_versions(store) if v != first)
    env = {"AWS_ENDPOINT_URL": proxy.url, "HOUSING_RELOAD_SECONDS": "0.1"}
    with process(uri, tmp_path, **env) as (_, url):
        for mode in ("busy", "reset", "slow"):
            asked, proxy.mode = proxy.asked, mode
            with Load(url, ROW).running() as load:
                time.sleep(2)
            assert proxy.asked > asked
            assert load.statuses == {200}
            assert len(load.answers) > 20
            assert httpx.get(f"{url}/health/ready").status_code == 200
        proxy.over.set()
        proxy.mode = "well"
        point_to(store, other)
        with Load(url, ROW).running() as load:
            for _ in range(600):
                if served_version(url) == other:
                    break
                time.sleep(0.05)
        assert served_version(url) == other
        assert load.statuses == {200}


@pytest.mark.parametrize("mode", FAULTS)
def test_it_starts_from_its_copy_while_s3_fails(faulty, tmp_path, mode):
    proxy, uri = faulty
    kept = {"AWS_ENDPOINT_URL": proxy.url, "HOUSING_KEEP_FOLDER": str(tmp_path / "kept")}
    with process(uri, tmp_path, **kept) as (_, url):
        expected = httpx.post(f"{url}/predict", json=[ROW]).json()
        wait_kept(tmp_path / "kept")
    proxy.mode = mode
    with process(uri, tmp_path, **kept, HOUSING_START_SECONDS="0.5") as (_, url):
        assert httpx.post(f"{url}/predict", json=[ROW]).json() == expected
        assert "from its copy" in httpx.get(f"{url}/health").json()["reason"]


def test_without_a_copy_it_waits_for_s3_and_becomes_ready_by_itself(faulty, tmp_path):
    proxy, uri = faulty
    proxy.mode = "busy"
    env = {"AWS_ENDPOINT_URL": proxy.url, "HOUSING_RELOAD_SECONDS": "0.1", "HOUSING_KEEP_FOLDER": "none"}
    with process(uri, tmp_path, wait=False, **env) as (server, url):
        for _ in range(400):
            health = httpx.get(f"{url}/health").json()
            if "refused" in health["reason"]:
                break
            time.sleep(0.05)
        assert health["status"] == "unhealthy"
        assert httpx.get(f"{url}/health/live").status_code == 200
        answer = httpx.post(f"{url}/predict", json=[ROW])
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        proxy.mode = "well"
        for _ in range(600):
            if httpx.get(f"{url}/health/ready").status_code == 200:
                break
            time.sleep(0.05)
        assert httpx.post(f"{url}/predict", json=[ROW]).status_code == 200
        assert server.poll() is None


def test_the_folder_of_the_copy_may_be_read_only(made, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with process(str(made.folder), tmp_path, HOUSING_KEEP_FOLDER=str(Path("file") / "kept")) as (_, url):
        assert httpx.post(f"{url}/predict", json=[ROW]).status_code == 200
