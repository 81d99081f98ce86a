"""Training on a real Dask cluster of two worker processes, also when one of them is killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from platform_fixtures import FEW_TREES, Platform, failure_text, free_port, tree

from housing_assets.config.settings import Settings
from housing_assets.core.errors import HousingError
from housing_assets.core.features.encoding import fit_encoders
from housing_assets.core.features.monthly import make_training_features
from housing_assets.core.models.trees import PriceTrees, TrainingParams, train_trees
from housing_assets.core.panel.cleaning import clean_month
from housing_assets.core.sample.spec import SampleSpec
from housing_assets.core.sample.writers import sample_frame
from housing_assets.engines.dask import train_on_dask
from housing_assets.store.layout import Store
from housing_assets.store.table import TableFile

# Each worker draws samples of its own rows; without samples, what is left of the difference is the engine's.
WHOLE = {"subsample": 1.0, "colsample_bytree": 1.0}
PARAMS = TrainingParams(n_estimators=80, learning_rate=0.2)
SLOW = TrainingParams(n_estimators=1_500, max_depth=3, target="log_price", **WHOLE)


@dataclass
class Cluster:
    """A scheduler and two workers, each a process of its own."""

    address: str
    folder: Path
    processes: list[subprocess.Popen] = field(default_factory=list)

    def start(self, command: str, *args: str) -> subprocess.Popen:
        dask = [sys.executable, "-m", f"distributed.cli.dask_{command}", *args, "--no-dashboard"]
        with (self.folder / f"{command}-{len(self.processes)}.log").open("wb") as log:
            self.processes.append(subprocess.Popen(dask, cwd=self.folder, stdout=log, stderr=log))
        return self.processes[-1]

    def start_worker(self) -> subprocess.Popen:
        return self.start("worker", self.address, "--nthreads", "1", "--no-nanny", "--host", "127.0.0.1")

    def wait_for(self, workers: int) -> None:
        from distributed import Client

        with Client(self.address, timeout=120, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=240)


@pytest.fixture
def cluster(tmp_path) -> Iterator[Cluster]:
    port = free_port()
    made = Cluster(f"tcp://127.0.0.1:{port}", tmp_path)
    made.start("scheduler", "--host", "127.0.0.1", "--port", str(port))
    made.start_worker()
    made.start_worker()
    try:
        made.wait_for(2)
        yield made
    finally:
        for process in made.processes:
            process.kill()
            process.wait(10)


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> TableFile:
    """Training features of 500 zips over four years, of which every fourth month is eval.

    So both engines are asked about a market like the one they were trained on: in a later one, a bin more or less moves
    the error of so few rows by more than a percent, whatever the engine.
    """
    panel = sample_frame(SampleSpec(zips=500, start="2016-01", end="2019-12"))
    months = [clean_month(rows).frame for _, rows in panel.group_by("date", maintain_order=True)]
    split = pl.when(pl.col("date").dt.month() % 4 == 0).then(pl.lit("eval")).otherwise(pl.lit("train"))
    months = [month.with_columns(split.alias("split")) for month in sorted(months, key=lambda month: month["date"][0])]
    encoders = fit_encoders(month for month in months if month["split"][0] == "train")
    store = Store.open(str(tmp_path_factory.mktemp("store")))
    # Of the size that a platform writes, so few rows would be one piece, and the second worker would get none.
    store.write_pieces("training_features", (make_training_features(month, encoders) for month in months), 1_000)
    return store.table("training_features")


def error(trees: PriceTrees, table: TableFile) -> float:
    """Mean absolute error on eval, US dollars."""
    held = table.of("eval").read()
    return float(np.abs(trees.prices(held) - held["price"].to_numpy()).mean())


@pytest.mark.parametrize("target", ["log_price", "log_anchor"])
def test_two_workers_train_a_model_as_good_as_one_process_does(cluster, table, target):
    params = TrainingParams(n_estimators=200, learning_rate=0.1, max_depth=3, target=target, **WHOLE)
    there = train_on_dask(cluster.address, table.of("train"), params)
    here = train_trees(table.of("train"), params)
    assert there.anchor == here.anchor
    assert error(there, table) == pytest.approx(error(here, table), rel=0.01)
    with pausing(cluster.processes[-1], seconds=2):
        again = train_on_dask(cluster.address, table.of("train"), params)
    assert again.booster.save_raw() == there.booster.save_raw(), "as many workers make the same trees each time"


@contextmanager
def pausing(process: subprocess.Popen, seconds: float) -> Iterator[None]:
    """Stop a process from the start of the block until so many seconds have passed: it falls behind the others."""
    process.send_signal(signal.SIGSTOP)
    timer = threading.Timer(seconds, process.send_signal, [signal.SIGCONT])
    timer.start()
    try:
        yield
    finally:
        timer.join()


def kill_once_it_trains(cluster: Cluster) -> subprocess.Popen:
    """Kill the last worker a moment after it has begun to train, as its log tells."""
    victim, log = cluster.processes[-1], cluster.folder / f"worker-{len(cluster.processes) - 1}.log"

    def kill() -> None:
        while "got rank" not in log.read_text() and victim.poll() is None:
            time.sleep(0.05)
        time.sleep(0.5)
        victim.send_signal(signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    return victim


def test_a_worker_killed_while_it_trains_does_not_stop_the_training(cluster, table):
    told: list[str] = []
    victim = kill_once_it_trains(cluster)
    trees = train_on_dask(cluster.address, table.of("train"), SLOW, told.append)
    assert victim.wait(1) == -signal.SIGKILL
    first, lost, second = told
    assert first.startswith("training 1500 trees on 2 Dask workers")
    assert "were lost while they trained" in lost
    assert second.startswith("training 1500 trees on 1 Dask workers")
    assert trees.booster.num_boosted_rounds() == 1_500
    assert error(trees, table) == pytest.approx(error(train_trees(table.of("train"), SLOW), table), rel=0.01)


def test_the_last_worker_killed_is_an_error_and_leaves_what_there_was(cluster, made, tmp_path):
    platform = copy_of(made, tmp_path, train_engine="dask", dask_address=cluster.address)
    before = tree(platform.folder)
    for worker in cluster.processes[1:]:
        worker.kill()
        worker.wait(10)
    done = platform.job("training_job", config=FEW_TREES)
    assert not done.success
    assert f"HOUSING_DASK_ADDRESS={cluster.address}: the scheduler has no workers" in failure_text(done)
    assert tree(platform.folder) == before


def copy_of(made: Platform, folder: Path, **changes: str) -> Platform:
    import shutil

    shutil.copytree(made.folder, folder / "store")
    return Platform(folder, made.source, changes)


def test_a_run_on_dask_makes_the_artifacts_that_a_local_one_makes(cluster, made, tmp_path):
    platform = copy_of(made, tmp_path, train_engine="dask", dask_address=cluster.address)
    done = platform.job("training_job", config=FEW_TREES)
    assert done.success, failure_text(done)
    for name in ("baseline_model", "tuned_model"):
        version, local = (store.read_json(f"{name}.json")["version"] for store in (platform.store, made.store))
        assert {p.name for p in (platform.folder / "models" / version).iterdir()} == {
            p.name for p in (made.folder / "models" / local).iterdir()
        }


@pytest.mark.slow
def test_an_address_where_nobody_answers_is_told_within_seconds(table):
    address = f"tcp://127.0.0.1:{free_port()}"
    begun = time.monotonic()
    with pytest.raises(HousingError, match=f"HOUSING_DASK_ADDRESS={address}: no Dask scheduler answers") as told:
        train_on_dask(address, table.of("train"), PARAMS)
    assert time.monotonic() - begun < 15
    assert "dask scheduler" in str(told.value)


def test_an_address_that_is_none_is_told(table):
    with pytest.raises(HousingError, match="HOUSING_DASK_ADDRESS=http://nowhere"):
        train_on_dask("http://nowhere", table.of("train"), PARAMS)


def test_what_a_worker_cannot_read_is_told_with_the_reason(cluster, table, tmp_path):
    store = Store.open(str(tmp_path / "damaged"))
    whole = table.blobs.read("training_features.parquet")
    # The run's own process reads what labels are made of; only workers read the rest.
    store.blobs.write("training_features.parquet", whole)
    damaged = damage(store.table("training_features"), "park")
    with pytest.raises(HousingError, match="a Dask worker cannot read training_features") as told:
        train_on_dask(cluster.address, damaged.of("train"), PARAMS)
    assert "HOUSING_STORE_URI" in str(told.value)


def damage(table: TableFile, column: str) -> TableFile:
    """Overwrite one column's bytes in the first row group."""
    import io

    import pyarrow.parquet as pq

    data = bytearray(table.blobs.read("training_features.parquet"))
    group = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0)
    found = next(group.column(i) for i in range(group.num_columns) if group.column(i).path_in_schema == column)
    start = found.dictionary_page_offset or found.data_page_offset
    data[start : start + found.total_compressed_size] = os.urandom(found.total_compressed_size)
    table.blobs.write("training_features.parquet", bytes(data))
    return table


def test_neither_definitions_nor_serving_import_dask():
    for module in ("housing_assets.definitions", "housing_serving.app", "housing_assets.cli"):
        code = f"import sys, {module}; assert not {{'dask', 'distributed'}} & set(sys.modules)"
        env = {**os.environ, "HOUSING_STORE_URI": "/nowhere"}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_an_engine_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="local"):
        Settings(train_engine="spark")  # pyright: ignore[reportArgumentType]
