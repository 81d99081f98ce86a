"""The paired comparison of two models by bootstrap over zips."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

_RESAMPLES = 1_000


def compare_paired(
    rows: pl.DataFrame, predictors: Mapping[str, np.ndarray], names: Sequence[str], seed: int = 0
) -> pl.DataFrame:
    """How much smaller the mean absolute error of some predictors is than each other's, with its uncertainty.

    The interval is the percentile bootstrap of Efron (1979) over whole zips, since the errors of one zip's
    months go together: resampling rows would make it far too narrow.

    Args:
        rows: `split`, `zipcode`, `price` of n rows.
        predictors: prices by name, shape (n,).
        names: the predictors in question.
        seed: of the resamples.

    Returns:
        A row for each of them, split and other predictor: `split`, `predictor`, `against`, `rows`, `zips`,
        `mae_saved` (US dollars; positive: `predictor` is better), `saved_low`, `saved_high` (95%).
    """
    actual = rows["price"].to_numpy()
    by_zip = (
        rows.select("split", "zipcode")
        .with_columns(pl.Series(name, np.abs(prices - actual)) for name, prices in predictors.items())
        .group_by("split", "zipcode", maintain_order=True)
        .agg(pl.col(list(predictors)).sum(), pl.len().alias("rows"))
    )
    comparisons = []
    for (split,), part in by_zip.group_by("split", maintain_order=True):
        drawn = _resampled_sums(part.select(*predictors, "rows").to_numpy().astype(np.float64), seed)
        of = dict(zip((*predictors, "rows"), drawn.T, strict=True))
        for name, other in ((n, o) for n in names for o in predictors if o != n):
            low, high = np.percentile((of[other] - of[name]) / of["rows"], [2.5, 97.5])
            comparisons.append(
                {
                    "split": split,
                    "predictor": name,
                    "against": other,
                    "rows": int(part["rows"].sum()),
                    "zips": part.height,
                    "mae_saved": float((part[other] - part[name]).sum()) / int(part["rows"].sum()),
                    "saved_low": float(low),
                    "saved_high": float(high),
                }
            )
    return pl.DataFrame(comparisons)


def _resampled_sums(values: np.ndarray, seed: int) -> np.ndarray:
    """Sums over rows drawn with replacement, shape (resamples, columns), of values of shape (n, columns)."""
    random, count = np.random.default_rng(seed), len(values)
    sums = np.empty((_RESAMPLES, values.shape[1]))
    for resample in range(_RESAMPLES):
        drawn = np.bincount(random.integers(0, count, count), minlength=count)
        sums[resample] = drawn.astype(np.float64) @ values  # as floats, since numpy multiplies integers without BLAS
    return sums
