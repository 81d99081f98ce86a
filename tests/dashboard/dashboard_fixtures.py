"""The dashboard's pages over a store of one's own, in this process and in one of their own."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import streamlit as st
from platform_fixtures import free_port
from streamlit import config
from streamlit.testing.v1 import AppTest

APP = Path(__file__).parents[2] / "housing_dashboard/app.py"
SERVED = APP.with_name("server.py")
PAGES = ("overview", "map", "place", "compare", "what_if", "model", "health")
# As in the dashboard's own configuration, which `AppTest` does not read. CPython 3.11.7 counts the depth of syntax
# trees for all threads together: parsing a page for magic fails now and then beside another thread that parses.
config.set_option("runner.magicEnabled", False)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def open_page(page: str = "overview", query: Mapping[str, str] | None = None) -> AppTest:
    """A page as someone sees it who opens its address, over the store that the environment names."""
    st.cache_data.clear()  # the list of files is believed for two seconds
    shown = AppTest.from_file(str(APP), default_timeout=120)
    shown.query_params.update(query or {})
    if page != "overview":
        shown.switch_page(f"views/{page}.py")
    return shown.run()


def texts(shown: AppTest) -> str:
    """All that a page says in words."""
    kinds = (shown.markdown, shown.caption, shown.subheader, shown.header, shown.error, shown.warning, shown.success)
    named = (*shown.expander, *shown.metric)
    return "\n".join([*(e.value for kind in kinds for e in kind), *(e.label for e in named)])


def charts_of(shown: AppTest) -> list[str]:
    """What each chart of a page, and its map, says to screen readers."""
    maps = [header_of(element.proto.bytes)["words"] for element in shown.get("bidi_component")]
    return [chart.proto.alt for chart in shown.get("plotly_chart")] + maps


def header_of(encoded: bytes) -> dict[str, Any]:
    """The header of a map as the browser gets it."""
    size = int.from_bytes(encoded[:4], "little")
    return json.loads(encoded[4 : 4 + size])


def figures_of(shown: AppTest) -> dict[str, str]:
    """The headline figures of a page by their label."""
    return {metric.label: metric.value for metric in shown.metric}


@contextlib.contextmanager
def dashboard(store: Path, folder: Path, **env: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """The dashboard as it is served, whatever the environment; gives its process and its address."""
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(SERVED), "--server.address", "127.0.0.1"]
    command += ["--server.port", str(port), "--server.headless", "true"]
    own = {"HOUSING_STORE_URI": str(store), **env}
    server = subprocess.Popen(command, env={**os.environ, **own}, cwd=folder)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{url}/_stcore/health").status_code == 200:
                    break
            assert server.poll() is None
            time.sleep(0.05)
        else:
            pytest.fail("the dashboard did not start")
        yield server, url
    finally:
        server.kill()
        server.wait(20)


def listens(port: int) -> bool:
    """Does anything listen on a port?"""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
