"""The API under load from outside its process: wrk, 16 connections, all in one run of one server."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import httpx
import polars as pl
import psutil
import pyarrow as pa
from figures import Figure

from housing_assets.core.panel.schema import COLUMN_NAMES
from housing_assets.store.bundles import list_versions
from housing_assets.store.histories import copy_history, history_stamps
from housing_assets.store.layout import Store
from housing_assets.store.pointers import champion_version, point_to

sys.path.insert(0, str(Path(__file__).parents[1]))
from loop_pauses import longest_pause

ARROW = "application/vnd.apache.arrow.stream"
JSON = "application/json"
ROUNDS, SECONDS, CONNECTIONS = 3, 5, 16
SETTLED = 15
_WRK = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local file = io.open("{}")
wrk.body = file:read("*a")
"""


@contextlib.contextmanager
def server(store: Store, **env: str) -> Iterator[tuple[psutil.Process, str, float]]:
    """A running server: its process, address, and seconds until it was ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {"HOUSING_STORE_URI": store.uri, "HOUSING_RELOAD_SECONDS": "0.1", "HOUSING_KEEP_FOLDER": "none", **env}
    command = [sys.executable, str(Path(__file__).parent / "server.py"), str(port)]
    begun = time.perf_counter()
    process = subprocess.Popen(command, env={**os.environ, **own}, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{url}/health/ready").status_code == 200:
                    break
            if process.poll() is not None:
                raise RuntimeError("the server of the benchmark did not start")
            time.sleep(0.01)
        yield psutil.Process(process.pid), url, time.perf_counter() - begun
    finally:
        process.terminate()
        process.wait(30)


def bodies(store: Store) -> tuple[bytes, bytes, bytes]:
    """One row as JSON, 1,000 rows as JSON, and the same as an Arrow stream."""
    months = store.months("cleaned")
    frame = months.read_many(months.available()[-12:], COLUMN_NAMES)
    frame = pl.concat([frame] * (1 + 1_000 // frame.height)).head(1_000)
    told = [
        {name: value for name, value in row.items() if value is not None}
        for row in frame.with_columns(pl.col("date").cast(pl.String)).to_dicts()
    ]
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return json.dumps(told[:1]).encode(), json.dumps(told).encode(), sink.getvalue().to_pybytes()


def wrk(url: str, script: Path, seconds: float = SECONDS) -> tuple[float, float, int]:
    """Requests a second, milliseconds of the 99th percentile, and failed answers."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:g}s", "--latency", "-s", str(script), url]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    tail = re.search(r"99%\s+([\d.]+)(us|ms|s)", said)
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    lost = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    if not rate or not tail:
        raise RuntimeError(f"wrk said: {said}")
    failures = (int(failed[1]) if failed else 0) + (sum(map(int, lost.groups())) if lost else 0)
    return float(rate[1]), float(tail[1]) * {"us": 1e-3, "ms": 1, "s": 1e3}[tail[2]], failures


