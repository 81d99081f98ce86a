"""Arithmetic on arrays with gaps: a missing value is NaN, and months run along the last axis."""

import numpy as np

from housing_assets.core.errors import HousingError

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def carry_forward(values: np.ndarray, months: int) -> np.ndarray:
    """Fill each gap with the value before it.

    Args:
        values: shape (n, months of the panel).
        months: a value stands for at most so many missing ones after it, and never for one before it.

    Returns:
        A filled copy of the same shape and type.
    """
    filled = values.copy(order="K")
    age = np.zeros(len(values), dtype=int)
    for column in range(1, values.shape[1]):
        missing = np.isnan(values[:, column])
        age = np.where(missing, age + 1, 0)
        carried = missing & (age <= months)
        filled[carried, column] = filled[carried, column - 1]
    return filled


def change_before(level: np.ndarray, column: int, months: int) -> np.ndarray:
    """Change of a level over the months before a column: shape (n,), or a scalar of a single series.

    It is NaN where the panel had not begun.

    Raises:
        HousingError: the number of months is negative.
    """
    if months < 0:
        raise HousingError(f"months={months} is below 0, so that it would read what comes later: give months before")
    if column - months < 0:
        return np.full(level.shape[:-1], np.nan)
    return level[..., column] - level[..., column - months]


def mean_of_known(values: np.ndarray, axis: int) -> Floats:
    """Mean of the values that are not missing; NaN where all of them are."""
    is_known = np.isfinite(values)
    count = is_known.sum(axis=axis)
    total = np.where(is_known, values, 0).sum(axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def deviation_of_known(values: np.ndarray) -> Floats:
    """Standard deviation of each row's values that are not missing, shape (n,); NaN with fewer than two."""
    count = np.isfinite(values).sum(axis=1)
    squares = np.where(np.isfinite(values), (values - mean_of_known(values, 1)[:, None]) ** 2, 0).sum(axis=1)
    return np.where(count > 1, np.sqrt(squares / np.maximum(count, 1)), np.nan)
