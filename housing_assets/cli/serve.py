"""`make serve`: Dagster's UI and daemon, the API, the dashboard and MLflow, side by side on this machine."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from rich.console import Console

from housing_assets.config.instance import WORKSPACE
from housing_assets.config.settings import Settings
from housing_assets.core.errors import HousingError
from housing_assets.core.processes import is_alive

HOST = "127.0.0.1"
_PATIENCE = 180
_LEAVE = 20
_NO_JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""MLflow's own jobs judge language models, in nine processes that take long to stop."""


@dataclass(frozen=True)
class Service:
    """One process.

    Attributes:
        name: for people.
        command: that starts it.
        variable: that sets its port.
        port: it listens on.
        alive: path that answers 200 once it is up.
        env: variables of its own.
    """

    name: str
    command: tuple[str, ...]
    variable: str
    port: int
    alive: str
    env: Mapping[str, str]

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{HOST}:{self.port}"


def services(settings: Settings, environment: Mapping[str, str]) -> list[Service]:
    """The services, on the ports that the environment names; no MLflow where runs are tracked on a server elsewhere.

    Raises:
        HousingError: a port is no port, or two services have the same.
    """
    names = {"DAGSTER_PORT": 3000, "API_PORT": 8000, "DASHBOARD_PORT": 8501, "MLFLOW_PORT": 5000}
    ports = {name: _port(name, environment.get(name) or str(default)) for name, default in names.items()}
    if len(set(ports.values())) < len(ports):
        told = ", ".join(f"{name}={port}" for name, port in ports.items())
        raise HousingError(f"two services have the same port ({told}): give each its own")
    dagster, api, dashboard, mlflow = ports.values()
    elsewhere = mlflow_elsewhere(settings)
    programs = Path(sys.executable).parent
    urls = {
        "HOUSING_DAGSTER_URL": f"http://{HOST}:{dagster}",
        "HOUSING_API_URL": f"http://{HOST}:{api}",
        "HOUSING_MLFLOW_URL": elsewhere or f"http://{HOST}:{mlflow}",
    }
    found = [
        Service("Dagster", (str(programs / "dagster"), "dev", "-w", str(WORKSPACE), "-h", HOST, "-p", str(dagster)),
                "DAGSTER_PORT", dagster, "/server_info", urls),
        Service("API", (sys.executable, "-m", "housing_serving"), "API_PORT", api, "/health/live",
                {**urls, "HOUSING_API_HOST": HOST, "HOUSING_API_PORT": str(api), "HOUSING_LEAVE_SECONDS": "0"}),
        Service("Dashboard", (sys.executable, "-m", "housing_dashboard", "--server.address", HOST, "--server.port",
                str(dashboard), "--server.headless", "true"), "DASHBOARD_PORT", dashboard, "/_stcore/health", urls),
    ]  # fmt: skip
    if elsewhere is None:
        command = (str(programs / "mlflow"), "server", "--backend-store-uri", settings.mlflow_tracking_uri,
                   "--host", HOST, "--port", str(mlflow), "--workers", "1")  # fmt: skip
        found.append(Service("MLflow", command, "MLFLOW_PORT", mlflow, "/health", {**urls, **_NO_JOBS}))
    return found


def mlflow_elsewhere(settings: Settings) -> str | None:
    """Address of the MLflow server that runs are tracked on, without credentials; None where it is a database."""
    address = urlsplit(settings.mlflow_tracking_uri)
    if address.scheme not in ("http", "https"):
        return None
    return address._replace(netloc=address.netloc.rpartition("@")[2]).geturl()


def _port(name: str, text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 65_535:
        raise HousingError(f"{name}={text!r} is no port: set a number from 1 to 65535")
    return int(text)


def serve(settings: Settings, logs: Path) -> None:
    """Run all services until Ctrl-C or SIGTERM, and say where each is once it answers.

    Args:
        settings: of the platform.
        logs: folder for the output of each.

    Raises:
        HousingError: a port is taken, or a service ended or did not answer; the others are stopped too.
    """
    console = Console(stderr=True)
    wanted = services(settings, os.environ)
    for service in wanted:
        _require_free(service)
    logs.mkdir(parents=True, exist_ok=True)
    running: dict[str, subprocess.Popen] = {}
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for service in wanted:
            running[service.name] = _start(service, logs)
        _await_all(wanted, running, logs, console)
        if elsewhere := mlflow_elsewhere(settings):
            console.print(f"[bold]{'MLflow':<10}[/bold] {elsewhere} (MLFLOW_TRACKING_URI)")
        console.print("Ctrl-C stops all of them.")
        while True:
            _require_running(running, logs)
            time.sleep(1)
    except KeyboardInterrupt:
        console.print("Stopping")
    finally:
        _stop(running)


def _require_free(service: Service) -> None:
    """What listens there already would be taken for the service."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, service.port))
        except OSError as error:
            raise HousingError(
                f"{service.variable}={service.port}: {service.name} cannot listen there ({error.strerror}): stop what "
                f"does, or set {service.variable} to a free port"
            ) from error


def _start(service: Service, logs: Path) -> subprocess.Popen:
    with (logs / f"{service.name.lower()}.log").open("wb") as log:
        # A group of its own, so that its children end with it, and Ctrl-C reaches it once, from here.
        return subprocess.Popen(
            service.command, env={**os.environ, **service.env}, stdout=log, stderr=log, start_new_session=True
        )


def _await_all(wanted: list[Service], running: dict[str, subprocess.Popen], logs: Path, console: Console) -> None:
    waiting = list(wanted)
    until = time.monotonic() + _PATIENCE
    while waiting:
        _require_running(running, logs)
        for service in [s for s in waiting if _answers(s)]:
            console.print(f"[bold]{service.name:<10}[/bold] {service.url}")
            waiting.remove(service)
        if waiting and time.monotonic() > until:
            names = ", ".join(s.name for s in waiting)
            raise HousingError(f"{names} did not answer within {_PATIENCE} seconds: see {logs}")
        time.sleep(0.3)


def _answers(service: Service) -> bool:
    try:
        with urllib.request.urlopen(service.url + service.alive, timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def _require_running(running: dict[str, subprocess.Popen], logs: Path) -> None:
    for name, process in running.items():
        if process.poll() is not None:
            log = logs / f"{name.lower()}.log"
            last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["nothing"]
            raise HousingError(f"{name} ended with code {process.returncode}; it last said {last[0]!r}: see {log}")


def _stop(running: dict[str, subprocess.Popen]) -> None:
    groups = {process.pid for process in running.values()}
    for group in groups:
        _signal(group, signal.SIGINT)
    until = time.monotonic() + _LEAVE
    # A server's children can outlive it, and go on listening on its port: wait for the group, not for its leader.
    while _members(groups) and time.monotonic() < until:
        time.sleep(0.1)
    for group in groups:
        _signal(group, signal.SIGKILL)
    for process in running.values():
        process.wait()


def _members(groups: set[int]) -> list[int]:
    """Processes of these groups that still run."""
    members = []
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(process.pid) in groups and is_alive(process.pid):
                members.append(process.pid)
    return members


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)
