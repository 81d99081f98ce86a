"""The upgrade of an instance as the runbook has it: a copy, `dagster instance migrate`, and the way back.

The older instance is this version's, taken back by Dagster's own migrations to the schema of late 2024 (before 1.9.2).
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
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
MIGRATIONS = get_alembic_config(sqlite_run_storage.__file__)
"""They are the same for every database."""


def ask(address: str, question: Callable[[sa.Connection], Any]) -> Any:
    """What a question to a database gives."""
    # Without a transaction, as Dagster connects: PostgreSQL makes and drops its indexes, and databases, in none.
    options = {} if address.startswith("sqlite") else {"isolation_level": "AUTOCOMMIT"}
    engine = sa.create_engine(address, poolclass=sa.NullPool, **options)
    with engine.begin() as connection:
        return question(connection)


@dataclass(frozen=True)
class Kept:
    """An instance on disk: its DAGSTER_HOME, and its database in PostgreSQL if it is not in that folder."""

    home: Path
    postgres: str = ""

    @property
    def runs(self) -> str:
        """The address of the database of its runs."""
        return self.postgres or f"sqlite:///{self.home}/history/runs.db"

    @property
    def schema(self) -> tuple[str | None, bool]:
        """The revision of its runs, and whether they have the table that the newer schema brings."""
        revision = ask(self.runs, lambda connection: check_alembic_revision(MIGRATIONS, connection))[0]
        return revision, ask(self.runs, lambda connection: sa.inspect(connection).has_table("backfill_tags"))

    def use(self, patch: pytest.MonkeyPatch) -> None:
        """Let the environment lead to it."""
        patch.setenv("DAGSTER_HOME", str(self.home))
        patch.setenv("HOUSING_POSTGRES_URL", self.postgres)

    def copy(self) -> "Kept":
        """A copy, as a dump that is restored under another name, or of the folder."""
        home = self.home.with_name("newer")
        shutil.copytree(self.home, home)
        if not self.postgres:
            return Kept(home)
        ask(
            self.postgres.replace("/older", "/postgres"),
            lambda c: c.execute(sa.text("CREATE DATABASE newer TEMPLATE older")),
        )
        return Kept(home, self.postgres.replace("/older", "/newer"))

    def recorded(self, patch: pytest.MonkeyPatch) -> tuple[list[tuple[str, str, list[str]]], set[str]]:
        """Its runs, each with its job, its status and its events, and the months of `cleaned` that it knows of."""
        self.use(patch)
        with open_instance(self.home) as instance:
            runs = [
                (
                    run.job_name,
                    run.status.value,
                    [str(event.dagster_event_type.value) for event in instance.all_logs(run.run_id)],
                )
                for run in instance.get_runs()
            ]
            months = instance.get_materialized_partitions(dg.AssetKey("cleaned"))
        close_idle_connections()
        return runs, months


def make_older(kept: Kept, patch: pytest.MonkeyPatch) -> Kept:
    """An instance of an older version, with one run that succeeded and one month."""
    kept.use(patch)
    write_instance(kept.home, InstanceSettings.model_validate({"postgres_url": kept.postgres}))
    with open_instance(kept.home) as instance:
        run = instance.create_run_for_job(build_definitions().resolve_job_def("ingest_job"))
        instance.report_dagster_event(dg.DagsterEvent("PIPELINE_SUCCESS", "ingest_job"), run.run_id)
        instance.report_runless_asset_event(dg.AssetMaterialization("cleaned", partition="2020-01"))
    close_idle_connections()
    ask(kept.runs, lambda connection: run_alembic_downgrade(MIGRATIONS, connection, OLDER))
    assert kept.schema == (OLDER, False)
    return kept


def migrate() -> str:
    """Run `dagster instance migrate`; gives what it says if it fails."""
    done = CliRunner().invoke(create_dagster_cli(), ["instance", "migrate"])
    close_idle_connections()
    return done.output if done.exit_code else ""


def upgrade(older: Kept, patch: pytest.MonkeyPatch) -> None:
    """Migrate a copy of an older instance, and see what it and the older one have after that."""
    recorded = older.recorded(patch)
    ((job, status, events),), months = recorded
    assert (job, status, events[-1], months) == ("ingest_job", "SUCCESS", "PIPELINE_SUCCESS", {"2020-01"})
    newer = older.copy()
    assert newer.recorded(patch) == recorded, "also before the migration"
    assert newer.schema == (OLDER, False), "to read it changes nothing"
    newer.use(patch)
    assert migrate() == ""
    assert newer.schema == (NEWEST, True)
    assert newer.recorded(patch) == recorded
    assert migrate() == "", "twice is once"
    with open_instance(newer.home) as instance:
        instance.create_run_for_job(build_definitions().resolve_job_def("ingest_job"))
    close_idle_connections()
    # The way back: the copy from before the migration is what it was.
    assert older.schema == (OLDER, False)
    assert older.recorded(patch) == recorded


def test_an_older_instance_is_migrated_and_its_runs_are_read(tmp_path, monkeypatch):
    upgrade(make_older(Kept(tmp_path / "older"), monkeypatch), monkeypatch)


def test_an_older_instance_in_postgresql_is_migrated_and_its_runs_are_read(postgres, tmp_path, monkeypatch):
    ask(postgres, lambda connection: connection.execute(sa.text("CREATE DATABASE older")))
    older = Kept(tmp_path / "older", postgres.replace("/postgres", "/older"))
    upgrade(make_older(older, monkeypatch), monkeypatch)


def test_the_schema_of_the_lock_is_the_one_that_the_migration_leads_to(tmp_path, monkeypatch):
    kept = Kept(tmp_path)
    kept.use(monkeypatch)
    write_instance(tmp_path, InstanceSettings())
    with open_instance(tmp_path) as instance:
        assert not instance.get_runs()
    close_idle_connections()
    assert kept.schema == (NEWEST, True)
