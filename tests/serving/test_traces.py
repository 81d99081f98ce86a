"""What a collector of OpenTelemetry gets of the API, over loopback."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from platform_fixtures import free_port
from serving_fixtures import process

from housing_assets.core.errors import HousingError
from housing_serving import traces

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
COLLECTOR = "OTEL_EXPORTER_OTLP_ENDPOINT"


@contextmanager
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """An OTLP receiver; gives its address, and what was posted to it."""
    posted: list[ExportTraceServiceRequest] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert (self.path, self.headers["Content-Type"]) == ("/v1/traces", "application/x-protobuf")
            posted.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", posted
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def attributes(span: Span) -> dict[str, str | int]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes}


def test_a_call_is_one_span_with_its_route_status_and_parent_and_probes_are_none(tmp_path):
    env = {"HOUSING_API_KEYS": "s3cret-key", "HOUSING_API_ROOT_PATH": "/api", "OTEL_SERVICE_NAME": "housing-api"}
    with (
        collector() as (address, posted),
        process(str(tmp_path), tmp_path, wait=False, **env, **{COLLECTOR: address}) as (api, url),
    ):
        caller = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-API-Key": "s3cret-key"}
        assert httpx.get(f"{url}/api/", headers=caller).status_code == 200
        answer = httpx.get(f"{url}/history/02134", headers={"X-API-Key": "s3cret-key"})
        for probe in ("/health/live", "/api/health/ready", "/metrics"):
            httpx.get(url + probe)
        api.terminate()  # which posts what is left
        assert api.wait(60) == 0
    (resource,) = {r.resource.SerializeToString(): r for p in posted for r in p.resource_spans}.values()
    assert {a.key: a.value.string_value for a in resource.resource.attributes}["service.name"] == "housing-api"
    first, second = [s for p in posted for r in p.resource_spans for scope in r.scope_spans for s in scope.spans]
    assert (first.kind, first.name) == (Span.SPAN_KIND_SERVER, "GET /")
    assert attributes(first)["http.route"] == "/"
    assert attributes(first)["http.response.status_code"] == 200
    assert (first.trace_id.hex(), first.parent_span_id.hex()) == (TRACE, PARENT)
    assert second.name == "GET /history/{zipcode}"
    assert attributes(second)["http.response.status_code"] == answer.status_code
    assert second.parent_span_id == b""
    assert second.trace_id.hex() != TRACE
    assert b"s3cret" not in b"".join(p.SerializeToString() for p in posted)


def test_a_collector_that_is_away_changes_no_answer_and_the_server_leaves_with_0(tmp_path):
    with process(str(tmp_path), tmp_path, wait=False, **{COLLECTOR: f"http://127.0.0.1:{free_port()}"}) as (api, url):
        assert httpx.get(url).status_code == 200
        begun = time.monotonic()
        api.terminate()
        assert api.wait(60) == 0
        assert time.monotonic() - begun < 30


UNTRACED = """
import sys
from fastapi.testclient import TestClient
from housing_serving.app import app
with TestClient(app) as client:
    assert client.get("/health/live").status_code == 200
print([name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter", "requests"))])
"""


def test_without_a_collector_nothing_that_traces_is_imported(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", UNTRACED], capture_output=True, text=True, check=False, cwd=tmp_path,
        env={"HOUSING_STORE_URI": str(tmp_path), COLLECTOR: "", "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(traces, "find_spec", lambda _name: None)
    with pytest.raises(HousingError, match="OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318: .*the extra `traces`"):
        traces.traces("http://collector:4318", "")
    assert traces.traces("", "")["auto_configure"] is False
