"""The instance as the environment wants it: embedded, or in PostgreSQL and S3."""

import os
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import httpx
import pytest
import yaml
from platform_fixtures import MONTHS, command_line, free_port
from postgres_server import PASSWORD

from housing_assets.config.instance import BASE, InstanceSettings, instance_config, write_instance
from housing_assets.store.layout import Store

PROJECT = Path(__file__).parents[1]
BACKFILL = """
mutation Launch($months: [String!]!) {
  launchPartitionBackfill(backfillParams: {
    assetSelection: [{path: ["raw_splits"]}, {path: ["cleaned"]}], partitionNames: $months, title: "by hand"
  }) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
STATUS = """
query Status($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    ... on PartitionBackfill { status runs { id status } }
    ... on PythonError { message }
  }
}
"""


def test_without_variables_it_is_the_project_s_file(tmp_path):
    write_instance(tmp_path / "home", InstanceSettings())
    assert yaml.safe_load((tmp_path / "home/dagster.yaml").read_text()) == yaml.safe_load(BASE.read_text())
    with dg.DagsterInstance.from_config(str(tmp_path / "home")) as instance:
        assert "sqlite" in type(instance.run_storage).__name__.lower()


def test_secrets_and_addresses_are_named_and_not_written(tmp_path):
    secret = "postgresql+psycopg2://dagster:s3cret@db/dagster"
    settings = InstanceSettings.model_validate({"postgres_url": secret, "logs_bucket": "logs"})
    write_instance(tmp_path, settings, "http://127.0.0.1:9000")
    text = (tmp_path / "dagster.yaml").read_text()
    assert "s3cret" not in text
    config = yaml.safe_load(text)
    assert config["storage"] == {"postgres": {"postgres_url": {"env": "HOUSING_POSTGRES_URL"}}}
    logs = {"bucket": "logs", "prefix": "dagster", "endpoint_url": {"env": "AWS_ENDPOINT_URL"}}
    assert config["compute_logs"]["config"] == logs
    assert config["concurrency"] == yaml.safe_load(BASE.read_text())["concurrency"]
    assert "endpoint_url" not in instance_config({}, settings)["compute_logs"]["config"]


def test_an_address_without_its_driver_is_refused_and_hidden(tmp_path):
    line = command_line(tmp_path, "none.csv", HOUSING_POSTGRES_URL="postgresql://dagster:s3cret@db/dagster")
    outcome = line("status")
    assert outcome.code == 1
    assert "HOUSING_POSTGRES_URL: write postgresql+psycopg2://" in outcome.err
    assert "s3cret" not in outcome.err


def test_a_changed_environment_changes_the_file_but_never_somebody_else_s(tmp_path):
    write_instance(tmp_path, InstanceSettings())
    write_instance(tmp_path, InstanceSettings.model_validate({"logs_bucket": "logs"}))
    assert "compute_logs" in yaml.safe_load((tmp_path / "dagster.yaml").read_text())
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    write_instance(tmp_path, InstanceSettings())
    assert (tmp_path / "dagster.yaml").read_text() == "telemetry: {enabled: false}\n"


def test_a_backfill_launched_as_the_ui_does_runs_in_postgresql_with_its_logs_in_s3(
    postgres, source, bucket, s3_env, s3_admin, tmp_path
):
    # The last ones: Dagster's backfill also asks for `cleaned` of the month after, which rests on its raw rows.
    months, port = MONTHS[-4:], free_port()
    line = command_line(tmp_path, source, HOUSING_POSTGRES_URL=postgres, HOUSING_LOGS_BUCKET=bucket)
    assert line("status").code == 0  # which writes the instance's configuration
    command = [Path(sys.executable).parent / "dagster", "dev", "-w", PROJECT / "workspace.yaml", "-p", str(port)]
    with (tmp_path / "dagster.log").open("wb") as log:
        env = {**os.environ, **line.env, "HOUSING_SOURCE_SECONDS": "3600"}
        dagster = subprocess.Popen(list(map(str, command)), cwd=tmp_path, env=env, stdout=log, stderr=log)

    def ask(query: str, **variables: object) -> dict:
        body = {"query": query, "variables": variables}
        return httpx.post(f"http://127.0.0.1:{port}/graphql", json=body, timeout=240).raise_for_status().json()["data"]

    try:
        until = time.monotonic() + 240
        launched = {}
        while launched.get("__typename") != "LaunchBackfillSuccess":
            assert time.monotonic() < until, (tmp_path / "dagster.log").read_text()[-3_000:] + str(launched)
            time.sleep(1)
            try:
                launched = ask(BACKFILL, months=months)["launchPartitionBackfill"]
            except httpx.TransportError:
                continue
        status = {}
        while status.get("status") != "COMPLETED_SUCCESS":
            assert time.monotonic() < until, f"{status} {(tmp_path / 'dagster.log').read_text()[-3_000:]}"
            assert status.get("status") not in ("FAILED", "COMPLETED_FAILED", "CANCELED"), status
            time.sleep(1)
            status = ask(STATUS, id=launched["backfillId"])["partitionBackfillOrError"]
    finally:
        dagster.terminate()
        dagster.wait(60)
    assert {run["status"] for run in status["runs"]} == {"SUCCESS"}
    store = Store.open(line.env["HOUSING_STORE_URI"])
    # `source_sensor` asks for the other months meanwhile.
    assert set(months) <= set(store.months("cleaned").available())
    import psycopg2

    with psycopg2.connect(postgres.replace("+psycopg2", "")) as connection, connection.cursor() as cursor:
        cursor.execute("select status from runs where run_id = %s", (status["runs"][0]["id"],))
        assert cursor.fetchone() == ("SUCCESS",)
    assert not list((tmp_path / "home").rglob("*.db"))
    keys = [o["Key"] for o in s3_admin.list_objects_v2(Bucket=bucket, Prefix="dagster/").get("Contents", [])]
    assert any(status["runs"][0]["id"] in key for key in keys), keys


# ---------------------------------------------------------------- runs as tasks of ECS


ECS = {
    "ecs_task_definition": "housing-dagster-run",
    "ecs_cluster": "housing",
    "ecs_subnets": "subnet-1, subnet-2",
    "ecs_security_groups": "sg-1",
}


def test_a_task_definition_alone_is_not_enough_for_ecs(tmp_path):
    outcome = command_line(tmp_path, "none.csv", HOUSING_ECS_TASK_DEFINITION="run", HOUSING_ECS_CLUSTER="housing")(
        "status"
    )
    assert outcome.code == 1
    assert "HOUSING_ECS_TASK_DEFINITION=run needs HOUSING_ECS_SUBNETS, HOUSING_ECS_SECURITY_GROUPS too" in outcome.err


def test_the_daemon_launches_a_queued_run_as_a_task_of_ecs_and_looks_after_it_there(s3_env, source, tmp_path):
    import boto3

    ecs, ec2 = boto3.client("ecs"), boto3.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="runs", Description="runs", VpcId=vpc)["GroupId"]
    ecs.create_cluster(clusterName="housing")
    definition = ecs.register_task_definition(
        family="housing-dagster-run",
        networkMode="awsvpc",
        cpu="1024",
        memory="4096",
        containerDefinitions=[{"name": "run", "image": "housing-dagster:1", "memory": 512}],
    )["taskDefinition"]["taskDefinitionArn"]
    places = {"ecs_subnets": f" {subnet},", "ecs_security_groups": group}
    variables = {f"HOUSING_{name.upper()}": value for name, value in {**ECS, **places}.items()}
    line = command_line(tmp_path, source, **variables, HOUSING_SOURCE_SECONDS="3600")
    env = {**os.environ, **line.env}
    programs = Path(sys.executable).parent
    workspace = ["-w", str(PROJECT / "workspace.yaml")]

    assert line("status").code == 0  # which writes the instance's configuration and makes its tables
    launch = [str(programs / "dagster"), "job", "launch", *workspace, "-j", "training_job"]
    subprocess.run(launch, cwd=tmp_path, env=env, check=True, capture_output=True)

    def launched() -> bool:
        with dg.DagsterInstance.from_config(str(tmp_path / "home")) as instance:
            runs = instance.get_runs(dg.RunsFilter(job_name="training_job"))
        return any("ecs/task_arn" in run.tags for run in runs)

    # As a container does it: `housing start` becomes the daemon.
    start = [programs / "housing", "start", programs / "dagster-daemon", "run", *workspace]
    with (tmp_path / "daemon.log").open("wb") as log:
        daemon = subprocess.Popen(list(map(str, start)), cwd=tmp_path, env=env, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 120
        while not launched():
            told = (tmp_path / "daemon.log").read_text()
            assert time.monotonic() < until, told[-3_000:]
            assert "Traceback" not in told, told
            time.sleep(0.5)
        # Without the job's tag, as the UI starts assets alone: only the pool holds it.
        subprocess.run([*launch, "--tags", '{"housing/job": ""}'], cwd=tmp_path, env=env, check=True)
        while "is blocked by global concurrency limits" not in (tmp_path / "daemon.log").read_text():
            assert time.monotonic() < until, (tmp_path / "daemon.log").read_text()[-3_000:]
            time.sleep(0.5)
    finally:
        daemon.terminate()
        daemon.wait(60)

    with dg.DagsterInstance.from_config(str(tmp_path / "home")) as instance:
        waiting, run = instance.get_runs(dg.RunsFilter(job_name="training_job"))
        assert waiting.status == dg.DagsterRunStatus.QUEUED
        arn = run.tags["ecs/task_arn"]
        (task,) = ecs.describe_tasks(cluster="housing", tasks=[arn])["tasks"]
        assert task["taskDefinitionArn"] == definition
        assert task["launchType"] == "FARGATE"
        (override,) = task["overrides"]["containerOverrides"]
        assert override["name"] == "run"
        assert override["command"][:3] == ["dagster", "api", "execute_run"]
        assert run.run_id in override["command"][3]
        assert instance.run_launcher.check_run_worker_health(run).status.name == "RUNNING"
        assert instance.run_launcher.terminate(run.run_id)
    assert ecs.describe_tasks(cluster="housing", tasks=[arn])["tasks"][0]["lastStatus"] == "STOPPED"


# ---------------------------------------------------------------- databases


def test_databases_are_made_once_with_the_password_outside_of_the_address(postgres, tmp_path, monkeypatch):
    server = postgres.rpartition("/")[0].replace(f":{PASSWORD}@", "@")
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    line = command_line(
        tmp_path,
        "none.csv",
        HOUSING_POSTGRES_URL=f"{server}/housing-dagster",
        HOUSING_STUDY_STORAGE=f"{server}/studies",
        MLFLOW_BACKEND_STORE_URI="sqlite:///mlflow.db",
    )
    first, again = line("databases"), line("databases")
    assert first.code == again.code == 0, first.err
    assert "housing-dagster: made" in first.out
    assert "studies: made" in first.out
    assert "housing-dagster: there already" in again.out
    assert line("status").code == 0  # Dagster's tables
    import psycopg2

    address = f"{server}/housing-dagster".replace("+psycopg2", "")
    with psycopg2.connect(address) as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from runs")
        assert cursor.fetchone() == (0,)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("postgresql+psycopg2://dagster:s3cret@127.0.0.1:1/dagster", "its server cannot be asked for dagster"),
        ("postgresql+psycopg2://dagster:s3cret@127.0.0.1", "names no database"),
    ],
)
def test_a_server_that_is_away_is_told_without_the_password(tmp_path, address, told):
    outcome = command_line(tmp_path, "none.csv", HOUSING_STUDY_STORAGE=address)("databases")
    assert outcome.code == 1
    assert "HOUSING_STUDY_STORAGE" in outcome.err
    assert told in outcome.err
    assert "s3cret" not in outcome.err
