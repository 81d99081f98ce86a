"""Training rows, whole or in pieces, as the matrix that trees are fitted on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl

from housing_assets.core.features.monthly import FEATURES


class Rows(Protocol):
    """Training features that are read piece by piece, from the start each time: memory holds a piece at a time."""

    def pieces(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """These columns of all rows, in the same order each time."""
        ...


@dataclass(frozen=True)
class WholeFrame:
    """A feature frame in one piece."""

    frame: pl.DataFrame

    def pieces(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """See `Rows`."""
        yield self.frame.select(columns)


def feature_matrix(features: pl.DataFrame) -> np.ndarray:
    """The columns `FEATURES` as a float32 array of shape (n, len(FEATURES)), missing as NaN."""
    return features.select(pl.col(FEATURES).cast(pl.Float32).fill_null(float("nan"))).to_numpy(order="c")
