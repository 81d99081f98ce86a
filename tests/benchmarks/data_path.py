"""The data path, source CSV to `training_features`, as pure functions: what the assets do, without Dagster."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from housing_assets.core.features.encoding import ENCODER_COLUMNS, fit_encoders
from housing_assets.core.features.monthly import FEATURE_INPUTS, KEYS, make_training_features
from housing_assets.core.months import PANEL_END, PANEL_START, TimeSplit, month_range
from housing_assets.core.panel.cleaning import clean_month
from housing_assets.core.prefetch import prefetch_map
from housing_assets.core.source.panel import open_panel
from housing_assets.store.layout import Store

SPLIT = TimeSplit("2020-01", "2022-01")
MONTHS = month_range(PANEL_START, PANEL_END)
TRAIN = [m for m in MONTHS if m < SPLIT.eval_start]
FITTED = [m for m in MONTHS if m < SPLIT.holdout_start]


def data_path(source: Path, folder: Path) -> None:
    """What `raw_splits`, `cleaned`, `encoders` and `training_features` do, without Dagster."""
    store = Store.open(str(folder))
    ingest(source, store, MONTHS)
    cleaned = store.months("cleaned")
    encoders = fit_encoders(frame for _, frame in cleaned.iterate(TRAIN, ENCODER_COLUMNS))
    store.write_table("encoders", encoders.table)
    columns = list(dict.fromkeys([*KEYS, *FEATURE_INPUTS]))
    rows = (frame for _, frame in cleaned.iterate(FITTED, columns))
    frames = prefetch_map(lambda frame: make_training_features(frame, encoders), rows, "features")
    store.write_pieces("training_features", frames)


def ingest(source: Path, store: Store, months: list[str]) -> None:
    """The source to `raw_splits` and `cleaned`."""
    raw, cleaned, quarantined = (store.months(name) for name in ("raw_splits", "cleaned", "quarantined"))

    def routed() -> Iterator[tuple[str, pl.DataFrame]]:
        with open_panel(str(source), months) as panel:
            for month in months:
                yield month, panel.month(month).with_columns(pl.lit(str(SPLIT.of(month))).alias("split"))

    def pairs() -> Iterator[tuple[str, pl.DataFrame, pl.DataFrame | None]]:
        before = None
        for month, frame in raw.iterate(months):
            yield month, frame, before
            before = frame

    def clean(pair: tuple[str, pl.DataFrame, pl.DataFrame | None]) -> tuple[str, pl.DataFrame]:
        month, frame, before = pair
        made = clean_month(frame, before)
        quarantined.write(month, made.quarantined)
        return month, made.frame

    for monthly, frames in ((raw, routed()), (cleaned, prefetch_map(clean, pairs(), "clean"))):
        for _ in monthly.write_each(frames):
            pass
