"""What the compose file claims."""

import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from dockerfile import PROJECT, parse
from platform_fixtures import free_port
from stacks import of_type, read
from variables import known

INFRA = PROJECT / "infra"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((INFRA / "compose.yaml").read_text())["services"]
OURS = {name: s for name, s in SERVICES.items() if "build" in s}
STAGES = parse((PROJECT / "Dockerfile").read_text())


def test_every_image_is_built_here_or_pinned_to_a_version():
    for name, service in SERVICES.items():
        if name in OURS:
            assert service["build"]["target"] in STAGES
            assert (INFRA / service["build"]["context"]).resolve() == PROJECT
        else:
            assert re.fullmatch(r"[\w./-]+:\d+\.\d+[\w.-]*", service["image"]), name


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_one_that_is_read(name):
    assert OURS[name].get("environment", {}).keys() <= known()


def test_ports_are_those_of_the_images_and_on_loopback_alone():
    published = {}
    for name, service in SERVICES.items():
        for port in service.get("ports", ()):
            host, outside, inside = re.fullmatch(r"(.*):\$\{[A-Z]+_PORT:-(\d+)\}:(\d+)", port).groups()
            assert host == "127.0.0.1", name
            published[name] = (int(outside), int(inside))
    assert published == {
        "webserver": (3000, 3000), "api": (8000, 8000), "dashboard": (8501, 8501), "mlflow": (5000, 5000),
    }  # fmt: skip
    for name, target in (("webserver", "dagster"), ("api", "api"), ("dashboard", "dashboard")):
        (port,) = [int(i.text) for i in STAGES[target].instructions if i.keyword == "EXPOSE"]
        assert published[name][1] == port


def test_addresses_lead_to_services_and_their_ports():
    inside = {"webserver": 3000, "api": 8000, "mlflow": 5000, "s3": 9000, "postgres": 5432}
    found = set()
    for service in OURS.values():
        for value in service.get("environment", {}).values():
            found |= {(host, int(port)) for host, port in re.findall(r"(?://|@)([a-z0-9]+):(\d+)", str(value))}
    assert found == set(inside.items())


def test_every_service_waits_for_what_it_needs_and_can_be_asked_whether_it_is_well():
    for name, service in SERVICES.items():
        for needed, how in service.get("depends_on", {}).items():
            once = SERVICES[needed].get("restart", "no") == "no"
            assert how["condition"] == ("service_completed_successfully" if once else "service_healthy"), (name, needed)
            if not once and "healthcheck" not in SERVICES[needed]:
                image = STAGES[SERVICES[needed]["build"]["target"]].instructions
                assert "HEALTHCHECK" in [i.keyword for i in image], needed
    assert set(SERVICES["api"]["depends_on"]) >= {"s3"}
    assert set(SERVICES["daemon"]["depends_on"]) == {"databases", "s3", "mlflow"}


def test_every_service_has_a_read_only_root_and_no_rights_and_keeps_its_data_in_a_volume():
    volumes = yaml.safe_load((INFRA / "compose.yaml").read_text())["volumes"]
    for name, service in SERVICES.items():
        assert service["read_only"] is True, name
        if service.get("restart") == "unless-stopped":
            assert service["cap_drop"] == ["ALL"], name
            assert service["security_opt"] == ["no-new-privileges:true"], name
            (volume,) = service["volumes"]
            assert volume.split(":")[0] in volumes, name
            if name in OURS:
                (place,) = [i.text for i in STAGES[service["build"]["target"]].instructions if i.keyword == "VOLUME"]
                assert volume.split(":")[1] == place


def test_secrets_come_from_a_file_that_git_ignores_and_that_has_an_example():
    text = (INFRA / "compose.yaml").read_text()
    used = set(re.findall(r"\$\{([A-Z0-9_]+)", text))
    example = dict(re.findall(r"^([A-Z0-9_]+)=(.*)$", (INFRA / ".env.example").read_text(), re.MULTILINE))
    assert used == example.keys()
    assert not any(example[name] for name in example if re.search("PASSWORD|SECRET|_KEY$", name))
    defaults = dict(re.findall(r"\$\{([A-Z]+_PORT):-(\d+)", text))
    assert defaults == {name: value for name, value in example.items() if name.endswith("_PORT")}
    ignored = subprocess.run(["git", "check-ignore", "-q", "infra/.env"], cwd=PROJECT, check=False)
    assert ignored.returncode == 0
    required = {name for name in used if re.search("PASSWORD|SECRET|_KEY$", name)}
    assert not [name for name in required if f"${{{name}}}" in text or f"${{{name}:-" in text]


