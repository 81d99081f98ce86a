"""The container engine as the tests use it, and the stack of `infra/compose.yaml` on ports of its own."""

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml
from platform_fixtures import free_port

PROJECT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((PROJECT / "infra/compose.yaml").read_text())
TARGETS = ("api", "dashboard", "dagster")
BASE = os.environ.get("HOUSING_BASE_IMAGE", "")
"""The stand-in of the base image, where no registry can be asked. Read before the tests clear their environment."""
CERTIFICATES = Path(os.environ.get("SSL_CERT_FILE", ""))


def docker(*words: str | Path, check: bool = True, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run a command of the engine."""
    answer = subprocess.run(
        ["docker", *map(str, words)], capture_output=True, text=True, check=False, timeout=timeout, cwd=PROJECT
    )
    assert not check or answer.returncode == 0, f"docker {' '.join(map(str, words))}\n{answer.stdout}{answer.stderr}"
    return answer


def why_not() -> str:
    """Why no container can be run here; empty if one can."""
    try:
        if docker("version", check=False).returncode:
            return 'no container engine answers: eval "$(.ci/engine up)"'
    except FileNotFoundError:
        return 'there is no container engine: eval "$(.ci/engine up)"'
    missing = [t for t in TARGETS if docker("image", "inspect", f"housing-{t}:local", check=False).returncode]
    return f"no image of {', '.join(missing)}: make images" if missing else ""


def make_stand_ins() -> None:
    """The third-party images of the compose file under their own names, where no registry can be asked for them."""
    for service, target in (("postgres", "postgres"), ("s3", "s3")):
        image = COMPOSE["services"][service]["image"]
        if not BASE or docker("image", "inspect", image, check=False).returncode == 0:
            continue
        secret = [f"--secret=id=certificates,src={CERTIFICATES}"] if CERTIFICATES.is_file() else []
        folder = PROJECT / "tests/images/stand_ins"
        context = f"base=docker-image://{BASE}"
        docker("buildx", "build", "--build-context", context, *secret, "--target", target, "--tag", image, folder)


def wait_until(condition: Any, seconds: float, what: str) -> Any:
    """What a function returns, once that is true.

    It is called ever less often, since calls take time from what is waited for.
    """
    until = time.monotonic() + seconds
    pause = 0.2
    while not (value := condition()):
        assert time.monotonic() < until, f"not within {seconds:.0f} s: {what}"
        time.sleep(pause)
        pause = min(pause * 1.3, 1.5)
    return value


@dataclass
class Stack:
    """A project of `docker compose`, with volumes, ports and secrets of its own."""

    name: str
    env_file: Path
    ports: Mapping[str, int]
    key: str
    containers: dict[str, str] = field(default_factory=dict)
    """Ids of the services' containers, which a restart keeps. `docker compose` takes most of a second to tell one."""

    @classmethod
    def create(cls, folder: Path, **values: str) -> "Stack":
        """A stack that is not started yet."""
        ports = {name: free_port() for name in ("DAGSTER_PORT", "API_PORT", "DASHBOARD_PORT", "MLFLOW_PORT")}
        key = secrets.token_hex(16)
        variables = {
            "POSTGRES_PASSWORD": secrets.token_hex(16),
            "S3_ACCESS_KEY_ID": "housing",
            "S3_SECRET_ACCESS_KEY": secrets.token_hex(16),
            "HOUSING_API_KEY": key,
            **{name: str(port) for name, port in ports.items()},
            **values,
        }
        file = folder / "stack.env"
        file.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
        return cls(f"housing-test-{os.getpid()}", file, ports, key)

    @property
    def environment(self) -> dict[str, str]:
        """What `infra/stack.py` is run with."""
        # A home, since the engine's client looks for one.
        outside = {name: value for name, value in os.environ.items() if not name.startswith(("HOUSING_", "MLFLOW_"))}
        return {**outside, "HOUSING_STACK_ENV": str(self.env_file), "COMPOSE_PROJECT_NAME": self.name}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`infra/stack.py`, which is what `make stack` and `make stack-down` run."""
        self.containers.clear()
        return subprocess.run(
            [sys.executable, PROJECT / "infra/stack.py", *words],
            env=self.environment, capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip

    def compose(self, *words: str, check: bool = True, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """A command of `docker compose` on the stack."""
        files = ["--file", PROJECT / "infra/compose.yaml", "--env-file", self.env_file]
        return docker("compose", "--project-name", self.name, *files, *words, check=check, timeout=timeout)

    def url(self, variable: str) -> str:
        """Address of a service, by the variable of its port."""
        return f"http://127.0.0.1:{self.ports[variable]}"

    def api(self, timeout: float = 30) -> httpx.Client:
        """A client of the API, with its key."""
        return httpx.Client(base_url=self.url("API_PORT"), headers={"X-API-Key": self.key}, timeout=timeout)

    def container(self, service: str) -> str:
        """The id of a service's container."""
        if service not in self.containers:
            self.containers[service] = self.compose("ps", "--all", "--quiet", service).stdout.split()[0]
        return self.containers[service]

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine knows of a service's container."""
        return json.loads(docker("inspect", self.container(service)).stdout)[0]

    def execute(self, service: str, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in a service's container."""
        return docker("exec", self.container(service), *command, check=check, timeout=600)

    def wait_healthy(self, *services: str, seconds: float = 240) -> None:
        """Until the health checks of services pass."""
        for service in services:
            ask = ("inspect", "--format", "{{.State.Health.Status}}", self.container(service))
            try:
                wait_until(lambda ask=ask: docker(*ask).stdout.strip() == "healthy", seconds, f"{service} healthy")
            except AssertionError as error:
                raise AssertionError(f"{error}\n{self.logs(service)}") from None

    def logs(self, service: str) -> str:
        """The last lines of a service."""
        answer = self.compose("logs", "--no-color", "--tail", "40", service, check=False)
        return answer.stdout + answer.stderr


def temporary_folder() -> Path:
    """One whose files the engine's client may read."""
    return Path(tempfile.mkdtemp(prefix="housing-stack-"))
