"""Streamlit's scripts as the dashboard serves them, and the first page that is run at the start."""

import asyncio
import gzip
import re
import subprocess
import sys
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from streamlit.file_util import get_static_dir
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.session_manager import SessionClient

from housing_dashboard import server
from housing_dashboard.frontend import NEEDED_FIRST, Frontend, scripts_of


@pytest.fixture(scope="module")
def client() -> TestClient:
    """Clients of the middleware before an application that answers `elsewhere`."""
    rest = Route("/{path:path}", lambda _: PlainTextResponse("elsewhere"))
    return TestClient(Starlette(routes=[rest], middleware=[Middleware(Frontend)]))


def named_scripts(html: str) -> list[str]:
    return re.findall(r'(?:href|src)="\./(static/js/[^"]+)"', html)


def test_a_page_names_each_script_that_it_begins_with_once(client):
    page = client.get("/")
    scripts = named_scripts(page.text)
    assert len(scripts) == len(set(scripts))
    assert any("/Metric." in name for name in scripts)
    assert not any("/PlotlyChart." in name for name in scripts)
    assert any("/BidiComponent." in name for name in named_scripts(client.get("/map").text))
    assert page.headers["cache-control"] == "no-cache"
    assert "<title>Housing prices by month</title>" in page.text


def test_every_kind_of_element_that_a_page_begins_with_is_known_to_this_streamlit():
    for name in NEEDED_FIRST:
        assert scripts_of([name], Path(get_static_dir())), name


def test_a_folder_without_a_manifest_gives_no_hints(tmp_path):
    (tmp_path / "index.html").write_text("<head></head>")
    assert scripts_of(NEEDED_FIRST, tmp_path) == []


def test_a_script_is_sent_compressed_and_is_what_streamlit_has(client):
    name = named_scripts(client.get("/").text)[0]
    sent = client.get(f"/{name}", headers={"accept-encoding": "gzip"})
    assert sent.headers["content-encoding"] == "gzip"
    assert "immutable" in sent.headers["cache-control"]
    assert sent.content == (Path(get_static_dir()) / name).read_bytes()
    assert int(sent.headers["content-length"]) == len(gzip.compress(sent.content, 6, mtime=0))


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/static/js/no-such-file.js", {}),
        ("/static/../../app.py", {}),
        ("/static/%2e%2e/%2e%2e/config.py", {}),
        ("/static/../manifest.json", {}),
        ("/_stcore/health", {}),
        ("/no-such-page", {}),
        ("/static/js/index.js", {"accept-encoding": "identity"}),
    ],
)
def test_anything_else_is_left_to_streamlit(client, path, headers):
    assert client.get(path, headers=headers).text == "elsewhere"


def test_a_part_of_a_script_is_left_to_streamlit(client):
    name = named_scripts(client.get("/").text)[0]
    assert client.get(f"/{name}", headers={"range": "bytes=0-9"}).text == "elsewhere"


class OneRun:
    """The part of Streamlit's runtime that a visitor needs. It runs a script as it is told: to its end, or never."""

    def __init__(self, ends: bool) -> None:
        self.ends, self.asked, self.open = ends, [], set()

    def connect_session(self, client: SessionClient, user_info: dict) -> str:
        self.client = client
        self.open.add("one")
        return "one"

    def handle_backmsg(self, session: str, message: BackMsg) -> None:
        self.asked.append(message.WhichOneof("type"))
        if self.ends:
            self.client.write_forward_msg(ForwardMsg(script_finished=ForwardMsg.FINISHED_SUCCESSFULLY))

    def close_session(self, session: str) -> None:
        self.open.discard(session)


@pytest.mark.parametrize("ends", [True, False])
def test_the_first_page_is_run_once_for_nobody_who_leaves(monkeypatch, ends):
    runtime = OneRun(ends)
    monkeypatch.setattr(server, "get_instance", lambda: runtime)
    monkeypatch.setattr(server, "SECONDS_TO_WARM", 0.05)
    asyncio.run(server.warm())
    assert runtime.asked == ["rerun_script"]
    assert runtime.open == set()


def test_charts_come_with_pandas_since_plotly_fails_while_another_visitor_s_thread_imports_it():
    code = "import sys, housing_dashboard.charts; sys.exit('pandas' not in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
