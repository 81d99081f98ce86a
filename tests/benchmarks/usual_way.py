"""The data path as it is often begun: pandas, each stage a script that reads a CSV and writes one.

It does the work of the platform's data path and no more: splits by month, names of metros, gaps, duplicates, impossible
values, encoders from train alone, and the matrix. Written as one writes pandas: whole columns, no loops over rows.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from housing_assets.core.features.monthly import FEATURES
from housing_assets.core.panel.metros import METRO_BY_KEY, metro_key
from housing_assets.core.panel.schema import BY_NAME, COLUMN_NAMES, NUMBERS, Zero

_TEXT = {"zipcode": str, "city_full": str}
_MAX_LIST_PRICE = 19_000_000
_SMOOTHING = 20


def run(source: Path, folder: Path) -> None:
    """Every stage in order."""
    load(source, folder)
    clean(folder)
    fit(folder)
    make(folder)


def load(source: Path, folder: Path) -> None:
    """The panel with its split."""
    panel = pd.read_csv(source, dtype=_TEXT, usecols=list(COLUMN_NAMES), parse_dates=["date"])
    panel["zipcode"] = panel["zipcode"].str.zfill(5)
    month = panel["date"].dt.strftime("%Y-%m")
    panel["split"] = np.select([month < "2020-01", month < "2022-01"], ["train", "eval"], "holdout")
    panel.sort_values(["date", "zipcode"]).to_csv(folder / "raw_splits.csv", index=False)


def clean(folder: Path) -> None:
    """Names, gaps, duplicates, impossible values."""
    panel = pd.read_csv(folder / "raw_splits.csv", dtype=_TEXT, parse_dates=["date"])
    known = {name: METRO_BY_KEY.get(metro_key(name)) for name in panel["city_full"].unique()}
    for column, attribute in (("latitude", "latitude"), ("longitude", "longitude"), ("city_full", "name")):
        panel[column] = panel["city_full"].map({n: getattr(m, attribute) for n, m in known.items() if m})
    panel = panel.drop_duplicates()
    no_census = panel["Total Population"] == 0
    for name in NUMBERS:
        rule = BY_NAME[name].zero
        if rule is not Zero.VALUE:
            gap = panel[name] == 0
            panel.loc[gap if rule is Zero.MISSING else gap & no_census, name] = np.nan
    good = ~panel.duplicated(["date", "zipcode"], keep=False) & ~(panel["median_list_price"] > _MAX_LIST_PRICE)
    for name in NUMBERS:
        good &= ~((panel[name] < BY_NAME[name].low) | (panel[name] > BY_NAME[name].high))
    panel[~good].to_csv(folder / "quarantined.csv", index=False)
    panel = panel[good].sort_values(["zipcode", "date"])
    figures = [name for name in NUMBERS if name != "year"]
    before = panel.groupby("zipcode")[figures].shift()
    same = (panel[figures] == before) | (panel[figures].isna() & before.isna())
    panel["repeats_previous"] = same.all(axis=1)
    panel.to_csv(folder / "cleaned.csv", index=False)


def fit(folder: Path) -> None:
    """Encoders, from train alone."""
    panel = pd.read_csv(folder / "cleaned.csv", dtype=_TEXT, parse_dates=["date"])
    train = panel[(panel["split"] == "train") & panel["price"].notna()]
    prior = train["price"].mean()
    sums = train.groupby("city_full")["price"].agg(["sum", "count"])
    target = (sums["sum"] + _SMOOTHING * prior) / (sums["count"] + _SMOOTHING)
    frequency = train["zipcode"].value_counts(normalize=True)
    target.rename("encoding").to_csv(folder / "city_full_target.csv")
    frequency.rename("encoding").to_csv(folder / "zipcode_frequency.csv")


def make(folder: Path) -> None:
    """The matrix."""
    panel = pd.read_csv(folder / "cleaned.csv", dtype=_TEXT, parse_dates=["date"])
    panel = panel[(panel["split"] != "holdout") & panel["price"].notna()]
    for column in ("city_full", "zipcode"):
        feature = {"city_full": "city_full_target", "zipcode": "zipcode_frequency"}[column]
        table = pd.read_csv(folder / f"{feature}.csv", dtype=_TEXT).set_index(column)["encoding"]
        panel[feature] = panel[column].map(table)
    panel["year"], panel["quarter"], panel["month"] = (
        panel["date"].dt.year,
        panel["date"].dt.quarter,
        panel["date"].dt.month,
    )
    panel[["date", "zipcode", "city_full", "split", "price", *FEATURES]].to_csv(
        folder / "training_features.csv", index=False
    )
