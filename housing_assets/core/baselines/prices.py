"""Naive predictors of a month's price: from train prices alone, and by the naive forecasters of growth."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from housing_assets.core.baselines.forecaster import forecast_prices
from housing_assets.core.baselines.growth import NAIVE_FORECASTERS
from housing_assets.core.features.history import History
from housing_assets.core.months import add_months

NAIVE_PRICE_LABELS: Mapping[str, str] = {
    "train_median": "median of train",
    "metro_median": "median of the metro",
    "last_known_price": "last price in train",
}
"""A few words for a legend or a table, by name of the baselines of `naive_predictions`."""

NAIVE: tuple[str, ...] = tuple(NAIVE_PRICE_LABELS)
"""The naive baselines of `naive_predictions`, which use train prices alone. Those of `history_naive_predictions` use
the zip's prices up to the publication lag."""


def naive_predictions(train: pl.DataFrame, rows: pl.DataFrame) -> dict[str, np.ndarray]:
    """Prices that need no model, from train prices alone.

    Args:
        train: `date`, `zipcode`, `city_full`, `price` of the train months.
        rows: `zipcode`, `city_full` of the rows to predict.

    Returns:
        For each of `NAIVE` the prices in US dollars, shape (len(rows),): `train_median`, `metro_median`, and
        `last_known_price`, the zip's last price before the split. A row that a baseline has no price for has the price
        of the baseline before it.
    """
    overall = np.full(rows.height, float(train["price"].median()))  # type: ignore[arg-type]
    by_metro = train.group_by("city_full").agg(pl.col("price").median().alias("predicted"))
    metro = _looked_up(rows, by_metro, "city_full", overall)
    by_zip = train.group_by("zipcode").agg(pl.col("price").sort_by("date").last().alias("predicted"))
    return {
        "train_median": overall,
        "metro_median": metro,
        "last_known_price": _looked_up(rows, by_zip, "zipcode", metro),
    }


def history_naive_predictions(
    rows: pl.DataFrame, history: History, lag: int, otherwise: np.ndarray
) -> dict[str, np.ndarray]:
    """Prices by the naive forecasters, from the zip's last known price.

    Args:
        rows: `date`, `zipcode` of the rows to predict.
        history: of their zips.
        lag: months from the last known price to the month predicted.
        otherwise: prices in US dollars, shape (len(rows),), for zips without history.

    Returns:
        By name of `NAIVE_FORECASTERS` the prices in US dollars, shape (len(rows),).
    """
    predicted = {name: otherwise.astype(np.float64) for name in NAIVE_FORECASTERS}
    keyed = rows.select(pl.col("date").dt.strftime("%Y-%m").alias("month"), "zipcode").with_row_index("row")
    keyed = keyed.filter(pl.col("zipcode").is_in(list(history.zips)))
    for (month,), part in keyed.group_by("month", maintain_order=True):
        row = part["row"].to_numpy()
        zips = [history.zip_index[zipcode] for zipcode in part["zipcode"]]
        for name, forecaster in NAIVE_FORECASTERS.items():
            prices = forecast_prices(forecaster, history, add_months(str(month), -lag), lag)[zips]
            predicted[name][row] = np.where(np.isfinite(prices), prices, otherwise[row])
    return predicted


def _looked_up(rows: pl.DataFrame, table: pl.DataFrame, key: str, otherwise: np.ndarray) -> np.ndarray:
    predicted = rows.select(key).join(table, on=key, how="left", maintain_order="left")["predicted"].to_numpy()
    return np.where(np.isnan(predicted), otherwise, predicted)
