"""Dagster's SQLite databases without what costs most of their time: connections, statements compiled anew, the disk.

A run stores some 600 events. For each, Dagster opens a connection or two, most on an engine of their own, which
compiles its statements anew. Here an engine is made once for a database and keeps its connections until
`close_idle_connections`, after which the files are whole for who copies them.
"""

import contextlib
import sqlite3
from collections.abc import Iterator

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from dagster._core.storage.event_log import in_memory
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage
from sqlalchemy import Engine, QueuePool, create_engine, event

_KEPT: dict[str, Engine] = {}


def _keep_engine(address: str, **options: object) -> Engine:
    if address not in _KEPT:
        _KEPT[address] = _pooled(address, **options)
        _KEPT[address].dispose = lambda close=True: None  # type: ignore[method-assign]  # Dagster does after each use
    return _KEPT[address]


def _pooled(address: str, **options: object) -> Engine:
    return create_engine(address, **{**options, "poolclass": QueuePool, "max_overflow": -1})


def close_idle_connections() -> None:
    """Close the connections that no one uses. SQLite then moves what was written into the database's own file."""
    for engine in _KEPT.values():
        Engine.dispose(engine)
    _KEPT.clear()


@event.listens_for(Engine, "connect")
def _no_waiting_for_the_disk(connection: object, _: object) -> None:
    """SQLite flushes its files at each commit, against a power cut that no test has."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous=OFF")


@contextlib.contextmanager
def quick_databases() -> Iterator[None]:
    """In this process, until the end of the block. Migrations are read once for all databases."""
    with pytest.MonkeyPatch.context() as patch:
        for storage in (sqlite_event_log, sqlite_run_storage, sqlite_schedule_storage):
            patch.setattr(storage, "create_engine", _keep_engine)
        patch.setattr(in_memory, "create_engine", _pooled)
        read = ScriptDirectory.from_config
        scripts: dict[str | None, ScriptDirectory] = {}

        def read_once(config: Config) -> ScriptDirectory:
            place = config.get_main_option("script_location")
            if place not in scripts:
                scripts[place] = read(config)
            return scripts[place]

        patch.setattr(ScriptDirectory, "from_config", read_once)
        yield
    close_idle_connections()
