"""What a click costs: pages that are shown again make no new client and read no file twice."""

from collections import Counter
from pathlib import Path

import httpx
import pytest
import streamlit as st
from dashboard_fixtures import PAGES, open_page, texts

from housing_assets.store.blobs import FolderBlobs
from housing_assets.store.layout import Store


@pytest.fixture
def read(monkeypatch, changeable_forecasts) -> list[str]:
    """Keys that are read of the store of the pages from here on, and not of one that another test's API follows."""
    keys: list[str] = []
    whole = FolderBlobs.read

    def noted(blobs: FolderBlobs, key: str) -> bytes:
        if blobs.root == Path(changeable_forecasts):
            keys.append(key)
        return whole(blobs, key)

    monkeypatch.setattr(FolderBlobs, "read", noted)
    return keys


@pytest.mark.parametrize("page", PAGES)
def test_a_page_that_is_shown_again_reads_no_file_again(changeable_forecasts, read, page):
    shown = open_page(page)
    assert not shown.exception
    assert read
    read.clear()
    for _ in range(3):
        shown.run()
        assert not shown.exception
    assert Counter(read) == {}


def test_a_new_decision_is_shown_and_read_alone(changeable_forecasts, read):
    store = Store.open(str(changeable_forecasts))
    open_page("model")
    old = next(key for key in store.blobs.keys("models/tuned") if "/decisions/" in key)
    assert old in read
    new = f"{old.rpartition('/')[0]}/20990101T000000000000.json"
    store.write_json(new, store.read_json(old) | {"decided": "2099-01-01T00:00:00", "reason": "it was told so"})
    read.clear()
    shown = open_page("model")
    assert "because it was told so" in texts(shown)
    assert read == [new]


def test_sessions_and_reruns_share_one_client_which_is_closed_when_it_is_let_go(showing, monkeypatch):
    made: list[httpx.Client] = []
    begin = httpx.Client.__init__

    def noted(client: httpx.Client, *args, **kwargs) -> None:
        made.append(client)
        begin(client, *args, **kwargs)

    monkeypatch.setattr(httpx.Client, "__init__", noted)
    st.cache_resource.clear()
    for _ in range(2):
        shown = open_page("what_if")
        for _ in range(3):
            shown.run()
            assert not shown.exception
    (client,) = made
    assert not client.is_closed
    st.cache_resource.clear()
    assert client.is_closed
