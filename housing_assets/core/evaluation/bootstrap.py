"""The paired comparison of two models by bootstrap over zips."""

from collections.abc import Mapping

import numpy as np
import polars as pl

_RESAMPLES = 1_000


def compare_paired(rows: pl.DataFrame, predictors: Mapping[str, np.ndarray], name: str, seed: int = 0) -> pl.DataFrame:
    """How much smaller the mean absolute error of one predictor is than each other's, with its uncertainty.

    The interval is the percentile bootstrap of Efron (1979) over whole zips, since the errors of one zip's
    months go together: resampling rows would make it far too narrow.

    Args:
        rows: `split`, `zipcode`, `price` of n rows.
        predictors: prices by name, shape (n,).
        name: the predictor in question.
        seed: of the resamples.

    Returns:
        A row for each split and other predictor: `split`, `predictor`, `against`, `rows`, `zips`,
        `mae_saved` (US dollars; positive: `predictor` is better), `saved_low`, `saved_high` (95%).
    """
    actual = rows["price"].to_numpy()
    others = [other for other in predictors if other != name]
    own = np.abs(predictors[name] - actual)
    saved = [pl.Series(other, np.abs(predictors[other] - actual) - own) for other in others]
    by_zip = (
        rows.select("split", "zipcode")
        .with_columns(saved)
        .group_by("split", "zipcode", maintain_order=True)
        .agg(pl.col(others).sum(), pl.len().alias("rows"))
    )
    comparisons = []
    for (split,), part in by_zip.group_by("split", maintain_order=True):
        totals, count = part.select(others).to_numpy(), part["rows"].to_numpy().astype(float)
        draws = np.random.default_rng(seed).multinomial(
            part.height, np.full(part.height, 1 / part.height), size=_RESAMPLES
        )
        # As floats: numpy multiplies integers without the linear algebra library.
        drawn = draws.astype(np.float64) @ np.column_stack([totals, count])
        low, high = np.percentile(drawn[:, :-1] / drawn[:, -1:], [2.5, 97.5], axis=0)
        for i, other in enumerate(others):
            comparisons.append(
                {
                    "split": split,
                    "predictor": name,
                    "against": other,
                    "rows": int(count.sum()),
                    "zips": part.height,
                    "mae_saved": float(totals[:, i].sum() / count.sum()),
                    "saved_low": float(low[i]),
                    "saved_high": float(high[i]),
                }
            )
    return pl.DataFrame(comparisons)
