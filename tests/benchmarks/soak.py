"""`make soak`: mixed traffic for ten minutes (SOAK_SECONDS), and what memory and files did meanwhile."""

import os
import random
import threading
import time
from pathlib import Path
from statistics import mean

import httpx
from rich.console import Console
from rich.table import Table
from serving import ARROW, JSON, bodies, server

from housing_assets.store.bundles import list_versions
from housing_assets.store.layout import Store
from housing_assets.store.pointers import champion_version, point_to

CLIENTS = 4
SAMPLES = 20


def main() -> None:
    """Print the figures over time; a growth of more than 5% from the second fifth to the last is a failure."""
    store = Store.open(os.environ.get("HOUSING_STORE_URI", "data/store"))
    seconds = float(os.environ.get("SOAK_SECONDS", "600"))
    one, thousand, stream = bodies(store)
    calls = [
        ("POST", "/predict", one, JSON),
        ("POST", "/predict", one, JSON),
        ("POST", "/predict", thousand, JSON),
        ("POST", "/predict", stream, ARROW),
        ("POST", "/predict?history=false", one, JSON),
        ("POST", "/explain", one, JSON),
        ("POST", "/predict", b'[{"date": 7}]', JSON),
        ("POST", "/predict", b"[[[", JSON),
        ("GET", "/latest_predictions", b"", JSON),
        ("GET", "/predictions?limit=50", b"", JSON),
        ("GET", "/metrics", b"", JSON),
        ("GET", "/nothing", b"", JSON),
    ]
    over, statuses = threading.Event(), {}

    def call(seed: int) -> None:
        draw = random.Random(seed)
        while not over.is_set():
            # A connection of its own for some calls, so that sockets come and go.
            with httpx.Client(timeout=60) as client:
                for _ in range(draw.randint(1, 30)):
                    method, path, body, kind = draw.choice(calls)
                    answer = client.request(method, url + path, content=body, headers={"content-type": kind})
                    statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1

    # Forecast models lie beside those that a champion can be.
    versions = [version for version in list_versions(store) if not version.startswith("forecast-")]
    first = champion_version(store) or versions[0]
    report = Table("seconds", "resident, MB", "open files", "threads", "answers")
    rows = []
    try:
        with server(store) as (process, url, _):
            clients = [threading.Thread(target=call, args=(seed,)) for seed in range(CLIENTS)]
            for client in clients:
                client.start()
            begun = time.monotonic()
            for i in range(SAMPLES):
                time.sleep(max(0.0, begun + seconds * (i + 1) / SAMPLES - time.monotonic()))
                point_to(store, versions[i % len(versions)])
                now = (process.memory_info().rss / 1e6, process.num_fds(), process.num_threads())
                rows.append(now)
                told = (time.monotonic() - begun, *now, sum(statuses.values()))
                report.add_row(*(f"{value:,.0f}" for value in told))
            over.set()
            for client in clients:
                client.join()
    finally:
        over.set()
        point_to(store, first)
    Console().print(report)
    fifth = SAMPLES // 5
    early, late = (mean(r[0] for r in part) for part in (rows[fifth : 2 * fifth], rows[-fifth:]))
    Console().print(
        f"answers by status: {dict(sorted(statuses.items()))}; resident, last fifth / second: {late / early:.3f}"
    )
    if late > 1.05 * early or max(statuses) >= 500:
        raise SystemExit(1)


if __name__ == "__main__":
    Path("data").mkdir(exist_ok=True)
    main()
