"""Publishers' files beside a bare pyarrow read of them: Zillow's into a vintage, Redfin's as a stream.

The files are synthetic, in the publishers' layouts and, with FULL=1, of the nation's size.
"""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
from figures import Cost, Figure, piece

from housing_assets.core.months import month_end, month_range
from housing_assets.core.sample.spec import SampleSpec
from housing_assets.core.sample.writers import write_sample
from housing_assets.core.source.source import open_source
from housing_assets.store.layout import Store
from housing_assets.store.vintages import Origin, publish

ZILLOW_ZIPS = {True: 26_300, False: 1_000}
REDFIN_BYTES = {True: 2_000_000_000, False: 50_000_000}
"""By whether the size is that of the nation."""
_ZILLOW_MONTHS = month_range("2000-01", "2024-12")
_ZILLOW_LIMIT, _REDFIN_LIMIT, _REDFIN_MIB = 2.5, 2.0, 2_048
_ROUNDS = 3
_FEWER_ZIPS, _COPIES = 400, 200
"""Redfin's file is copies of a sample of so many zips, each with zips of its own."""


def source_figures(folder: Path, full: bool) -> Iterator[Figure]:
    """Both publishers.

    Args:
        folder: for the files, which are removed when they have been measured.
        full: True for files of the nation's size, which the targets are set for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield from _zillow(write_zillow(folder / "zillow.csv", ZILLOW_ZIPS[full]), folder, full)
        yield from _redfin(write_redfin(folder / "redfin.tsv", REDFIN_BYTES[full]), full)
    finally:
        shutil.rmtree(folder)


def _zillow(source: Path, folder: Path, full: bool) -> Iterator[Figure]:
    rounds = [
        (piece("wide_floor", source, folder / "floor"), piece("wide_vintage", source, folder / "store"))
        for _ in range(_ROUNDS)
    ]
    floor, vintage = min((f for f, _ in rounds), key=_seconds), min((v for _, v in rounds), key=_seconds)
    ratio = vintage.seconds / floor.seconds
    name = f"Zillow, {source.stat().st_size / 1e6:,.0f} MB: pyarrow reads it and writes one Parquet file"
    yield Figure("sources", name, f"{floor.seconds:.2f} s", memory=floor.memory)
    target = (f"at most {_ZILLOW_LIMIT}", ratio <= _ZILLOW_LIMIT) if full else ("", None)
    value = f"{vintage.seconds:.2f} s = {ratio:.2f}"
    yield Figure("sources", "the same file into a vintage / the above", value, *target, memory=vintage.memory)


def _redfin(source: Path, full: bool) -> Iterator[Figure]:
    rounds = [(piece("tsv_floor", source), piece("tsv_stream", source)) for _ in range(1 if full else _ROUNDS)]
    floor, stream = min((f for f, _ in rounds), key=_seconds), min((s for _, s in rounds), key=_seconds)
    ratio = stream.seconds / floor.seconds
    name = f"Redfin, {source.stat().st_size / 1e6:,.0f} MB: pyarrow reads it as a stream"
    yield Figure("sources", name, f"{floor.seconds:.2f} s", memory=floor.memory)
    met = ratio <= _REDFIN_LIMIT and stream.memory < _REDFIN_MIB
    target = (f"at most {_REDFIN_LIMIT:g}, {_REDFIN_MIB:,} MiB", met) if full else ("", None)
    value = f"{stream.seconds:.2f} s = {ratio:.2f}"
    yield Figure("sources", "the same file recognized, checked and typed / the above", value, *target, stream.memory)


def _seconds(cost: Cost) -> float:
    return cost.seconds


# ---------------------------------------------------------------- the files


def write_zillow(path: Path, zips: int) -> Path:
    """Zillow's wide table: random walks with as many digits as the publisher gives, one in 17 zips late."""
    draws = np.random.default_rng(1)
    growth = draws.normal(0.003, 0.006, (zips, len(_ZILLOW_MONTHS))).cumsum(axis=1)
    prices = draws.lognormal(12.4, 0.6, (zips, 1)) * np.exp(growth)
    prices[::17, :60] = np.nan
    number = pl.Series("number", range(zips))
    places = pl.DataFrame(
        {
            "RegionID": number + 58_000,
            "SizeRank": number,
            "RegionName": (number.shuffle(2) + 501).cast(pl.String).str.zfill(5),  # in the order of size, not of zips
            "RegionType": ["zip"] * zips,
            "StateName": ["MA"] * zips,
            "State": ["MA"] * zips,
            "City": "Town " + (number % 900).cast(pl.String),
            "Metro": "Metro " + (number % 800).cast(pl.String) + ", MA-NH",
            "CountyName": "County " + (number % 700).cast(pl.String),
        }
    )
    months = pl.DataFrame(prices, schema=[str(month_end(m)) for m in _ZILLOW_MONTHS]).fill_nan(None)
    pl.concat([places, months], how="horizontal").write_csv(path)
    return path


def write_redfin(path: Path, size: int) -> Path:
    """Redfin's tracker as published, upper case and quoted, of at least so many bytes."""
    part = path.with_suffix(".part.tsv")
    write_sample(SampleSpec(_FEWER_ZIPS, "2021-01", "2023-12"), part, layout="redfin")
    rows = pl.read_csv(part, separator="\t", infer_schema=False)
    part.unlink()
    rank = rows["REGION"].rank("dense") - 1
    with path.open("wb") as file:
        for copy in range(_COPIES):
            zips = (rank + copy * _FEWER_ZIPS).cast(pl.String).str.zfill(5)
            renamed = rows.with_columns(("Zip Code: " + zips).alias("REGION"))
            renamed.write_csv(file, separator="\t", quote_style="always", include_header=copy == 0)
            if file.tell() >= size:
                break
    return path


# ---------------------------------------------------------------- pieces


def read_wide_and_write(source: Path, path: Path) -> None:
    """The whole file read by pyarrow, and written as Parquet."""
    import pyarrow.csv
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.csv.read_csv(source), path, compression="zstd")


def publish_wide(source: Path, folder: Path) -> None:
    """The file recognized, read and kept as a vintage."""
    with open_source(source) as zillow:
        origin = Origin("Zillow Research", str(source), (), datetime.now(UTC))
        publish(Store.open(str(folder)), zillow.kind, zillow.frames(), lambda: origin)


def stream_bare(source: Path) -> int:
    """Rows of a file that pyarrow reads batch by batch."""
    import pyarrow.csv

    options = pyarrow.csv.ParseOptions(delimiter="\t")
    with pyarrow.csv.open_csv(source, parse_options=options) as reader:
        return sum(batch.num_rows for batch in reader)


def stream_source(source: Path) -> int:
    """Rows that count of a file that is recognized and read block by block."""
    with open_source(source) as redfin:
        return sum(frame.height for frame in redfin.frames())