def test_memory_is_limited_as_in_the_task_definitions():
    template = read("services")
    tasks = {t["Family"]["Fn::Sub"]: t["Memory"] for t in of_type(template, "AWS::ECS::TaskDefinition").values()}
    of_run = template["Parameters"]["RunMemory"]["Default"]
    services = {"api": "api", "dashboard": "streamlit", "webserver": "dagster-webserver", "mlflow": "mlflow"}
    for service, family in services.items():
        assert SERVICES[service]["mem_limit"] == f"{tasks[f'${{Name}}-{family}']}m"
    assert SERVICES["daemon"]["mem_limit"] == f"{of_run}m"


# ---------------------------------------------------------------- make stack, where it cannot


GOOD = {
    "POSTGRES_PASSWORD": "0123456789abcdef",
    "S3_ACCESS_KEY_ID": "housing",
    "S3_SECRET_ACCESS_KEY": "0123456789abcdef",
    "HOUSING_API_KEY": "0123456789abcdef",
}


def make_stack(folder: Path, answers: str = "", **values: str) -> tuple[int, str, bool]:
    """Exit code and message of `make stack` with values of `.env`, and whether a service was started.

    Args:
        answers: of the engine: cases of a shell; an engine that does not get one does what it is told.
    """
    if answers != "none":
        engine = folder / "docker"
        engine.write_text(f'#!/bin/sh\ncase "$*" in *" up "*) touch "$0.up" ;; {answers} esac\n')
        engine.chmod(0o755)
    file = folder / "stack.env"
    ports = {name: str(free_port()) for name in ("DAGSTER_PORT", "API_PORT", "DASHBOARD_PORT", "MLFLOW_PORT")}
    file.write_text("".join(f"{name}={value}\n" for name, value in {**GOOD, **ports, **values}.items()))
    done = subprocess.run(
        [sys.executable, INFRA / "stack.py", "up"], capture_output=True, text=True, check=False,
        env={"PATH": f"{folder}:/usr/bin:/bin", "HOUSING_STACK_ENV": str(file)},
    )  # fmt: skip
    return done.returncode, done.stderr, (folder / "docker.up").exists()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("POSTGRES_PASSWORD", "", "POSTGRES_PASSWORD has no value in"),
        ("S3_SECRET_ACCESS_KEY", "short", "S3_SECRET_ACCESS_KEY has 5 characters, fewer than 16"),
        ("S3_ACCESS_KEY_ID", "a,b", "S3_ACCESS_KEY_ID has other characters than letters, digits"),
        ("HOUSING_API_KEY", "0123456789abcdef,0123456789", "HOUSING_API_KEY has other characters"),
        ("API_PORT", "http", "API_PORT=http is no port: a whole number from 1 to 65535"),
        ("API_PORT", "70000", "API_PORT=70000 is no port"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "write http://host:port or https://host"),
        ("bad name", "1", "is not NAME=value"),
    ],
)
def test_a_bad_value_is_one_line_before_anything_starts(tmp_path, name, value, message):
    code, said, started = make_stack(tmp_path, **{name: value})
    assert code == 1
    assert said.startswith("stack: ")
    assert message in said
    assert said.count("\n") == 1
    assert not started
    assert "0123456789abcdef" not in said


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ("none", "there is no container engine: install Docker"),
        ("version) echo 'Cannot connect' >&2; exit 1 ;;", "no container engine answers (Cannot connect): start Docker"),
        ("'compose version') exit 1 ;;", "the engine has no `docker compose`: install Docker's compose plugin"),
        ("run*) echo 'No such image' >&2; exit 125 ;;", "cannot be run (No such image): `make images`"),
        ("run*TUNE_TRIALS*) echo 'error: X=many: no number' >&2; exit 1 ;;", "stack: X=many: no number: correct it in"),
    ],
)  # fmt: skip
def test_what_an_engine_or_the_platform_refuses_is_one_line_before_anything_starts(tmp_path, answers, message):
    code, said, started = make_stack(tmp_path, answers, HOUSING_TUNE_TRIALS="many")
    assert code == 1
    assert said.startswith("stack: ")
    assert message in said
    assert said.count("\n") == 1
    assert not started


def test_a_port_that_is_taken_is_one_line_before_anything_starts(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code, said, started = make_stack(tmp_path, API_PORT=str(port))
        twice = make_stack(tmp_path, API_PORT="8000", MLFLOW_PORT="8000")[1]
    assert code == 1
    assert said.startswith(f"stack: port {port} is taken on 127.0.0.1: end what has it, or set API_PORT to another in")
    assert said.count("\n") == 1
    assert not started
    assert "API_PORT and MLFLOW_PORT are both 8000" in twice


def test_with_good_values_everything_is_started(tmp_path):
    code, said, started = make_stack(tmp_path)
    assert (code, said, started) == (0, "", True)
