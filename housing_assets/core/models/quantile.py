"""XGBoost's quantile matrix, built from rows that come in pieces.

It keeps each value as the number of its bin, a byte or two, so that it is a small part of the rows as floats. XGBoost
takes several passes over the pieces, and the matrix is the same to the last bit however they are cut.
"""

from collections.abc import Callable, Iterator

import numpy as np
import xgboost as xgb

from housing_assets.core.features.monthly import FEATURES
from housing_assets.core.models.rows import Rows, feature_matrix

KEPT_BYTES = 768 * 2**20
"""Rows as floats that are kept between XGBoost's passes, of which it takes five: some 5 million rows, the train months
of the whole country. Larger ones are read again for each pass."""


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
    return xgb.QuantileDMatrix(_Pieces(_matrices(rows, labels.size), labels), max_bin=max_bin, ref=ref)


def _matrices(rows: Rows, height: int) -> Callable[[], Iterator[np.ndarray]]:
    """What gives the feature matrices of the pieces from the start, each time that it is called."""
    if height * len(FEATURES) * np.dtype(np.float32).itemsize <= KEPT_BYTES:
        kept = [feature_matrix(piece) for piece in rows.pieces(FEATURES)]
        return lambda: iter(kept)
    return lambda: map(feature_matrix, rows.pieces(FEATURES))


class _Pieces(xgb.DataIter):
    def __init__(self, matrices: Callable[[], Iterator[np.ndarray]], labels: np.ndarray) -> None:
        self._matrices, self._labels = matrices, labels
        self._left: Iterator[np.ndarray] = iter(())
        self._at = 0
        super().__init__(release_data=True)

    def reset(self) -> None:
        """Begin from the start."""
        self._left, self._at = self._matrices(), 0

    def next(self, input_data: Callable[..., None]) -> bool:
        """Hand the next piece to XGBoost; False when there is none."""
        matrix = next(self._left, None)
        if matrix is None:
            return False
        end = self._at + len(matrix)
        input_data(data=matrix, label=self._labels[self._at : end], feature_names=list(FEATURES))
        self._at = end
        return True
