"""XGBoost's quantile matrix, built from rows that come in pieces.

It keeps each value as the number of its bin, a byte or two, so that it is a small part of the rows as floats. XGBoost
takes several passes over the pieces, and the matrix is the same to the last bit however they are cut.
"""

from collections.abc import Callable, Iterator

import numpy as np
import polars as pl
import xgboost as xgb

from housing_assets.core.features.monthly import FEATURES
from housing_assets.core.models.rows import Rows, feature_matrix


def quantile_matrix(
    rows: Rows, labels: np.ndarray, max_bin: int, ref: xgb.QuantileDMatrix | None = None
) -> xgb.QuantileDMatrix:
    """The matrix of training features.

    Args:
        rows: n rows with `FEATURES` (missing is null).
        labels: what trees fit, shape (n,).
        max_bin: most bins of a feature.
        ref: the matrix whose bins to use, for rows to validate on.
    """
    return xgb.QuantileDMatrix(_Pieces(rows, labels), max_bin=max_bin, ref=ref)


class _Pieces(xgb.DataIter):
    def __init__(self, rows: Rows, labels: np.ndarray) -> None:
        self._rows, self._labels = rows, labels
        self._left: Iterator[pl.DataFrame] = iter(())
        self._at = 0
        super().__init__(release_data=True)

    def reset(self) -> None:
        """Begin from the start."""
        self._left, self._at = self._rows.pieces(FEATURES), 0

    def next(self, input_data: Callable[..., None]) -> bool:
        """Hand the next piece to XGBoost; False when there is none."""
        frame = next(self._left, None)
        if frame is None:
            return False
        end = self._at + frame.height
        input_data(data=feature_matrix(frame), label=self._labels[self._at : end], feature_names=list(FEATURES))
        self._at = end
        return True
