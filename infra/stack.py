"""The whole platform on one host: `make stack`, `make stack-down`.

Refuses a value of `infra/.env` or a port that is taken in one line, before anything starts. Then `docker compose`
starts everything, and this returns once every service is healthy.
"""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

INFRA = Path(__file__).parent
ENV_FILE = Path(os.environ.get("HOUSING_STACK_ENV", INFRA / ".env"))
SECRETS = ("POSTGRES_PASSWORD", "S3_SECRET_ACCESS_KEY", "HOUSING_API_KEY")
PORTS = {"DAGSTER_PORT": 3000, "API_PORT": 8000, "DASHBOARD_PORT": 8501, "MLFLOW_PORT": 5000}
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
                check_ports(values)
                _compose("up", "--detach", "--wait", "--wait-timeout", str(START_SECONDS))
                for name in PORTS:
                    print(f"{name.removesuffix('_PORT').lower():<12}http://127.0.0.1:{port_of(values, name)}")
            case ["down"]:
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


def _compose(*words: str) -> None:
    command = ["docker", "compose", "--file", str(INFRA / "compose.yaml"), "--env-file", str(ENV_FILE), *words]
    if subprocess.run(command, check=False).returncode:
        raise StackError(
            f"`docker compose {words[0]}` failed: `docker compose --file infra/compose.yaml logs` says why"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
