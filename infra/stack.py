"""The whole platform on one host: `make stack`, `make stack-down`.

Refuses an engine that is not there, a value of `infra/.env`, or a port that is taken in one line, before it starts
anything. Then `docker compose` starts everything, and this returns once every service is healthy.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

INFRA = Path(__file__).parent
ENV_FILE = Path(os.environ.get("HOUSING_STACK_ENV", INFRA / ".env"))
SECRETS = ("POSTGRES_PASSWORD", "S3_SECRET_ACCESS_KEY", "HOUSING_API_KEY")
PORTS = {"DAGSTER_PORT": 3000, "API_PORT": 8000, "DASHBOARD_PORT": 8501, "MLFLOW_PORT": 5000}
COLLECTOR = "OTEL_EXPORTER_OTLP_ENDPOINT"
IMAGE = "housing-dagster:local"
ENGINE_FAILED = 125
"""Exit code of `docker run` where the engine could not run the image."""
SHORTEST = 16
"""Characters of a secret."""
START_SECONDS = 300


class StackError(Exception):
    """Why the stack is not started, in one line, with the remedy."""


def main(arguments: list[str]) -> int:
    """Start or stop the stack; returns the exit code."""
    try:
        match arguments:
            case ["up"]:
                values = read_values(ENV_FILE)
                check_values(values)
                check_engine()
                check_ports(values)
                check_settings(values)
                _compose("up", "--detach", "--wait", "--wait-timeout", str(START_SECONDS))
                for name in PORTS:
                    print(f"{name.removesuffix('_PORT').lower():<12}http://127.0.0.1:{port_of(values, name)}")
            case ["down"]:
                check_engine()
                _compose("down")
            case _:
                raise StackError("say `up` or `down`")
    except StackError as reason:
        print(f"stack: {reason}", file=sys.stderr)
        return 1
    return 0


def read_values(file: Path) -> dict[str, str]:
    """The variables of an environment file; those of the process come first, as with `docker compose`.

    Raises:
        StackError: if the file is missing, or a line is none of `NAME=value`.
    """
    if not file.is_file():
        raise StackError(f"{file} is missing: `cp infra/.env.example infra/.env` and fill it in")
    values = {}
    for number, line in enumerate(file.read_text().splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, separator, value = line.partition("=")
        if not separator or not re.fullmatch(r"[A-Za-z_]\w*", name.strip()):
            raise StackError(f"{file} line {number} is not NAME=value")
        values[name.strip()] = value.strip().strip("'\"")
    return {**values, **{name: os.environ[name] for name in (*values, *PORTS) if name in os.environ}}


def check_values(values: Mapping[str, str]) -> None:
    """Refuse secrets that are missing, short, or that a service would read as something else."""
    for name in (*SECRETS, "S3_ACCESS_KEY_ID"):
        value = values.get(name, "")
        if not value:
            raise StackError(f"{name} has no value in {ENV_FILE}: `openssl rand -hex 24` makes a good one")
        if name in SECRETS and len(value) < SHORTEST:
            raise StackError(f"{name} has {len(value)} characters, fewer than {SHORTEST}: `openssl rand -hex 24`")
        if not re.fullmatch(r"[\w.~+/=-]+", value, re.ASCII):
            raise StackError(f"{name} has other characters than letters, digits and .~+/=-_: `openssl rand -hex 24`")
    for name in PORTS:
        port_of(values, name)
    collector = values.get(COLLECTOR, "")
    if collector and not collector.startswith(("http://", "https://")):
        raise StackError(f"{COLLECTOR}={collector}: write http://host:port or https://host")


def check_engine() -> None:
    """Refuse an engine that is not there, does not answer, or has no `docker compose`."""
    if shutil.which("docker") is None:
        raise StackError("there is no container engine: install Docker with its compose plugin")
    answer = subprocess.run(["docker", "version"], capture_output=True, text=True, check=False)
    if answer.returncode:
        raise StackError(f"no container engine answers ({_last(answer.stderr)}): start Docker")
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        raise StackError("the engine has no `docker compose`: install Docker's compose plugin (docker-compose)")


def check_settings(values: Mapping[str, str]) -> None:
    """Refuse a value that the platform would refuse, in a container of it that leaves nothing."""
    given = {
        name: value for name, value in values.items() if value and name.startswith("HOUSING_") and name not in SECRETS
    }
    flags = [word for name in given for word in ("--env", name)]
    answer = subprocess.run(
        ["docker", "run", "--rm", "--pull", "never", "--network", "none", *flags, IMAGE, "housing", "start", "true"],
        env={**os.environ, **given}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if answer.returncode == ENGINE_FAILED:
        raise StackError(f"{IMAGE} cannot be run ({_last(answer.stderr)}): `make images` builds it")
    if answer.returncode:
        raise StackError(f"{_last(answer.stderr).removeprefix('error: ')}: correct it in {ENV_FILE}")


def check_ports(values: Mapping[str, str]) -> None:
    """Refuse ports that another program has, or that are given twice."""
    running = subprocess.run(
        ["docker", "compose", "--file", INFRA / "compose.yaml", "--env-file", ENV_FILE, "ps", "--quiet"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    ports = {name: port_of(values, name) for name in PORTS}
    for name, port in ports.items():
        same = [other for other, number in ports.items() if number == port and other != name]
        if same:
            raise StackError(f"{name} and {same[0]} are both {port}: choose another for one of them in {ENV_FILE}")
    if running.stdout.strip():
        return  # its own containers have them
    for name, port in ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                raise StackError(
                    f"port {port} is taken on 127.0.0.1: end what has it, or set {name} to another in {ENV_FILE}"
                ) from None


def port_of(values: Mapping[str, str], name: str) -> int:
    """A port, by its variable.

    Raises:
        StackError: if it is none.
    """
    text = values.get(name) or str(PORTS[name])
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:
        raise StackError(f"{name}={text} is no port: a whole number from 1 to 65535")
    return int(text)


def _last(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "no output").strip()


def _compose(*words: str) -> None:
    command = ["docker", "compose", "--file", str(INFRA / "compose.yaml"), "--env-file", str(ENV_FILE), *words]
    if subprocess.run(command, check=False).returncode:
        raise StackError(
            f"`docker compose {words[0]}` failed: `docker compose --file infra/compose.yaml logs` says why"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
