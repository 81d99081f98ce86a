"""The files in which publishers give such a panel: HouseTS, Zillow's wide table, Redfin's market tracker."""

import gzip
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO, Protocol, cast

import polars as pl

from housing_assets.core.errors import HousingError
from housing_assets.core.months import month_end, month_range
from housing_assets.core.panel.metros import METROS
from housing_assets.core.panel.schema import RAW_SCHEMA
from housing_assets.core.sample.profiles import PROFILES
from housing_assets.core.sample.spec import SampleSpec

_COMPRESSED = (".gz", ".zip", ".zst")
_ENDINGS = {
    "housets": (".csv", ".parquet"),
    "zillow": (".csv",),
    "redfin": (".tsv", ".tsv000", ".txt", ".csv"),
}
"""Of a file's name, before that of the compression."""
_METRO_NAMES = {m.spellings[0]: m for m in METROS}


class Sink(Protocol):
    """Takes the sample chunk by chunk."""

    def add(self, frame: pl.DataFrame) -> int:
        """Write rows of whole zips, by zip and then date; returns the rows of the file that they made."""
        ...

    def close(self) -> None:
        """Write what is still to come."""
        ...


def check_layout(layout: str, path: Path) -> None:
    """Refuse a layout that there is not, and a file name that it cannot have.

    Raises:
        HousingError: the name says what there is.
    """
    if layout not in LAYOUTS:
        raise HousingError(f"layout={layout!r} is none: choose one of {', '.join(LAYOUTS)}")
    packed = path.suffix in _COMPRESSED
    plain = path.with_suffix("") if packed else path
    if plain.suffix not in _ENDINGS[layout] or (packed and plain.suffix == ".parquet"):
        raise HousingError(
            f"cannot write a sample to {path}: end its name in {' or '.join(_ENDINGS[layout])}; a further "
            f"{', '.join(_COMPRESSED)} packs text"
        )


@contextmanager
def opened_sink(layout: str, file: IO[bytes], name: str, spec: SampleSpec) -> Iterator[Sink]:
    """A sink that writes a layout to a file, compressed as its name says.

    Args:
        layout: as `check_layout` lets through.
        file: to write; stays open.
        name: of the file.
        spec: of the sample.
    """
    with _compressed(file, Path(name)) as stream:
        sink = _ParquetSink(stream) if name.endswith(".parquet") else LAYOUTS[layout](stream, spec)
        yield sink
        sink.close()


@contextmanager
def _compressed(file: IO[bytes], name: Path) -> Iterator[IO[bytes]]:
    """The same file, or one whose bytes reach it compressed. No time gets in, so that one sample is one file."""
    if name.suffix == ".gz":
        with gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as stream:
            yield cast(IO[bytes], stream)
    elif name.suffix == ".zip":
        with zipfile.ZipFile(file, "w") as archive:
            member = zipfile.ZipInfo(name.stem)
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=True) as stream:
                yield stream
    elif name.suffix == ".zst":
        import pyarrow as pa

        with pa.CompressedOutputStream(pa.PythonFile(file, "w"), "zstd") as stream:
            yield cast(IO[bytes], stream)
            stream.flush()
    else:
        yield file


class _HousetsSink:
    """CSV as the real source has it: the zip is an integer, so its leading zeros are lost."""

    def __init__(self, file: IO[bytes], _: SampleSpec) -> None:
        self._file, self._header = file, True

    def add(self, frame: pl.DataFrame) -> int:
        rows = frame.with_columns(pl.col("zipcode").cast(pl.Int64))
        self._file.write(rows.write_csv(include_header=self._header).encode())
        self._header = False
        return frame.height

    def close(self) -> None:
        self._file.flush()


class _ParquetSink:
    """Parquet, one row group for each chunk; the zip is text and whole."""

    def __init__(self, file: IO[bytes]) -> None:
        import pyarrow.parquet as pq

        schema = pl.DataFrame(schema=RAW_SCHEMA).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
        self._writer = pq.ParquetWriter(file, schema, compression="zstd")

    def add(self, frame: pl.DataFrame) -> int:
        self._writer.write_table(frame.to_arrow(compat_level=pl.CompatLevel.oldest()))
        return frame.height

    def close(self) -> None:
        self._writer.close()


# ---------------------------------------------------------------- Zillow

_LATE_EVERY, _LATE_MONTHS = 17, 6
"""One in so many zips begins so many months late."""
_NO_METRO_EVERY = 50
"""One in so many zips is of no metro."""


class _ZillowSink:
    """Zillow's wide table: a row for each zip, a column for each month end."""

    def __init__(self, file: IO[bytes], spec: SampleSpec) -> None:
        self._file, self._rank = file, 0
        self._months = [str(month_end(month)) for month in month_range(spec.start, spec.end)]

    def add(self, frame: pl.DataFrame) -> int:
        first = frame.group_by("zipcode", maintain_order=True).agg(pl.col("city_full").first())
        prices = frame.select("zipcode", pl.col("date").cast(pl.String), "price").pivot("date", index="zipcode")
        number = pl.Series(range(self._rank, self._rank + first.height))
        place = _places(first["city_full"]).with_columns(
            RegionID=number + 58_000,
            SizeRank=number,
            RegionName=first["zipcode"],
            RegionType=pl.lit("zip"),
            Metro=pl.when(number % _NO_METRO_EVERY != _NO_METRO_EVERY - 1).then("Metro"),
        )
        late = pl.Series(number % _LATE_EVERY == _LATE_EVERY - 1)
        values = prices.select(
            pl.when(~late).then(month).alias(month) if at < _LATE_MONTHS else pl.col(month)
            for at, month in enumerate(self._months)
        )
        names = (
            "RegionID",
            "SizeRank",
            "RegionName",
            "RegionType",
            "StateName",
            "State",
            "City",
            "Metro",
            "CountyName",
        )
        rows = pl.concat([place.select(names), values], how="horizontal")
        self._file.write(rows.write_csv(include_header=self._rank == 0).encode())
        self._rank += first.height
        return rows.height

    def close(self) -> None:
        self._file.flush()


