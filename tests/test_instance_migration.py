"""The upgrade of an instance as the runbook has it: a copy, `dagster instance migrate`, and the way back.

The older instance is this version's, taken back by Dagster's own migrations to the schema of late 2024 (before 1.9.2).
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from dagster._cli import create_dagster_cli
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from dagster._core.storage.sql import check_alembic_revision, get_alembic_config, run_alembic_downgrade
from quick_databases import close_idle_connections

from housing_assets.config.instance import InstanceSettings, open_instance, write_instance
from housing_assets.orchestration.build import build_definitions

OLDER = "1aca709bba64"
"""The last schema of runs without `backfill_tags`."""
NEWEST = "29b539ebc72a"
"""The newest schema of the Dagster of the lock. A new Dagster with another is an upgrade as the runbook has it."""
CONFIG = get_alembic_config(sqlite_run_storage.__file__)


def in_runs(home: Path, ask: Callable[[sa.Connection], Any]) -> Any:
    """What a question to the database of an instance's runs gives."""
    engine = sa.create_engine(f"sqlite:///{home}/history/runs.db", poolclass=sa.NullPool)
    with engine.begin() as connection:
        return ask(connection)


def schema(home: Path) -> tuple[str | None, bool]:
    """The revision of an instance's runs, and whether they have the table that the newer schema brings."""
    revision = in_runs(home, lambda connection: check_alembic_revision(CONFIG, connection))[0]
    return revision, in_runs(home, lambda connection: sa.inspect(connection).has_table("backfill_tags"))


@pytest.fixture
def older(tmp_path) -> Path:
    """DAGSTER_HOME of an older version, with one run that succeeded."""
    home = tmp_path / "older"
    write_instance(home, InstanceSettings())
    with open_instance(home) as instance:
        run = instance.create_run_for_job(build_definitions().resolve_job_def("ingest_job"))
        instance.report_dagster_event(dg.DagsterEvent("PIPELINE_SUCCESS", "ingest_job"), run.run_id)
    close_idle_connections()
    in_runs(home, lambda connection: run_alembic_downgrade(CONFIG, connection, OLDER))
    assert schema(home) == (OLDER, False)
    return home


def recorded(home: Path) -> list[tuple[str, str]]:
    with open_instance(home) as instance:
        runs = [(run.job_name, run.status.value) for run in instance.get_runs()]
    close_idle_connections()
    return runs


def test_an_older_instance_is_migrated_and_its_runs_are_read(older, tmp_path, monkeypatch):
    home = tmp_path / "newer"
    shutil.copytree(older, home)
    assert recorded(home) == [("ingest_job", "SUCCESS")], "also before the migration"
    assert schema(home) == (OLDER, False), "to read it changes nothing"
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    done = CliRunner().invoke(create_dagster_cli(), ["instance", "migrate"])
    close_idle_connections()
    assert done.exit_code == 0, done.output
    assert schema(home) == (NEWEST, True)
    assert recorded(home) == [("ingest_job", "SUCCESS")]
    again = CliRunner().invoke(create_dagster_cli(), ["instance", "migrate"])
    close_idle_connections()
    assert again.exit_code == 0, "twice is once"
    with open_instance(home) as instance:
        instance.create_run_for_job(build_definitions().resolve_job_def("ingest_job"))
    # The way back: the copy from before the migration is what it was.
    assert schema(older) == (OLDER, False)
    assert recorded(older) == [("ingest_job", "SUCCESS")]


def test_the_schema_of_the_lock_is_the_one_that_the_migration_leads_to(tmp_path):
    write_instance(tmp_path, InstanceSettings())
    with open_instance(tmp_path) as instance:
        assert not instance.get_runs()
    close_idle_connections()
    assert schema(tmp_path) == (NEWEST, True)
