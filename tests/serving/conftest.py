"""A small platform's store, and a client of the API over it."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from platform_fixtures import Platform, write_source
from serving_fixtures import open_client, wait_ready


@pytest.fixture(scope="session")
def served(tmp_path_factory) -> Platform:
    """A platform with every stage run once. Nothing here may change its store."""
    source = write_source(tmp_path_factory.mktemp("source") / "panel.csv")
    return Platform(tmp_path_factory.mktemp("served"), source).run_all()


@pytest.fixture(scope="session")
def client(served) -> Iterator[TestClient]:
    with open_client(served.folder) as client:
        wait_ready(client)
        yield client
