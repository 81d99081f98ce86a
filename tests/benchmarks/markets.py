"""How forecasts hold in every market: a walk over a long price index, by windows of years.

The source is a file in Zillow's wide layout, of zips, metros or the nation, as HOUSING_SOURCE_URI names it. Half of the
regions, every other one by size, is what was developed on; the other half (`HALF=1`) confirms.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from figures import Figure

from housing_assets.core.baselines.growth import NAIVE_GROWTH
from housing_assets.core.features.history import CARRIED_MONTHS, SIGNALS, History
from housing_assets.core.features.series import carry_forward
from housing_assets.core.forecasting.backtest import Backtest
from housing_assets.core.forecasting.model import fit_forecast_model
from housing_assets.core.forecasting.publishing import forecast
from housing_assets.core.forecasting.schema import FITTED, MODEL
from housing_assets.core.months import TimeSplit

HORIZONS = (1, 2, 3, 6, 12)
WINDOWS = (
    (2006, 2008),
    (2009, 2011),
    (2012, 2013),
    (2014, 2017),
    (2018, 2019),
    (2020, 2021),
    (2022, 2023),
    (2024, 2024),
)
RATIOS = {1: (0.55, 0.70), 3: (0.84, 0.95), 6: (0.92, 0.98), 12: (0.94, 1.03)}
"""Targets of the error beside that of the naive forecaster that was best in each window: mean and worst window."""
COVERAGE = {1: (85, 95), 3: (85, 95), 6: (83, 96), 12: (78, 97)}
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
FORECAST_FROM, FORECASTS = "2024-12", Path("data/bench/forecasts-2024-12.csv")


def read_index(path: Path, half: int | None = None, first: str = "") -> History:
    """Prices of a file in Zillow's wide layout as a history: regions for zips, states for metros.

    Args:
        path: of the file.
        half: 0 or 1: every other region by size; None: all.
        first: month before which nothing is read; empty: all months.
    """
    table = pl.read_csv(path, infer_schema_length=2_000).filter(pl.col("RegionType") != "country")
    kept = sorted(name for name in table.columns if _DAY.fullmatch(name) and name[:7] >= first)
    table = table.sort("SizeRank", "RegionID").with_row_index("place")
    if half is not None:
        table = table.filter(pl.col("place") % 2 == half)
    table = table.with_columns(pl.col("RegionID").cast(pl.String).str.zfill(6).alias("key")).sort("key")
    states = table["StateName"].fill_null("")
    names = states.unique().sort()
    prices = table.select(pl.col(kept).cast(pl.Float64, strict=False)).to_numpy()
    log_price = np.log(prices)
    return History(
        zips=tuple(table["key"]),
        first_month=kept[0][:7],
        last_month=kept[-1][:7],
        metros=tuple(names),
        metro=states.replace_strict(names, range(names.len()), return_dtype=pl.Int64).to_numpy(),
        priced=np.isfinite(log_price),
        log_price=carry_forward(log_price, CARRIED_MONTHS),
        signals={name: np.full(log_price.shape, np.nan, np.float32) for name in SIGNALS},
    )


def is_index(path: str) -> bool:
    """True if a source is a file in Zillow's wide layout of other regions than zips."""
    if not Path(path).is_file():
        return False
    with Path(path).open("rb") as file:
        header, first = file.readline(), file.readline()
    return header.startswith(b"RegionID,") and b",zip," not in first.lower()


def market_figures(path: Path, half: int | None, first: str = "", eval_start: str = "2006-01") -> Iterator[Figure]:
    """Ratios, coverage and interval scores by window; forecasts of the newest origin are written as a table."""
    history = read_index(path, half, first)
    model = fit_forecast_model(history, TimeSplit(eval_start, "2024-01"))
    walked = Backtest.begin(model)
    outcomes = pl.concat(walked.advance(history, model))
    widths = walked.intervals()
    rows = outcomes.drop_nulls("growth").join(widths, on=["origin", "horizon"], how="left")
    rows = rows.with_columns(
        pl.col("month").str.slice(0, 4).cast(pl.Int64).alias("year"),
        (pl.col("log_common") ** 2 + (pl.col("log_own") * pl.col("noise")) ** 2).sqrt().alias("width"),
    )
    windows = [w for w in WINDOWS if w[0] > int(eval_start[:4]) - 1]
    for horizon in RATIOS:
        yield from _of_horizon(rows.filter(pl.col("horizon") == horizon), horizon, windows)
    if history.first_month <= FORECAST_FROM <= history.last_month:
        FORECASTS.parent.mkdir(parents=True, exist_ok=True)
        published = dict.fromkeys(HORIZONS, MODEL)
        forecast(history, FORECAST_FROM, model, published, widths, walked.weight_table).write_csv(FORECASTS)
        yield Figure("markets", f"forecasts from {FORECAST_FROM}", str(FORECASTS))


def _of_horizon(rows: pl.DataFrame, horizon: int, windows: Sequence[tuple[int, int]]) -> Iterator[Figure]:
    ratios: dict[str, list[float]] = {name: [] for name in (MODEL, *FITTED)}
    covered, scores = [], []
    for first, last in windows:
        part = rows.filter(pl.col("year").is_between(first, last))
        errors = {n: part.select((pl.col(n) - pl.col("growth")).abs().mean()).item() for n in (*NAIVE_GROWTH, *ratios)}
        best = min(errors[name] for name in NAIVE_GROWTH)
        for name, values in ratios.items():
            values.append(errors[name] / best if errors[name] is not None else np.nan)
        held = part.drop_nulls("width")
        miss = np.abs((held["growth"] - held[MODEL]).to_numpy()) - held["width"].to_numpy()
        covered.append(100 * float((miss <= 0).mean()))
        scores.append(100 * float((2 * held["width"].to_numpy() + 20 * np.maximum(miss, 0)).mean()))
    for name, values in ratios.items():
        mean, worst = float(np.nanmean(values)), float(np.nanmax(values))
        figure = f"{mean:.3f}, worst {worst:.3f} ({' '.join(f'{v:.2f}' for v in values)})"
        limits = RATIOS[horizon]
        target = (
            (f"{limits[0]}, {limits[1]}", mean <= limits[0] and worst <= limits[1]) if name == MODEL else ("", None)
        )
        yield Figure("markets", f"+{horizon}: {name} / the best naive of each window", figure, *target)
    low, high = COVERAGE[horizon]
    figure = f"{' '.join(f'{c:.0f}' for c in covered)}"
    is_held = low <= min(covered) and max(covered) <= high
    yield Figure("markets", f"+{horizon}: % inside 90% intervals by window", figure, f"{low} to {high}", is_held)
    yield Figure("markets", f"+{horizon}: interval score, mean of windows", f"{np.mean(scores):.2f} log points")
