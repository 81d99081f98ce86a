"""A store that the dashboard shows, and an API that is not there unless a test starts it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from platform_fixtures import free_port
from serving_fixtures import process


@pytest.fixture(scope="session")
def api(made, tmp_path_factory) -> Iterator[str]:
    """The address of an API over the small platform's store."""
    with process(str(made.folder), tmp_path_factory.mktemp("api")) as (_, url):
        yield url


@pytest.fixture
def showing(made, monkeypatch) -> Path:
    """The pages show the small platform's store, which nothing may change; no API answers."""
    monkeypatch.setenv("HOUSING_STORE_URI", str(made.folder))
    monkeypatch.setenv("HOUSING_API_URL", f"http://127.0.0.1:{free_port()}")
    return made.folder


@pytest.fixture
def changeable(showing, tmp_path, monkeypatch) -> Path:
    """The same with a copy of the store that is the test's own."""
    folder = tmp_path / "store"
    shutil.copytree(showing, folder)
    monkeypatch.setenv("HOUSING_STORE_URI", str(folder))
    return folder


@pytest.fixture
def forecasting(grown, monkeypatch) -> Path:
    """The pages show a store with history and forecasts, which nothing may change; no API answers."""
    monkeypatch.setenv("HOUSING_STORE_URI", str(grown.folder))
    monkeypatch.setenv("HOUSING_API_URL", f"http://127.0.0.1:{free_port()}")
    return grown.folder


@pytest.fixture
def changeable_forecasts(forecasting, tmp_path, monkeypatch) -> Path:
    """The same with a copy of the store that is the test's own."""
    folder = tmp_path / "store"
    shutil.copytree(forecasting, folder)
    monkeypatch.setenv("HOUSING_STORE_URI", str(folder))
    return folder
