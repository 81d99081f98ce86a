"""The environment: every variable is on its page, a bad value stops every start, and no secret gets out."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import httpx
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from platform_fixtures import Platform, command_line, free_port

from housing_assets.config.instance import InstanceSettings
from housing_assets.config.settings import Settings
from housing_assets.core.addresses import without_password
from housing_assets.core.errors import HousingError
from housing_assets.orchestration.build import build_definitions
from housing_dashboard.settings import DashboardSettings
from housing_serving.settings import ServingSettings

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/configuration.md").read_text()
ON_PAGE = set(re.findall(r"`([A-Z][A-Z_]+)`", "\n".join(line.split(" | ")[0] for line in PAGE.splitlines())))
READ = re.compile(r"environ(?:ment)?(?:\.get\(|\[)\s*\"([A-Z_]+)\"")


def code() -> dict[Path, str]:
    """What runs, by file: the packages, the notebook, and what makes, builds and deploys them."""
    patterns = (
        "housing_*/**/*.py",
        "notebooks/*",
        "Makefile",
        ".ci/*",
        "Dockerfile",
        "infra/*",
        "tests/benchmarks/*.py",
    )
    patterns += (".github/workflows/*",)
    files = [path for pattern in patterns for path in sorted(ROOT.glob(pattern)) if path.is_file()]
    return {path: path.read_text() for path in [*files, ROOT / "tests/conftest.py"]}


# ---------------------------------------------------------------- the page


def test_every_variable_that_code_names_is_on_the_page():
    assert len(code()) > 100
    for path, text in code().items():
        named = set(re.findall(r"\bHOUSING_[A-Z_]*[A-Z]\b", text)) | set(READ.findall(text))
        assert named <= ON_PAGE, f"{path.relative_to(ROOT)}: {named - ON_PAGE}"


def test_every_variable_on_the_page_is_used():
    everything = "\n".join(code().values())
    fields = {}
    for settings in (Settings, InstanceSettings, ServingSettings, DashboardSettings):
        for name, field in settings.model_fields.items():
            fields[str(field.validation_alias or f"HOUSING_{name.upper()}")] = name
    for variable in ON_PAGE:
        used = rf"\.{fields[variable]}\b" if variable in fields else rf"\b{variable}\b"
        assert re.search(used, everything), variable
    assert fields.keys() <= ON_PAGE


# ---------------------------------------------------------------- a bad value


def start(*command: str, **env: str) -> subprocess.CompletedProcess[str]:
    known = {k: v for k, v in os.environ.items() if not k.startswith("HOUSING_")}
    return subprocess.run(
        [sys.executable, "-m", *command], env={**known, **env}, capture_output=True, text=True, check=False, timeout=240
    )


@pytest.mark.parametrize(
    ("variable", "value", "remedy"),
    [
        ("HOUSING_RATE_LIMIT", "foo", "write a count and a span, such as 100/second"),
        ("HOUSING_API_PORT", "99999", "less than or equal to 65535"),
        ("HOUSING_LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("HOUSING_DAGSTER_URL", "dagster:3000", "write http://host:port"),
        ("HOUSING_CORS_ORIGINS", "*", "'*' is no origin: write scheme://host"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "write http://host:port"),
        ("HOUSING_STORE_URI", "ftp://host", "use a folder or s3://bucket/prefix"),
    ],
)
def test_it_stops_the_api(variable, value, remedy):
    done = start("housing_serving", **{variable: value})
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {variable}='{value}': ")
    assert remedy in done.stderr


def test_it_stops_the_api_under_uvicorn_too():
    done = start("uvicorn", "housing_serving.app:app", "--port", str(free_port()), HOUSING_MAX_ROWS="many")
    assert done.returncode == 1
    assert "HOUSING_MAX_ROWS='many': Input should be a valid integer" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("variable", "value", "remedy"),
    [
        ("HOUSING_API_SECONDS", "soon", "Input should be a valid number"),
        ("HOUSING_API_URL", "localhost:8000", "write http://host:port"),
        ("HOUSING_STORE_URI", "s3://", "write s3://bucket/prefix"),
    ],
)
def test_it_stops_the_dashboard(variable, value, remedy):
    done = start("housing_dashboard", **{variable: value})
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {variable}='{value}'")
    assert remedy in done.stderr


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("HOUSING_TUNE_TRIALS", "abc", "HOUSING_TUNE_TRIALS='abc': Input should be a valid integer"),
        ("HOUSING_STUDY_STORAGE", "studies", "HOUSING_STUDY_STORAGE='studies': write an SQLAlchemy URL"),
        ("HOUSING_WEBHOOK_URL", "s3cret", "HOUSING_WEBHOOK_URL: write an address"),
        ("HOUSING_POSTGRES_URL", "postgres://u:s3cret@db", "HOUSING_POSTGRES_URL: write postgresql+psycopg2://"),
        ("HOUSING_STORE_URI", "ftp://host", "HOUSING_STORE_URI='ftp://host': use a folder or s3://bucket/prefix"),
    ],
)
@pytest.mark.parametrize("command", ["status", "run", "serve"])
def test_it_stops_every_command(tmp_path, command, variable, value, told):
    done = command_line(tmp_path, "", **{variable: value})(command)
    assert done.code == 1
    assert f"error: {told}" in done.err
    assert "s3cret" not in done.err


def test_it_stops_dagster(tmp_path):
    done = start(
        "dagster", "definitions", "validate", "-m", "housing_assets.definitions",
        HOUSING_SAMPLE_ZIPS="none", DAGSTER_HOME=str(tmp_path),
    )  # fmt: skip
    assert done.returncode == 1
    assert "HOUSING_SAMPLE_ZIPS='none': Input should be a valid integer" in done.stdout + done.stderr


# ---------------------------------------------------------------- secrets


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql+psycopg2://dagster:s3cret@db:5432/x", "postgresql+psycopg2://dagster:***@db:5432/x"),
        ("http://me:s3@cret@host/path", "http://me:***@host/path"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("http://host:1/a@b", "http://host:1/a@b"),
        ("sqlite:///data/mlflow.db", "sqlite:///data/mlflow.db"),
        ("cannot reach http://a:b@c and http://d:e@f", "cannot reach http://a:***@c and http://d:***@f"),
    ],
)
def test_a_password_is_not_shown(address, shown):
    assert without_password(address) == shown


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://u:a/s3cret@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u:1/s3cret@h/db", "postgresql://u:***@h/db"),
        ("http://u:s3cret/x@h:1/db", "http://u:***@h:1/db"),
        ("http://me@here:s3?cr#et@h/db", "http://me@here:***@h/db"),
        ("redis://:s3 cret@h", "redis://:***@h"),
        ("'https://h/x?password=s3cret'", "'https://h/x?password=***'"),
        ("https://h:1/x?a=1&token=s3/cret@x&b=2#c", "https://h:1/x?a=1&token=***&b=2#c"),
        ("postgresql://h/db?user=x&pass%77ord=s3cret", "postgresql://h/db?user=x&pass%77ord=***"),
        ("s3://bucket/a:b@c.csv?versionId=1", "s3://bucket/a:b@c.csv?versionId=1"),
        ("(https://h?X-Amz-Signature=s3cret)", "(https://h?X-Amz-Signature=***)"),
        ("https://h/#access_token=s3cret", "https://h/#access_token=***"),
        ("postgresql://u://s3cret@host:1/db", "postgresql://u:***@host:1/db"),
        ("http://h:80/x: see http://h/y?a=b", "http://h:80/x: see http://h/y?a=b"),
    ],
)
def test_a_password_of_any_form_is_not_shown(address, shown):
    assert without_password(address) == shown
    assert str(HousingError(f"no answer of {address}: try again")) == f"no answer of {shown}: try again"


@given(st.from_regex(r"[!-~ ]{0,9}s3cret[!-~ ]{0,9}", fullmatch=True), st.sampled_from(["u", "", "me@here"]))
def test_whatever_a_password_holds_it_is_not_shown(password, user):
    assume("://" not in password)
    assert "s3cret" not in without_password(f"'postgresql+psycopg2://{user}:{password}@host:1/db': no answer")
    quoted = quote(password, safe="/:!'()")
    assert "s3cret" not in without_password(f"cannot read 'https://host/a?b=1&password={quoted}&c=2': no answer")


def test_no_secret_is_in_what_a_failed_run_prints_records_or_stores(source, bucket, s3_admin, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret-aws")
    nowhere = f"127.0.0.1:{free_port()}"
    line = command_line(
        tmp_path,
        source,
        HOUSING_STORE_URI=f"s3://{bucket}/store",
        HOUSING_WEBHOOK_URL=f"http://{nowhere}/s3cret-hook",
        HOUSING_API_KEYS="s3cret-key",
        MLFLOW_TRACKING_URI=f"http://me:s3cret-mlflow@{nowhere}",
        HOUSING_STUDY_STORAGE=f"postgresql+psycopg2://me:s3cret-study@{nowhere}/studies",
    )
    done, status = line("run"), line("status")
    assert done.code == 1
    assert f"the tuning study cannot be kept in postgresql+psycopg2://me:***@{nowhere}/studies" in done.err
    assert f"http://me:***@{nowhere}" in status.out
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert any(path.suffix == ".db" and b"tracking is missing" in data for path, data in kept.items())
    objects = s3_admin.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    for key in (item["Key"] for page in objects for item in page["Contents"]):
        kept[Path(key)] = s3_admin.get_object(Bucket=bucket, Key=key)["Body"].read()
    kept |= {
        Path(name): text.encode() for name, text in {"out": done.out, "err": done.err, "status": status.out}.items()
    }
    assert not [str(path) for path, data in kept.items() if b"s3cret" in data]


def test_no_secret_is_in_what_dagster_shows_of_the_platform(tmp_path):
    platform = Platform(tmp_path, tmp_path / "none.csv", {"webhook_url": "http://127.0.0.1:9/s3cret"})
    from dagster._core.remote_representation.external_data import RepositorySnap

    shown = dg.serialize_value(RepositorySnap.from_def(build_definitions(platform.settings).get_repository_def()))
    assert "failure_notices" in shown
    assert "s3cret" not in shown
    assert "s3cret" not in repr(platform.settings) + repr(platform.definitions.resources)


def test_a_database_that_is_away_is_named_without_its_password(tmp_path, unused_port):
    address = f"postgresql+psycopg2://dagster:s3cret@127.0.0.1:{unused_port}/dagster"
    done = command_line(tmp_path, "", HOUSING_POSTGRES_URL=address)("status")
    assert done.code == 1
    assert "error: HOUSING_POSTGRES_URL: the database does not answer" in done.err
    assert "s3cret" not in done.out + done.err


def test_no_key_is_in_the_log_of_the_api(made, tmp_path):
    port, log = free_port(), tmp_path / "log"
    env = {"HOUSING_STORE_URI": str(made.folder), "HOUSING_API_KEYS": "s3cret-key", "HOUSING_API_PORT": str(port)}
    env |= {"HOUSING_LOG_LEVEL": "debug", "HOUSING_LEAVE_SECONDS": "0", "AWS_SECRET_ACCESS_KEY": "s3cret-aws"}
    with log.open("wb") as file:
        command = [sys.executable, "-m", "housing_serving"]
        server = subprocess.Popen(command, env={**os.environ, **env}, cwd=tmp_path, stdout=file, stderr=file)
    try:
        until = time.monotonic() + 60
        while True:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < until
            try:
                if httpx.get(f"http://127.0.0.1:{port}/health/ready").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        for key, status in {"s3cret-key": 200, "s3cret-guess": 401}.items():
            answer = httpx.get(f"http://127.0.0.1:{port}/model", headers={"X-API-Key": key})
            assert answer.status_code == status
        httpx.post(f"http://127.0.0.1:{port}/predict", headers={"X-API-Key": "s3cret-key"}, content=b"{")
    finally:
        server.terminate()
        server.wait(30)
    told = log.read_text()
    assert '"/model"' in told
    assert "s3cret" not in told
