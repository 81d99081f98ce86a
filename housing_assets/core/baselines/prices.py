"""Naive predictors of a month's price."""

import numpy as np
import polars as pl

from housing_assets.core.baselines.growth import NAIVE_GROWTH, naive_growth
from housing_assets.core.features.history import History
from housing_assets.core.months import add_months

NAIVE: tuple[str, ...] = ("train_median", "metro_median", "last_known_price")
"""The naive baselines that know train alone, as `naive_predictions` names them; `history_naive_predictions` has those
of `NAIVE_GROWTH`, which know the zip's price up to the publication lag."""


def naive_predictions(train: pl.DataFrame, rows: pl.DataFrame) -> dict[str, np.ndarray]:
    """What one would say without a model, from train prices alone.

    Args:
        train: `date`, `zipcode`, `city_full`, `price` of the train months.
        rows: `zipcode`, `city_full` of the rows to predict.

    Returns:
        For each baseline the prices in US dollars, shape (len(rows),): `train_median`, `metro_median`,
        and `last_known_price`, the zip's last price before the split. What a baseline does not know it
        takes from the one before.
    """
    overall = np.full(rows.height, float(train["price"].median()))  # type: ignore[arg-type]
    by_metro = train.group_by("city_full").agg(pl.col("price").median().alias("said"))
    metro = _said(rows, by_metro, "city_full", overall)
    by_zip = train.group_by("zipcode").agg(pl.col("price").sort_by("date").last().alias("said"))
    return {
        "train_median": overall,
        "metro_median": metro,
        "last_known_price": _said(rows, by_zip, "zipcode", metro),
    }


def history_naive_predictions(
    rows: pl.DataFrame, history: History, lag: int, otherwise: np.ndarray
) -> dict[str, np.ndarray]:
    """What one would say from the zip's last known price without a model: `NAIVE_GROWTH`.

    Args:
        rows: `date`, `zipcode` of the rows to predict.
        history: of their zips.
        lag: months from the last known price to the month predicted.
        otherwise: prices in US dollars, shape (len(rows),), for zips without history.
    """
    said = {name: otherwise.astype(np.float64) for name in NAIVE_GROWTH}
    keyed = rows.select(pl.col("date").dt.strftime("%Y-%m").alias("month"), "zipcode").with_row_index("row")
    for (month,), part in keyed.group_by("month", maintain_order=True):
        origin = add_months(str(month), -lag)
        if not history.first_month <= origin <= history.last_month:
            continue
        known, at = history.known(origin), history.column(origin)
        of_zip = [
            (row, history.zip_index.get(zipcode, -1)) for row, zipcode in part.select("row", "zipcode").iter_rows()
        ]
        told = [(row, place) for row, place in of_zip if place >= 0 and known[place]]
        found = np.array(told, dtype=np.int64).reshape(-1, 2)
        for name, growth in naive_growth(history, origin, lag).items():
            places = found[:, 1]
            said[name][found[:, 0]] = np.exp(history.log_price[places, at] + growth[places])
    return said


def _said(rows: pl.DataFrame, table: pl.DataFrame, key: str, otherwise: np.ndarray) -> np.ndarray:
    said = rows.select(key).join(table, on=key, how="left", maintain_order="left")["said"].to_numpy()
    return np.where(np.isnan(said), otherwise, said)
