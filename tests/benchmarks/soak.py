"""`make soak`: mixed traffic for ten minutes (SOAK_SECONDS), and what memory and files did meanwhile.

Memory grows while a server warms up: caches fill, libraries are loaded at the first call that needs them, and
allocators take what the most that ever runs at one time needs. That ends, and a leak goes on. So the first `WARM_UP` of
the time is left out, and the rest is judged by its slope: the median of the slopes between all pairs of samples
(Theil-Sen), which single peaks of bulk calls do not move.
"""

import os
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx
import psutil
from rich.console import Console
from rich.table import Table
from scipy.stats import theilslopes
from serving import ARROW, JSON, bodies, server

from housing_assets.store.bundles import list_versions
from housing_assets.store.layout import Store
from housing_assets.store.pointers import champion_version, point_to

CLIENTS = 4
RELOADS = 20
WARM_UP = 0.3
"""Part of the time that is not judged."""
MOST_GROWTH = 0.02
"""Of what is resident after the warm-up, in the time that is judged, along the slope."""
ROWS = 10


def main() -> None:
    """Print the figures over time; to grow by more than `MOST_GROWTH` after the warm-up, or to fail, is a failure."""
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
    samples: list[Sample] = []
    try:
        with server(store) as (process, url, _):
            clients = [threading.Thread(target=call, args=(seed,)) for seed in range(CLIENTS)]
            for client in clients:
                client.start()
            begun, reloads = time.monotonic(), 0
            while (now := time.monotonic() - begun) < seconds:
                if now >= seconds * reloads / RELOADS:
                    point_to(store, versions[reloads % len(versions)])
                    reloads += 1
                samples.append(sample(process, now, sum(statuses.values())))
                time.sleep(1)
            over.set()
            for client in clients:
                client.join()
    finally:
        over.set()
        point_to(store, first)
    growth = told(samples, seconds)
    Console().print(f"answers by status: {dict(sorted(statuses.items()))}")
    if growth > MOST_GROWTH or max(statuses) >= 500:
        raise SystemExit(1)


@dataclass(frozen=True)
class Sample:
    """What a process has: megabytes that are resident, and counts; `seconds` after the first calls."""

    seconds: float
    megabytes: float
    files: int
    threads: int
    answers: int


def sample(process: psutil.Process, seconds: float, answers: int) -> Sample:
    """A process as it is now."""
    return Sample(seconds, process.memory_info().rss / 1e6, process.num_fds(), process.num_threads(), answers)


def told(samples: Sequence[Sample], seconds: float) -> float:
    """Print medians of each tenth of the time, and the slope after the warm-up.

    Returns:
        The growth along the slope, in the time that is judged, as a part of what is resident.
    """
    report = Table("seconds", "resident, MB", "open files", "threads", "answers")
    for i in range(ROWS):
        part = [s for s in samples if i <= ROWS * s.seconds / seconds < i + 1]
        if part:
            typical = [median(getattr(s, name) for s in part) for name in ("megabytes", "files", "threads")]
            report.add_row(*(f"{value:,.0f}" for value in (part[-1].seconds, *typical, part[-1].answers)))
    judged = [s for s in samples if s.seconds >= WARM_UP * seconds]
    slope = float(theilslopes([s.megabytes for s in judged], [s.seconds for s in judged]).slope)
    resident, span = median(s.megabytes for s in judged), judged[-1].seconds - judged[0].seconds
    Console().print(report)
    Console().print(
        f"after the first {WARM_UP * seconds:.0f} seconds: {resident:.0f} MB, {60 * slope:+.2f} MB a minute along the "
        f"slope, which is {slope * span / resident:+.1%} in {span:.0f} seconds (limit {MOST_GROWTH:+.0%})"
    )
    return slope * span / resident


if __name__ == "__main__":
    Path("data").mkdir(exist_ok=True)
    main()
