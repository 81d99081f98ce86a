"""A sample in chunks, as one frame, or as a file in the layout of a publisher."""

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from housing_assets.core.errors import HousingError
from housing_assets.core.months import (
    add_months,
    month_end,
)
from housing_assets.core.panel.metros import METROS
from housing_assets.core.panel.schema import COLUMN_NAMES
from housing_assets.core.sample.census import make_amenities, make_census
from housing_assets.core.sample.dirt import plant_dirt
from housing_assets.core.sample.draws import Draws, Ints
from housing_assets.core.sample.layouts import check_layout, opened_sink
from housing_assets.core.sample.market import make_market
from housing_assets.core.sample.profiles import zip_table
from housing_assets.core.sample.revisions import revise
from housing_assets.core.sample.spec import BLOCK_ZIPS, DIRT_RATES, SampleReport, SampleSpec
from housing_assets.core.sample.world import World, make_world, make_zips


def _block(spec: SampleSpec, world: World, block: int, codes: list[str], metro: Ints) -> pl.DataFrame:
    """Clean rows of one block of zips, by zip and then date."""
    draws = Draws(spec.seed, 1, block)
    months, width = len(world.months), len(codes)
    zips = make_zips(world, draws, codes, metro)
    by_month = {
        **make_market(world, draws, zips),
        **make_census(world, draws, zips),
        "price": zips.price[:months],
    }
    columns: dict[str, pl.Series] = {
        name: pl.Series(name, np.ascontiguousarray(v.T).ravel()) for name, v in by_month.items()
    }
    for name, values in make_amenities(draws, zips).items():
        columns[name] = pl.Series(name, np.repeat(values, months))

    def of_zip(name: str, values: list[str]) -> pl.Series:
        return pl.Series(name, values).gather(np.repeat(np.arange(width), months))

    def of_month(name: str, values: list[object], dtype: pl.DataType) -> pl.Series:
        return pl.Series(name, values, dtype).gather(np.tile(np.arange(months), width))

    columns["zipcode"] = of_zip("zipcode", codes)
    columns["city"] = of_zip("city", [METROS[m].code for m in metro])
    columns["city_full"] = of_zip("city_full", [METROS[m].spellings[0] for m in metro])
    columns["date"] = of_month("date", [month_end(m) for m in world.months], pl.Date())
    columns["year"] = of_month("year", [float(m[:4]) for m in world.months], pl.Float64())
    return pl.DataFrame([columns[name] for name in COLUMN_NAMES])


def _chunks(spec: SampleSpec, vintage: int = 1) -> Iterator[tuple[pl.DataFrame, dict[str, int]]]:
    world = make_world(spec)
    codes, metro = zip_table(spec.zips)
    for block, at in enumerate(range(0, len(codes), BLOCK_ZIPS)):
        part = slice(at, at + BLOCK_ZIPS)
        frame = revise(spec, block, _block(spec, world, block, codes[part], metro[part]), vintage)
        yield plant_dirt(spec, block, frame) if spec.dirt else (frame, {})


def sample_chunks(spec: SampleSpec) -> Iterator[pl.DataFrame]:
    """The sample, `BLOCK_ZIPS` zips at a time, by zip and then date, in the columns of the raw panel."""
    for frame, _ in _chunks(spec):
        yield frame


def sample_frame(spec: SampleSpec) -> pl.DataFrame:
    """The whole sample in memory."""
    return pl.concat(sample_chunks(spec))


def write_sample(
    spec: SampleSpec,
    path: Path,
    progress: Callable[[int, int], None] | None = None,
    layout: str = "housets",
    vintage: int = 1,
) -> SampleReport:
    """Write the sample to one file, chunk by chunk. The file appears whole or not at all.

    Args:
        spec: what to generate. Dirt is that of the HouseTS layout: the others have none.
        path: its name's end says the compression: none, `.gz`, `.zip` or `.zst`; `.parquet` for `housets`. Its
            directory is made if it is missing, a file there is replaced.
        progress: called with the zips done and the zips in all, after each chunk.
        layout: of `LAYOUTS`.
        vintage: 1, or how often the publisher published since: each time the past is revised and a month is added.

    Raises:
        HousingError: the suffix or the layout is another, the vintage is below 1, or the file cannot be written.
    """
    if vintage < 1:
        raise HousingError(f"vintage={vintage} is out of range: the first vintage is 1; choose 1 or more")
    check_layout(layout, path)
    spec = replace(spec, end=add_months(spec.end, vintage - 1), dirt=spec.dirt and layout == "housets")
    rows, planted, temporary = 0, dict.fromkeys(DIRT_RATES, 0) if spec.dirt else {}, None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", suffix=".part", delete=False
        ) as file:
            temporary = Path(file.name)
            with opened_sink(layout, file, path.name, spec) as sink:
                for block, (frame, dirty_rows) in enumerate(_chunks(spec, vintage)):
                    rows += sink.add(frame)
                    for kind, count in dirty_rows.items():
                        planted[kind] += count
                    if progress:
                        progress(min((block + 1) * BLOCK_ZIPS, spec.zips), spec.zips)
        temporary.chmod(0o644)  # a temporary file is private; the sample is not
        os.replace(temporary, path)  # noqa: PTH105
    except OSError as error:
        raise HousingError(f"cannot write the sample to {path}: {error}; choose a place with room") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return SampleReport(rows, planted)
