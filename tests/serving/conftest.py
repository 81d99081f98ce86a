"""A client of the API over the small platform's store."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from serving_fixtures import open_client, wait_ready


@pytest.fixture(scope="session")
def client(made) -> Iterator[TestClient]:
    with open_client(made.folder) as client:
        wait_ready(client)
        yield client
