"""Pieces of work, each in a process of its own: `python pieces.py NAME ARGUMENTS` prints seconds and memory as JSON."""

import json
import resource
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import data_path
import national
import numpy as np
import search as searches
import sources
import training
import usual_way


def main() -> None:
    """Run one piece and tell what it took."""
    name, *arguments = sys.argv[1:]
    seconds = PIECES[name](*arguments)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "memory": memory}))


def timed(work: Callable[[], object]) -> float:
    """Seconds of a piece of work."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def floor(source: str, folder: str) -> float:
    """Read the CSV and write it as Parquet."""
    import pyarrow.csv
    import pyarrow.parquet

    path = _fresh(folder) / "panel.parquet"
    return timed(lambda: pyarrow.parquet.write_table(pyarrow.csv.read_csv(source), path, compression="zstd"))


def floor_months(source: str, folder: str) -> float:
    """Read the CSV and write a Parquet file of each month."""
    import pyarrow.compute
    import pyarrow.csv
    import pyarrow.parquet

    there = _fresh(folder)

    def write() -> None:
        table = pyarrow.csv.read_csv(source).sort_by("date")
        months = pyarrow.compute.run_end_encode(table["date"].combine_chunks())
        begin = 0
        for month, end in zip(months.values, months.run_ends.to_pylist(), strict=True):
            path = there / f"{month}.parquet"
            pyarrow.parquet.write_table(table.slice(begin, end - begin), path, compression="zstd")
            begin = end

    return timed(write)


def pure(source: str, folder: str) -> float:
    """The data path of the platform."""
    there = _fresh(folder)
    return timed(lambda: data_path.data_path(Path(source), there))


def pure_month(source: str, folder: str, month: str) -> float:
    """The ingest of one month into a store that has the others."""
    store = data_path.Store.open(folder)
    return timed(lambda: data_path.ingest(Path(source), store, [month]))


def usual(source: str, folder: str) -> float:
    """The data path in pandas, a CSV after each stage."""
    there = _fresh(folder)
    return timed(lambda: usual_way.run(Path(source), there))


def matrix(folder: str, split: str) -> None:
    """Keep the ready matrix of one split as arrays."""
    for name, array in training.ready(data_path.Store.open(folder), split).items():
        np.save(Path(folder) / f"{split}-{name}.npy", array)


def bare_training(folder: str, trees: str) -> float:
    """`xgboost.train` on the ready matrix."""
    return training.bare(Path(folder), int(trees))


def own_training(folder: str, trees: str) -> float:
    """Training as the assets do it, from `training_features` in the store."""
    return timed(lambda: training.own(data_path.Store.open(folder), int(trees)))


def dask_training(folder: str, trees: str, workers: str) -> float:
    """Training on workers of this machine, from `training_features` in the store."""
    return training.on_dask(Path(folder), int(trees), int(workers))


def search(folder: str, kind: str) -> float:
    """The search for hyperparameters, from `training_features` in the store."""
    return timed(lambda: searches.run(Path(folder), kind))


def ready(folder: str, split: str) -> float:
    """The matrices that the bare pieces begin with."""
    return timed(lambda: matrix(folder, split))


def dagster(source: str, folder: str, month: str) -> float:
    """The data path through Dagster; prints its own figures into `dagster.json`."""
    import dagster_runs

    return timed(lambda: dagster_runs.run(Path(source), Path(folder), month))


def forecast_fit(store: str) -> float:
    """The fits of the forecast model, those of its backtest included, from `price_history` in the store."""
    from housing_assets.core.forecasting.model import fit_forecast_model
    from housing_assets.store.histories import read_history

    def fit() -> None:
        history = read_history(data_path.Store.open(store))
        fit_forecast_model(history, data_path.SPLIT)

    return timed(fit)


def forecast_month(store: str) -> float:
    """The forecasts of every zip from the newest month, 12 horizons each."""
    from housing_assets.core.forecasting.model import forecast_model_from_files
    from housing_assets.core.forecasting.publishing import forecast
    from housing_assets.store.bundles import load_bundle
    from housing_assets.store.histories import read_history
    from housing_assets.store.pointers import forecast_champion

    there = data_path.Store.open(store)
    version, published = forecast_champion(there)
    model = forecast_model_from_files(load_bundle(there, version).files, version)
    history = read_history(there)
    widths, weights = there.read_table("forecast_intervals"), there.read_table("forecast_weights")
    return timed(lambda: forecast(history, history.last_month, model, published, widths, weights))


def wide_floor(source: str, folder: str) -> float:
    """Zillow's file read and written as Parquet by pyarrow."""
    path = _fresh(folder) / "zillow.parquet"
    return timed(lambda: sources.read_wide_and_write(Path(source), path))


def wide_vintage(source: str, folder: str) -> float:
    """Zillow's file into a vintage."""
    store = _fresh(folder)
    return timed(lambda: sources.publish_wide(Path(source), store))


def tsv_floor(source: str) -> float:
    """Redfin's file as pyarrow streams it."""
    return timed(lambda: sources.stream_bare(Path(source)))


def tsv_stream(source: str) -> float:
    """Redfin's file as its reader streams it."""
    return timed(lambda: sources.stream_source(Path(source)))


def _fresh(folder: str) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    Path(folder).mkdir(parents=True)
    return Path(folder)


def changed_months(folder: str, source: str) -> float:
    """What `source_sensor` asks of the vintages in use, after files were published."""
    from housing_assets.ingestion import changes

    told = national.publish_and_settings(Path(folder), source)
    return timed(lambda: changes.changed_months(*told))


PIECES: dict[str, Callable[..., float]] = {
    made.__name__: made
    for made in (
        floor,
        floor_months,
        pure,
        pure_month,
        usual,
        ready,
        bare_training,
        own_training,
        dask_training,
        search,
        dagster,
        forecast_fit,
        forecast_month,
        wide_floor,
        wide_vintage,
        tsv_floor,
        tsv_stream,
        changed_months,
    )
}

if __name__ == "__main__":
    main()
