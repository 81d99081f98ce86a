"""The fixtures of core: a small clean panel."""

from pathlib import Path

import polars as pl
import pytest

from housing_assets.core.months import Split, TimeSplit, month_of
from housing_assets.core.panel.cleaning import clean_month
from housing_assets.core.sample.spec import SampleSpec
from housing_assets.core.sample.writers import sample_frame, write_sample

ZIPS = 60


@pytest.fixture(scope="session")
def months() -> dict[str, pl.DataFrame]:
    """Fifteen months of `raw_splits`."""
    return by_month(sample_frame(SampleSpec(zips=ZIPS, start="2020-09", end="2021-11")))


def by_month(panel: pl.DataFrame) -> dict[str, pl.DataFrame]:
    split = TimeSplit()
    parts = panel.group_by("date", maintain_order=True)
    return {month_of(day): rows.with_columns(split=pl.lit(str(split.of(month_of(day))))) for (day,), rows in parts}


@pytest.fixture(scope="session")
def dirty_months(tmp_path_factory) -> dict[str, pl.DataFrame]:
    """All 142 months of the panel, with the dirt that cleaning is for."""
    from housing_assets.core.source.panel import open_panel

    path: Path = tmp_path_factory.mktemp("dirty") / "panel.csv"
    write_sample(SampleSpec(zips=ZIPS, dirt=True), path)
    with open_panel(str(path)) as panel:
        return {m: panel.month(m).with_columns(split=pl.lit(str(Split.TRAIN))) for m in panel.months}


@pytest.fixture(scope="session")
def clean(months) -> pl.DataFrame:
    """June 2021 of `cleaned`."""
    return clean_month(months["2021-06"]).frame
