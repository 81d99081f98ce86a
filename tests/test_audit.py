"""The audit of the lock, against an advisory service on loopback that says what a test wants."""

import importlib.util
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ADVISORY = {
    "schema_version": "1.6.0",
    "id": "PYSEC-2026-1",
    "aliases": ["CVE-2026-1"],
    "summary": "A crafted file runs code",
    "published": "2026-01-01T00:00:00Z",
    "affected": [
        {
            "package": {"name": "pyarrow", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.1"}]}],
        }
    ],
}


class Advisories(ThreadingHTTPServer):
    """Answers as OSV does; remembers what it was asked."""

    def __init__(self, answer: Callable[[str], tuple[int, dict]]) -> None:
        self.asked: list[str] = []

        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one packet an answer: a second one would wait 40 ms for the first

            def do_POST(self) -> None:
                query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                asked.append(query["package"]["name"])
                status, body = answer(asked[-1])
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/query"


@pytest.fixture
def advisories() -> Iterator[Callable[[Callable[[str], tuple[int, dict]]], Advisories]]:
    servers = []

    def start(answer: Callable[[str], tuple[int, dict]]) -> Advisories:
        servers.append(server := Advisories(answer))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def audit(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / ".ci/audit.py", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def locked(name: str) -> dict[str, str]:
    """Version of every package of a lock, but for those of other systems."""
    return dict(re.findall(r"^([a-z0-9._-]+)==([^ \n]+) \\$", (ROOT / f"requirements/{name}.txt").read_text(), re.M))


def test_a_known_vulnerability_fails_it(advisories):
    server = advisories(lambda name: (200, {"vulns": [ADVISORY]} if name == "pyarrow" else {}))
    done = audit("--osv-url", server.url)
    assert done.returncode == 1, done.stderr
    assert f"pyarrow {locked('dev')['pyarrow']}: PYSEC-2026-1, mended in 99.1. A crafted file runs code" in done.stdout
    assert "1 known vulnerabilities" in done.stdout
    assert "pyproject.toml" in done.stdout


def test_every_package_of_every_lock_is_asked_for(advisories):
    server = advisories(lambda _: (200, {}))
    done = audit("--required", "--osv-url", server.url)
    assert done.returncode == 0, done.stderr
    assert f"{len(server.asked)} packages: 0 known vulnerabilities" in done.stdout
    for lock in ("assets", "serving", "dashboard", "dev", "uv"):
        packages = locked(lock)
        assert packages
        assert packages.keys() <= set(server.asked), lock
        assert packages.items() <= {**locked("dev"), **locked("uv")}.items(), lock


def test_an_accepted_one_is_told_with_its_reason_and_fails_nothing(advisories, monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci/audit.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(module.ACCEPTED, "CVE-2026-1", "no file from outside is read with it")
    server = advisories(lambda name: (200, {"vulns": [ADVISORY]} if name == "pyarrow" else {}))
    assert module.main(["--osv-url", server.url]) == 0
    assert "accepted: CVE-2026-1, no file from outside is read with it" in capsys.readouterr().out


@pytest.mark.parametrize("answer", [None, (500, {}), (403, {})], ids=["no network", "a failure", "a refusal"])
def test_without_an_answer_it_is_skipped_and_says_so_unless_one_is_required(advisories, unused_port, answer):
    url = advisories(lambda _: answer).url if answer else f"http://127.0.0.1:{unused_port}/v1/query"
    done = audit("--osv-url", url)
    assert done.returncode == 0
    assert "The lock was not audited, since no advisory service could be asked" in done.stderr
    assert "0 known" not in done.stdout
    assert audit("--required", "--osv-url", url).returncode == 3


def test_a_broken_call_is_no_pass():
    done = audit("--no-such-option")
    assert done.returncode == 2
    assert "pip-audit failed" in done.stderr
