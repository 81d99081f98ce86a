"""What the compose file claims."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from dockerfile import PROJECT, parse
from platform_fixtures import free_port
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
            host, outside, inside = port.split(":")
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
    ignored = subprocess.run(["git", "check-ignore", "-q", "infra/.env"], cwd=PROJECT, check=False)
    assert ignored.returncode == 0
    required = {name for name in used if re.search("PASSWORD|SECRET|_KEY$", name)}
    assert not [name for name in required if f"${{{name}}}" in text or f"${{{name}:-" in text]


@pytest.mark.parametrize(
    ("host", "status"), [("mlflow:5000", 200), ("127.0.0.1:5000", 200), ("elsewhere.example", 403)]
)
def test_mlflow_answers_to_its_name_in_the_network_and_to_no_other(mlflow_server, host, status):
    asked = httpx.get(f"{mlflow_server}/api/2.0/mlflow/experiments/get?experiment_id=0", headers={"Host": host})
    assert asked.status_code == status


@pytest.fixture(scope="module")
def mlflow_server(tmp_path_factory):
    """MLflow with the compose file's command and settings, but for the database, the artifacts and the port."""
    told, port, folder = SERVICES["mlflow"], free_port(), tmp_path_factory.mktemp("mlflow")
    env = {name: str(value) for name, value in told["environment"].items() if name.startswith("MLFLOW_")}
    env |= {"MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder}/mlflow.db", "MLFLOW_ARTIFACTS_DESTINATION": str(folder)}
    swap = {"0.0.0.0": "127.0.0.1", "5000": str(port), "mlflow": str(Path(sys.executable).parent / "mlflow")}
    command = [swap.get(word, word) for word in told["command"]]
    outside = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            command, env={**outside, **env}, cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
    try:
        for _ in range(1_200):
            try:
                if httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200:
                    break
            except httpx.TransportError:
                assert server.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # it has child processes, and nothing to lose
        server.wait(30)
