"""A synthetic store of national size for the dashboard's figures: tables written as the assets write them.

Prices are made, not measured: a level that follows latitude and longitude, a common cycle, and noise.
"""

import shutil
from pathlib import Path

import numpy as np
import polars as pl

from housing_assets.core.months import add_months, month_end
from housing_assets.core.panel.places import metros, state_pool, zip_table
from housing_assets.store.layout import Store
from housing_assets.store.verdicts import State, Verdict, data_stamps, write_verdicts

ZIPS, HISTORY, PREDICTED, HORIZONS = 26_000, 300, 24, 12
END = "2026-06"
_COPIED = (
    "model_evaluation",
    "forecast_evaluation",
    "forecast_skill",
    "forecast_coverage",
    "forecast_intervals",
    "forecast_weights",
)


def national_store(store: Store, folder: Path, zips: int = ZIPS, history: int = HISTORY) -> Store:
    """A store with the most populous zips of the country.

    Args:
        store: of a small run, whose models, grades and check results are taken as they are.
        folder: of the new store.
        zips: how many.
        history: months of `cleaned` and `price_history`, the last one `END`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("models", "checks", "vintages"):
        if (Path(store.uri) / part).is_dir():
            shutil.copytree(Path(store.uri) / part, folder / part)
    for name in (*_COPIED, "revisions"):
        if (file := Path(store.uri) / f"{name}.parquet").is_file():
            shutil.copy(file, folder / file.name)
    national = Store.open(str(folder))
    places = _places(zips)
    months = [add_months(END, back) for back in range(1 - history - HORIZONS, 1)]
    prices = _prices(places, len(months))
    known = months[:history]
    frames = []
    for at, month in enumerate(known):
        frame = places.select(
            pl.lit(month_end(month)).alias("date"), "zipcode", "city_full", pl.Series("price", prices[at])
        )
        national.months("cleaned").write(month, frame)
        frames.append(frame)
    national.write_table("price_history", pl.concat(frames).sort("zipcode", "date"))
    stamp = data_stamps(national, "cleaned")[known[-1]]
    write_verdicts(national, [Verdict("cleaned", known[-1], State.GREEN, stamp, zips, f"synthetic, {zips:,} zips")])
    random = np.random.default_rng(7)
    for at in range(history - PREDICTED, history):
        national.months("monthly_predictions").write(known[at], _predictions(places, known[at], prices[at], random))
        national.months("monthly_forecasts").write(known[at], _forecasts(places, months, prices, at, random))
    return national


def _places(zips: int) -> pl.DataFrame:
    """The most populous zips with their metro, or the part of their state that is in none."""
    table = zip_table().drop_nulls(["latitude", "state"]).sort("population", descending=True).head(zips).sort("zipcode")
    areas = metros()
    names = [
        areas[cbsa].name if cbsa in areas else (pool.name if (pool := state_pool(state)) else None)
        for cbsa, state in table.select("cbsa", "state").iter_rows()
    ]
    return table.with_columns(pl.Series("city_full", names))


def _prices(places: pl.DataFrame, months: int) -> np.ndarray:
    """Prices in US dollars, shape (months, zips)."""
    random = np.random.default_rng(1)
    latitude, longitude = places["latitude"].to_numpy(), places["longitude"].to_numpy()
    coast = np.exp(-np.abs(longitude + 121) / 5) * 1.3 + np.exp(-np.abs(longitude + 73.5) / 4) * (latitude > 38) * 0.9
    level = np.log(210_000) + coast + 0.35 * random.standard_normal(places.height)
    years = np.arange(months)[:, None] / 12
    phase = (longitude + latitude) / 40
    growth = 0.035 * years + 0.12 * np.sin(2 * np.pi * years / 17 + phase[None, :])
    noise = np.cumsum(0.003 * random.standard_normal((months, places.height)), axis=0)
    return np.exp(level[None, :] + growth + noise).round(0)


def _predictions(places: pl.DataFrame, month: str, actual: np.ndarray, random: np.random.Generator) -> pl.DataFrame:
    predicted = actual * np.exp(0.004 * random.standard_normal(actual.size))
    return places.select(
        pl.lit(month_end(month)).alias("date"),
        "zipcode",
        "city_full",
        pl.Series("predicted_price", predicted),
        pl.Series("predicted_low", predicted * 0.992),
        pl.Series("predicted_high", predicted * 1.008),
        pl.Series("actual_price", actual),
        pl.lit("tuned-national").alias("model_version"),
        pl.lit(True).alias("from_history"),
        pl.lit("model").alias("predictor"),
    )


def _forecasts(
    places: pl.DataFrame, months: list[str], prices: np.ndarray, at: int, random: np.random.Generator
) -> pl.DataFrame:
    frames = []
    for horizon in range(1, HORIZONS + 1):
        spread = 0.006 * horizon**0.8
        predicted = prices[min(at + horizon, len(prices) - 1)] * np.exp(spread * random.standard_normal(places.height))
        frame = places.select(
            pl.lit(months[at]).alias("origin"),
            pl.lit(month_end(add_months(months[at], horizon))).alias("date"),
            pl.lit(horizon, pl.Int64).alias("horizon"),
            "zipcode",
            "city_full",
            pl.Series("predicted_price", predicted),
            pl.Series("predicted_low", predicted * np.exp(-1.7 * spread)),
            pl.Series("predicted_high", predicted * np.exp(1.7 * spread)),
            pl.lit("model").alias("predictor"),
            pl.Series("last_known_price", prices[at]),
            pl.lit("forecast-national").alias("model_version"),
        )
        frames.append(frame)
    return pl.concat(frames)
