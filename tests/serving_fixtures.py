"""Clients of the API over a store of one's own."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import polars as pl
import pytest
from fastapi.testclient import TestClient
from platform_fixtures import free_port

from housing_assets.core.panel.schema import COLUMN_NAMES
from housing_assets.store.blobs import FolderBlobs
from housing_assets.store.histories import ASSET, KEY
from housing_assets.store.layout import Store
from housing_assets.store.pointers import POINTER
from housing_assets.store.verdicts import State, Verdict, data_stamps, write_verdicts
from housing_serving.app import create_app
from housing_serving.settings import ServingSettings


class CountedBlobs(FolderBlobs):
    """A folder that notes which calls a store in S3 would be asked: reads and listings, by key."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.calls: list[tuple[str, str]] = []

    def read(self, key: str) -> bytes:
        self.calls.append(("read", key))
        return super().read(key)

    def stamps(self, prefix: str) -> dict[str, str]:
        self.calls.append(("stamps", prefix))
        return super().stamps(prefix)

    def keys(self, prefix: str) -> list[str]:
        self.calls.append(("keys", prefix))
        return super().keys(prefix)


def open_client(store: Path | str, **settings) -> TestClient:
    """A client of an API that looks for a new champion all the time."""
    values = {"store_uri": str(store), "reload_seconds": 0.05, "keep_folder": "", **settings}
    return TestClient(create_app(ServingSettings(**values)))


def wait_ready(client: TestClient) -> None:
    for _ in range(400):
        if client.get("/health/ready").status_code == 200:
            return
        time.sleep(0.02)
    pytest.fail(f"not ready: {client.get('/health').json()}")


def wait_for(client: TestClient, what: Callable[[], bool], told: str = "") -> None:
    for _ in range(400):
        if what():
            return
        time.sleep(0.02)
    pytest.fail(f"{told}: {client.get('/health').json()}")


def rows_of(frame: pl.DataFrame) -> list[dict]:
    """Raw rows as clients send them."""
    return frame.select(COLUMN_NAMES).with_columns(pl.col("date").cast(pl.String)).to_dicts()


def publish_history(store: Store, table: pl.DataFrame, state: State = State.GREEN) -> None:
    """Write a history, and what its checks would say of it."""
    store.write_table(ASSET, table)
    write_verdicts(store, [Verdict(ASSET, "", state, store.blobs.stamps(KEY)[KEY], table.height)])


def vouch(store: Store, asset: str) -> None:
    """What the checks of an asset would say of the months as they are now, if these are sound."""
    stamps = data_stamps(store, asset)
    write_verdicts(store, [Verdict(asset, month, State.GREEN, stamp, 1) for month, stamp in stamps.items()])


def wait_kept(folder: Path) -> None:
    """Until the copy of the champion that serves is whole: it is made once the champion serves."""
    for _ in range(400):
        if (folder / POINTER).exists():
            return
        time.sleep(0.02)
    pytest.fail("no copy was made")


@contextlib.contextmanager
def process(store: str, folder: Path, wait: bool = True, **env: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """The API as it is deployed, in a process of its own; gives the process and its address."""
    port = int(env.get("HOUSING_API_PORT") or free_port())
    program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from loop_pauses import add_pauses
from housing_serving.__main__ import main
from housing_serving.app import app
add_pauses(app)
heavy = {{"dagster", "mlflow", "sklearn", "great_expectations", "evidently", "pandas"}}
@app.get("/modules", include_in_schema=False)
async def modules():
    return sorted(heavy & {{name.partition(".")[0] for name in sys.modules}})
main()
"""
    own = {"HOUSING_STORE_URI": store, "HOUSING_API_PORT": str(port), "HOUSING_LEAVE_SECONDS": "1.5"}
    server = subprocess.Popen([sys.executable, "-c", program], env={**os.environ, **own, **env}, cwd=folder)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{url}/health/{'ready' if wait else 'live'}").status_code == 200:
                    break
            assert server.poll() is None
            time.sleep(0.05)
        yield server, url
    finally:
        server.kill()
        server.wait(20)


@dataclass
class Load:
    """Clients that call without a break, and what they were answered."""

    url: str
    row: dict
    answers: list[tuple[float, float, int, dict]] = field(default_factory=list)

    @contextlib.contextmanager
    def running(self, sizes: Sequence[int] = (1, 1, 100)) -> Iterator["Load"]:
        over = threading.Event()

        def call(rows: int) -> None:
            with httpx.Client(timeout=120) as client:
                while not over.is_set():
                    begun = time.monotonic()
                    answer = client.post(f"{self.url}/predict", json=[self.row] * rows)
                    self.answers.append((begun, time.monotonic(), answer.status_code, answer.json()))

        threads = [threading.Thread(target=call, args=(rows,)) for rows in sizes]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            over.set()
            for thread in threads:
                thread.join()

    @property
    def statuses(self) -> set[int]:
        return {status for _, _, status, _ in self.answers}
