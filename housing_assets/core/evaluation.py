"""Evaluation: error figures of named predictors on the same rows, naive baselines beside the model."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from housing_assets.core.errors import HousingError


def price_metrics(actual: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Error figures of one predictor.

    Args:
        actual: prices in US dollars, shape (n,), positive.
        predicted: the same shape.

    Returns:
        `mae`, `rmse`, `bias` in US dollars; `r2`; `mape`, `mdape` (mean and median absolute % error) and
        the shares `within_5`, `within_10`, `within_20` in percent; `rows`.

    Raises:
        HousingError: no rows.
    """
    if not actual.size:
        raise HousingError("no rows to evaluate: the split is empty. Check the cut-offs and the source")
    error = predicted - actual
    share = np.abs(error) / actual
    spread = float(((actual - actual.mean()) ** 2).sum())
    return {
        "rows": float(actual.size),
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "r2": 1 - float((error**2).sum()) / spread if spread else float("nan"),
        "mape": 100 * float(share.mean()),
        "mdape": 100 * float(np.median(share)),
        "bias": float(error.mean()),
        **{f"within_{p}": 100 * float((share <= p / 100).mean()) for p in (5, 10, 20)},
    }


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


def _said(rows: pl.DataFrame, table: pl.DataFrame, key: str, otherwise: np.ndarray) -> np.ndarray:
    said = rows.select(key).join(table, on=key, how="left", maintain_order="left")["said"].to_numpy()
    return np.where(np.isnan(said), otherwise, said)


def compare(actual: np.ndarray, predictors: Mapping[str, np.ndarray]) -> pl.DataFrame:
    """The metrics of every predictor on the same rows: one row each, in the order given."""
    return pl.DataFrame([{"predictor": n, **price_metrics(actual, p)} for n, p in predictors.items()])
