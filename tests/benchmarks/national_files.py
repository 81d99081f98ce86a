"""The nation's files as its publishers give them: synthetic figures of real zips, in their own metros and states.

The sample has 30 metros and fewer zips. Here several samples, each of another seed, are laid one after the other over
zips of all states, and every metro of the Census has some.
"""

import gzip
import tempfile
from pathlib import Path
from typing import IO

import polars as pl

from housing_assets.core.panel.places import zip_place
from housing_assets.core.sample.spec import SampleSpec
from housing_assets.core.sample.writers import write_sample

NATION_ZIPS = 26_300
PARTS = 10
"""Samples of a seed of its own: each is in memory as text, one after the other."""


def write_national(folder: Path, zips: int, start: str, end: str, vintage: int = 1) -> tuple[Path, Path]:
    """Write Zillow's wide table and Redfin's market tracker.

    Args:
        folder: for `zillow.csv` and `redfin.tsv.gz`.
        zips: number of zips, rounded down to a multiple of `PARTS`.
        start, end: first and last month of the first vintage.
        vintage: as of `write_sample`: each after the first is revised and a month longer.

    Returns:
        Paths of the two files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    places = _places(zips)
    size = zips // PARTS
    zillow, redfin = folder / "zillow.csv", folder / "redfin.tsv.gz"
    with (
        zillow.open("wb") as wide,
        gzip.open(redfin, "wb", compresslevel=1) as tracker,
        tempfile.TemporaryDirectory(dir=folder) as parts,
    ):
        for part in range(PARTS):
            spec = SampleSpec(size, start, end, seed=100 + part)
            here = places.slice(part * size, size)
            path = Path(parts) / "part.csv"
            write_sample(spec, path, layout="zillow", vintage=vintage)
            _write_zillow(wide, _read(path, ","), here, part)
            path = Path(parts) / "part.tsv"
            write_sample(spec, path, layout="redfin", vintage=vintage)
            _write_redfin(tracker, _read(path, "\t"), here, part)
    return zillow, redfin


def _read(path: Path, separator: str) -> pl.DataFrame:
    return pl.read_csv(path, separator=separator, infer_schema=False)


def _places(zips: int) -> pl.DataFrame:
    """Zips in order, with their state and metro: those of metros, and one in 20 of none."""
    found = (zip_place(f"{number:05}") for number in range(100_000))
    rows = [(p.zipcode, p.state, p.metro.title if p.metro else None) for p in found if p and p.latitude and p.state]
    table = pl.DataFrame(rows, schema=["zipcode", "state", "metro"], orient="row")
    of_none, of_metros = (table.filter(pl.col("metro").is_null() == none) for none in (True, False))
    few = zips // 20
    chosen = [frame.sample(count, seed=1) for frame, count in ((of_none, few), (of_metros, zips - few))]
    return pl.concat(chosen).sort("zipcode")


def _write_zillow(file: IO[bytes], rows: pl.DataFrame, places: pl.DataFrame, part: int) -> None:
    first = part * places.height
    named = rows.with_columns(
        RegionID=pl.int_range(first, first + rows.height) + 58_000,
        SizeRank=pl.int_range(first, first + rows.height),
        RegionName=places["zipcode"],
        StateName=places["state"],
        State=places["state"],
        Metro=places["metro"],
    )
    file.write(named.write_csv(include_header=part == 0).encode())


def _write_redfin(file: gzip.GzipFile, rows: pl.DataFrame, places: pl.DataFrame, part: int) -> None:
    rank = (rows["REGION"].rank("dense") - 1).cast(pl.UInt32)
    named = rows.with_columns(
        REGION="Zip Code: " + places["zipcode"].gather(rank),
        STATE=places["state"].gather(rank),
        STATE_CODE=places["state"].gather(rank),
        PARENT_METRO_REGION=places["metro"].gather(rank) + " metro area",
    )
    text = named.write_csv(separator="\t", quote_style="always", include_header=part == 0)
    file.write(text.encode())
