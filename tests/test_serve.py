"""`housing serve`: every service on its port, and none left behind."""

import os
import signal
import socket
import subprocess

import httpx
import psutil
import pytest
from platform_fixtures import command_line, free_port, wait_for

from housing_assets.cli.serve import services
from housing_assets.config.settings import Settings

PORTS = ("DAGSTER_PORT", "API_PORT", "DASHBOARD_PORT", "MLFLOW_PORT")


def answers(port: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(port))) == 0


def until_said(server: subprocess.Popen, word: str) -> str:
    """What it has said when it says this."""
    assert server.stderr
    told = ""
    for line in server.stderr:
        told += line
        if word in line:
            return told
    pytest.fail(told)


def test_all_services_answer_and_end_together(made, tmp_path):
    ports = {name: str(free_port()) for name in PORTS}
    line = command_line(tmp_path, made.source, **ports, HOUSING_STORE_URI=str(made.folder))
    server = line.start("serve")
    try:
        # It ends by itself where a service does not answer in time.
        told = until_said(server, "Ctrl-C stops all of them.")
        for port in ports.values():
            assert f"http://127.0.0.1:{port}" in told
        dagster, api, dashboard, mlflow = (f"http://127.0.0.1:{port}" for port in ports.values())
        deadline = {"timeout": 60}
        assert "dagster_webserver_version" in httpx.get(f"{dagster}/server_info", **deadline).text
        assert httpx.get(f"{api}/health/live", **deadline).status_code == 200
        assert httpx.get(f"{dashboard}/_stcore/health", **deadline).text == "ok"
        assert httpx.get(f"{mlflow}/health", **deadline).text == "OK"
        wait_for(lambda: httpx.get(f"{api}/health/ready", **deadline).status_code == 200)
        ask = "{instance {daemonHealth {allDaemonStatuses {daemonType healthy}}}}"
        said = httpx.post(f"{dagster}/graphql", json={"query": ask}, **deadline).json()
        assert "SENSOR" in {d["daemonType"] for d in said["data"]["instance"]["daemonHealth"]["allDaemonStatuses"]}
        children = psutil.Process(server.pid).children(recursive=True)
        running = [" ".join(p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"]) if p in children]
        assert any("mlflow" in command for command in running)
        assert not any("mlflow.server.jobs" in command for command in running)
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=240)
    assert server.returncode == 0
    assert not any(map(answers, ports.values()))
    assert len(children) > len(ports), "some services have children of their own"
    assert [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)


def test_no_mlflow_is_started_where_runs_are_tracked_on_a_server_elsewhere():
    there = Settings(mlflow_tracking_uri="https://me:secret@mlflow.example.org:8443/path")  # pyright: ignore[reportCallIssue]
    found = services(there, {})
    assert [service.name for service in found] == ["Dagster", "API", "Dashboard"]
    assert {service.env["HOUSING_MLFLOW_URL"] for service in found} == {"https://mlflow.example.org:8443/path"}
    here = services(Settings(mlflow_tracking_uri="sqlite:///mlflow.db"), {"MLFLOW_PORT": "5001"})  # pyright: ignore[reportCallIssue]
    assert here[-1].url == here[0].env["HOUSING_MLFLOW_URL"] == "http://127.0.0.1:5001"


def test_a_service_that_ends_ends_the_others_and_is_named(made, tmp_path):
    ports = {name: str(free_port()) for name in PORTS}
    line = command_line(tmp_path, made.source, **ports, HOUSING_STORE_URI=str(made.folder), HOUSING_MAX_ROWS="none")
    outcome = line.shell("serve")
    assert outcome.code == 1
    assert "API ended with code 1" in outcome.err
    assert "logs/api.log" in outcome.err
    assert not any(map(answers, ports.values()))


@pytest.mark.parametrize("taken", PORTS)
def test_a_port_that_another_program_has(tmp_path, taken):
    ports = {name: str(free_port()) for name in PORTS}
    with socket.create_server(("127.0.0.1", int(ports[taken]))):
        outcome = command_line(tmp_path, "none.csv", **ports)("serve")
    assert outcome.code == 1
    for word in (f"{taken}={ports[taken]}", "Address already in use", "set", "free port"):
        assert word in outcome.err
    assert "http://" not in outcome.err, "no service was started"


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"API_PORT": "eighty"}, ["API_PORT='eighty'", "1 to 65535"]),
        ({"MLFLOW_PORT": "70000"}, ["MLFLOW_PORT='70000'", "1 to 65535"]),
        ({"API_PORT": "3000"}, ["same port", "DAGSTER_PORT=3000", "API_PORT=3000"]),
    ],
)
def test_ports_that_make_no_sense(tmp_path, env, words):
    outcome = command_line(tmp_path, "none.csv", **env)("serve")
    assert outcome.code == 1
    for word in words:
        assert word in outcome.err