def _places(names: pl.Series) -> pl.DataFrame:
    """City, county, state and metro of rows by the metro's name in the sample."""
    rows = []
    for name in names:
        metro = _METRO_NAMES[name]
        states = PROFILES[metro.code].states
        city, state = metro.name.split("-")[0], states.split("-")[0]
        told = {"City": city, "CountyName": f"{city} County", "StateName": state, "State": state}
        rows.append({**told, "Metro": f"{metro.name}, {states}"})
    return pl.DataFrame(rows)


# ---------------------------------------------------------------- Redfin

_MEASURES = (
    "median_sale_price", "median_list_price", "median_ppsf", "median_list_ppsf", "homes_sold", "pending_sales",
    "new_listings", "inventory", "months_of_supply", "median_dom", "avg_sale_to_list", "sold_above_list", "price_drops",
    "off_market_in_two_weeks",
)  # fmt: skip
_SUMMED = ("homes_sold", "pending_sales", "new_listings")
"""Counts of 90 days; the other figures are means of three months, but for the stock at their end."""
_ROLLED_MONTHS = 3
_KINDS = (("All Residential", -1, 1.0, 1.0), ("Single Family Residential", 6, 1.12, 0.7), ("Condo/Co-op", 3, 0.74, 0.3))
"""Property types: name, number, price and count beside those of all."""


class _RedfinSink:
    """Redfin's market tracker of zips: a row for each zip, property type and 90 days that end with a month."""

    def __init__(self, file: IO[bytes], spec: SampleSpec) -> None:
        self._file, self._header = file, True
        self._updated = f"{month_end(spec.end) + timedelta(days=10)} 14:30:00"

    def add(self, frame: pl.DataFrame) -> int:
        rolled = _rolled(frame).with_columns(_places(frame["city_full"]).select("City", "StateName"))
        rows = pl.concat([self._of_kind(rolled, *kind) for kind in _KINDS]).sort(
            "REGION", "PERIOD_END", maintain_order=True
        )
        text = rows.write_csv(separator="\t", quote_style="always", include_header=self._header)
        self._file.write(text.encode())
        self._header = False
        return rows.height

    def _of_kind(self, rows: pl.DataFrame, kind: str, number: int, price: float, count: float) -> pl.DataFrame:
        measures = []
        for name in _MEASURES:
            value = pl.col(name) if name in rows.columns else pl.lit(None, pl.Float64)
            if name in (*_SUMMED, "inventory"):
                value = (value * count).floor().cast(pl.Int64)
            elif ("price" in name and name != "price_drops") or "ppsf" in name:
                value = value * price
            elif name == "months_of_supply":
                value = pl.when(pl.col("homes_sold") > 0).then(pl.col("inventory") * 3 / pl.col("homes_sold"))
            measures += [
                value.alias(name),
                *(pl.lit(None, pl.Float64).alias(f"{name}_{past}") for past in ("mom", "yoy")),
            ]
        before = {
            "period_begin": pl.col("date").dt.offset_by("-2mo").dt.month_start(),
            "period_end": pl.col("date"),
            "period_duration": pl.lit(90),
            "region_type": pl.lit("zip code"),
            "region_type_id": pl.lit(2),
            "table_id": pl.col("zipcode").cast(pl.Int64),
            "is_seasonally_adjusted": pl.lit("f"),
            "region": pl.lit("Zip Code: ") + pl.col("zipcode"),
            "city": pl.lit(None, pl.String),
            "state": pl.col("StateName"),
            "state_code": pl.col("StateName"),
            "property_type": pl.lit(kind),
            "property_type_id": pl.lit(number),
        }
        after = {
            "parent_metro_region": pl.col("City") + ", " + pl.col("StateName") + " metro area",
            "parent_metro_region_metro_code": pl.lit(None, pl.String),
            "last_updated": pl.lit(self._updated),
        }
        columns = rows.select(
            *(value.alias(name) for name, value in before.items()),
            *measures,
            *(value.alias(name) for name, value in after.items()),
        )
        return columns.rename(str.upper)

    def close(self) -> None:
        self._file.flush()


def _rolled(frame: pl.DataFrame) -> pl.DataFrame:
    """Figures of the three months up to each; null where there was no market."""
    figures = [name for name in _MEASURES if name in frame.columns]
    shares = ("sold_above_list", "off_market_in_two_weeks")
    given = [pl.col(n) if n in shares else pl.when(pl.col(n) > 0).then(n).alias(n) for n in figures]
    rolled = []
    for name in figures:
        column = pl.col(name)
        if name in _SUMMED:
            column = column.rolling_sum(_ROLLED_MONTHS, min_samples=1)
        elif name != "inventory":
            column = column.rolling_mean(_ROLLED_MONTHS, min_samples=1)
        rolled.append(column.over("zipcode"))
    return frame.with_columns(given).with_columns(rolled)


LAYOUTS: dict[str, Callable[[IO[bytes], SampleSpec], Sink]] = {
    "housets": _HousetsSink,
    "zillow": _ZillowSink,
    "redfin": _RedfinSink,
}
"""What writes each layout as text."""