def cpu_milliseconds(
    process: psutil.Process, url: str, body: bytes, kind: str, calls: int = 60, status: int = 200
) -> float:
    """CPU of the server for one call: median of five runs of calls, one after the other.

    Raises:
        RuntimeError: a call gets another status.
    """
    found = []
    with httpx.Client(timeout=60, headers={"content-type": kind}) as client:

        def call() -> None:
            answer = client.post(url, content=body)
            if answer.status_code != status:
                raise RuntimeError(f"the server said {answer.status_code}: {answer.text[:200]}")

        call()
        for _ in range(5):
            before = sum(process.cpu_times()[:2])
            for _ in range(calls // 5):
                call()
            found.append(1e3 * (sum(process.cpu_times()[:2]) - before) / (calls // 5))
    return median(found)


def pauses(store: Store) -> Iterator[Figure]:
    """The longest that the event loop stands still under the largest bodies, by rows and by bytes."""
    rows = json.loads(bodies(store)[1]) * 10
    bad = [*rows[:-1], {**rows[-1], "price": -1}]
    padded = [{**row, "city_full": "x" * (600 + i % 50)} for i, row in enumerate(rows)]
    largest = {
        "valid": {"10,000 rows": rows, "10,000 rows with long texts": padded},
        "invalid": {"one bad row in 10,000": bad, "16 MB of lists": [[]] * 3_999_999},
    }
    with server(store) as (_, url, _), httpx.Client(base_url=url, timeout=120) as client:
        for kind, sent in largest.items():
            status = 200 if kind == "valid" else 422

            def call(body: bytes, status: int = status) -> None:
                answer = client.post("/predict", content=body, headers={"content-type": JSON})
                if answer.status_code != status:
                    raise RuntimeError(f"the server said {answer.status_code}: {answer.text[:200]}")

            bodies_ = {name: json.dumps(value).encode() for name, value in sent.items()}
            found = {name: longest_pause(client, lambda body=body: call(body)) for name, body in bodies_.items()}
            told = ", ".join(f"{name} {pause:.0f} ms" for name, pause in found.items())
            met = max(found.values()) < 50
            yield Figure("serving", f"longest pause of the loop under the largest {kind} bodies", told, "50 ms", met)


def serving(store: Store) -> Iterator[Figure]:
    """Ratios to the echo and to the naive endpoint, CPU of bulk calls, reloads, memory and start."""
    if not shutil.which("wrk"):
        yield Figure("serving", "not measured: wrk is not installed (apt-get install wrk)", "")
        return
    one, thousand, stream = bodies(store)
    with tempfile.TemporaryDirectory() as folder:
        script, body = Path(folder) / "one.lua", Path(folder) / "one.json"
        body.write_bytes(one)
        script.write_text(_WRK.format(body))
        starts = []
        for _ in range(ROUNDS):
            with server(store) as (_, _, seconds):
                starts.append(seconds)
        yield Figure("serving", "start to ready, median of 3", f"{median(starts):.2f} s", "1.2 s", median(starts) < 1.2)
        with server(store) as (process, url, _):
            wrk(f"{url}/predict", script, 1)
            rounds = [[wrk(f"{url}/{path}", script) for path in ("echo", "predict", "raw")] for _ in range(ROUNDS)]
            naive, _, _ = wrk(f"{url}/naive", script)
            yield from _rates(rounds, naive)
        trees = trees_milliseconds(store, thousand)
        yield Figure("serving", "1,000 rows: CPU of the trees alone, bare XGBoost on one thread", f"{trees:.1f} ms")
        with server(store) as (process, url, _):
            for name, body, kind, most in (("JSON", thousand, JSON, 1.25), ("Arrow", stream, ARROW, 1.1)):
                took = cpu_milliseconds(process, f"{url}/predict", body, kind)
                told = f"{took / trees:.2f} ({took:.1f} ms)"
                title = f"1,000 rows of {name}: CPU / of the trees alone"
                yield Figure("serving", title, told, f"{most:g}", took <= most * trees)
            call_everything(url, one, thousand)
            told, resident = resident_megabytes(process)
            yield Figure("serving", f"resident {SETTLED} s after all calls", told, "200 MB", resident < 200)
        yield from pauses(store)
        yield from reloads(store, script, Path(folder))
        yield from store_away(store, script)


def call_everything(url: str, one: bytes, thousand: bytes) -> None:
    """Each kind of call some times, those that load a library at their first one among them."""
    zipcode = json.loads(one)[0]["zipcode"]
    paths = ("/latest_predictions", "/predictions?limit=50", f"/forecasts/{zipcode}", f"/history/{zipcode}", "/model")
    with httpx.Client(base_url=url, timeout=60, headers={"content-type": JSON}) as client:
        for _ in range(3):
            for path in (*paths, "/metrics", "/openapi.json"):
                client.get(path)
            client.post("/explain", content=one)
            client.post("/predict?history=false", content=one)
            client.post("/predict?history=false", content=thousand)


def resident_megabytes(process: psutil.Process) -> tuple[str, float]:
    """Memory once it has settled, in words and as a number: resident, of which some is code that processes share."""
    peak = process.memory_info().rss / 1e6
    # polars' allocator gives back what was freed ten seconds ago.
    time.sleep(SETTLED)
    resident, own = process.memory_info().rss / 1e6, process.memory_full_info().uss / 1e6
    anonymous = sum(part.anonymous for part in process.memory_maps()) / 1e6
    told = f"{resident:.0f} MB ({peak:.0f} right after, {own:.0f} of no other process, {anonymous:.0f} of no file)"
    return told, resident


def _rates(rounds: list[list[tuple[float, float, int]]], naive: float) -> Iterator[Figure]:
    rates = [median(r[i][0] for r in rounds) for i in (0, 1, 2)]
    for name, at, least in (("echo of the same body", 0, 0.85), ("echo of a bare ASGI application", 2, 0.5)):
        share = median(r[1][0] / r[at][0] for r in rounds)
        told = f"{share:.2f} ({rates[1]:,.0f} / {rates[at]:,.0f} a second)"
        yield Figure("serving", f"one row: /predict / {name}", told, f"{least:g}", share >= least)
    times = rates[1] / naive
    yield Figure("serving", "one row: /predict / naive endpoint", f"{times:.0f}", "40", times >= 40)
    tail = median(predict[1] / echo[1] for echo, predict, _ in rounds)
    yield Figure("serving", "99th percentile: /predict / echo", f"{tail:.2f}", "1.3", tail <= 1.3)


def store_away(store: Store, script: Path) -> Iterator[Figure]:
    """The champion's store in S3, which hangs and then is gone, while calls go on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    keys = {"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
    os.environ.update({"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", **keys})
    command = [str(Path(sys.executable).parent / "moto_server"), "-p", str(port)]
    s3 = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        there = Store.open("s3://bench/store")
        for _ in range(200):
            with contextlib.suppress(httpx.TransportError):
                if httpx.put(f"http://127.0.0.1:{port}/bench").is_success:
                    break
            time.sleep(0.1)
        for key in store.blobs.keys("models/"):
            there.blobs.write(key, store.blobs.read(key))
        copy_history(store, there, history_stamps(store))
        with server(there) as (_, url, _):
            # With the store well, its own server takes part of a core: looks for a new champion are what slows calls.
            wrk(f"{url}/predict", script)
            well = wrk(f"{url}/predict", script)
            s3.send_signal(signal.SIGSTOP)
            hangs = wrk(f"{url}/predict", script, 15)
            s3.kill()
            gone = wrk(f"{url}/predict", script, 15)
        failed = hangs[2] + gone[2]
        yield Figure("serving", "failed calls while S3 hangs, then is gone", str(failed), "0", failed == 0)
        tails = f"{hangs[1] / well[1]:.2f}, {gone[1] / well[1]:.2f}"
        yield Figure("serving", "99th percentile while S3 hangs, is gone / while it answers", tails)
    finally:
        s3.kill()
        s3.wait()


def trees_milliseconds(store: Store, body: bytes) -> float:
    """CPU that XGBoost's own prediction of these rows takes, with nothing around it."""
    from housing_assets.store.pointers import load_champion
    from housing_serving.json_rows import decode_rows
    from housing_serving.predictor import Predictor

    predictor = Predictor(load_champion(store), None)
    matrix = predictor.matrix(decode_rows(body, 10_000))
    found = []
    for _ in range(30):
        begun = time.process_time()
        predictor.model.trees.booster.inplace_predict(matrix, validate_features=False)
        found.append(1e3 * (time.process_time() - begun))
    return median(found)


def reloads(store: Store, script: Path, folder: Path) -> Iterator[Figure]:
    """Champions that change under load."""
    shutil.copytree(Path(store.uri) / "models", folder / "store/models")
    copy = Store.open(str(folder / "store"))
    copy_history(store, copy, history_stamps(store))
    first = champion_version(copy)
    other = next(v for v in list_versions(copy) if v != first)
    with server(copy) as (_, url, _):
        _, quiet, _ = wrk(f"{url}/predict", script)
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", "-d15s", "--latency", "-s", str(script), f"{url}/predict"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as load:
            changed = 0
            while load.poll() is None:
                point_to(copy, (other, first)[changed % 2] or "")
                changed += 1
                time.sleep(0.5)
            said = load.stdout.read() if load.stdout else ""
        failed = "Non-2xx" in said or "Socket errors" in said
        yield Figure("serving", f"failed calls during {changed} reloads", "some" if failed else "0", "0", not failed)
        tail = re.search(r"99%\s+([\d.]+)ms", said)
        if tail:
            yield Figure("serving", "99th percentile during reloads / without", f"{float(tail[1]) / quiet:.2f}")
