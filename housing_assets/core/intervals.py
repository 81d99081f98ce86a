"""Prediction intervals: split conformal on log residuals, by metro.

The half-width is the finite-sample quantile of Lei et al. (2018), "Distribution-Free Predictive
Inference for Regression": the ceil((n + 1) * coverage)-th smallest absolute residual of n.
"""

import math

import numpy as np
import polars as pl

from housing_assets.core.errors import HousingError

COVERAGE = 0.9
"""Share of actual prices an interval is made to contain."""
MIN_ROWS = 100
"""A metro with fewer residuals takes the pooled half-width."""


def calibrate(city_full: pl.Series, actual: np.ndarray, predicted: np.ndarray) -> pl.DataFrame:
    """Half-widths in log price.

    Args:
        city_full: metro of each row.
        actual, predicted: prices in US dollars, shape (n,), of rows the model was not fitted on.

    Returns:
        `city_full` (null: the pooled row), `rows`, `half_width` (log price).

    Raises:
        HousingError: no rows.
    """
    if not actual.size:
        raise HousingError("no rows to calibrate intervals on: the split is empty")
    residual = np.abs(np.log(actual) - np.log(predicted))
    rows = [(None, residual.size, _quantile(residual))]
    named = pl.DataFrame({"city_full": city_full, "residual": residual}).drop_nulls("city_full")
    for (metro,), part in named.group_by("city_full", maintain_order=True):
        if part.height >= MIN_ROWS:
            rows.append((metro, part.height, _quantile(part["residual"].to_numpy())))
    schema = {"city_full": pl.String(), "rows": pl.UInt32(), "half_width": pl.Float64()}
    return pl.DataFrame(rows, schema=schema, orient="row").sort("city_full", nulls_last=False)


def _quantile(residual: np.ndarray) -> float:
    rank = min(math.ceil((residual.size + 1) * COVERAGE), residual.size)
    return float(np.partition(residual, rank - 1)[rank - 1])


def interval(city_full: pl.Series, predicted: np.ndarray, table: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Low and high of each prediction, US dollars, shape (n,): predicted / e^w to predicted * e^w."""
    pooled = float(table.filter(pl.col("city_full").is_null())["half_width"][0])
    own = dict(table.drop_nulls("city_full").select("city_full", "half_width").iter_rows())
    width = np.array([own.get(metro, pooled) for metro in city_full.to_list()])
    return predicted * np.exp(-width), predicted * np.exp(width)
