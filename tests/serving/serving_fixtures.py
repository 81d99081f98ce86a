"""Clients of the API over a store of one's own."""

import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from housing_serving.app import create_app
from housing_serving.settings import ServingSettings


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
