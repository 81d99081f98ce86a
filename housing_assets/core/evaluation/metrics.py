"""Error and interval metrics of predicted prices, overall and by group."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from housing_assets.core.errors import HousingError

_DECILES = 10


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


def compare(actual: np.ndarray, predictors: Mapping[str, np.ndarray]) -> pl.DataFrame:
    """The metrics of every predictor on the same rows: one row each, in the order given."""
    return pl.DataFrame([{"predictor": n, **price_metrics(actual, p)} for n, p in predictors.items()])


def evaluate(
    rows: pl.DataFrame,
    predictors: Mapping[str, np.ndarray],
    intervals: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
) -> pl.DataFrame:
    """Error figures overall and by metro, month and price decile.

    Args:
        rows: `split`, `date`, `city_full`, `price` (US dollars, known) of n rows.
        predictors: prices by name, US dollars, shape (n,).
        intervals: low and high by name, for predictors that have them; NaN in rows without one.

    Returns:
        A row for each split, `by` (overall, metro, month, price_decile), `group` and predictor, with the
        figures of `price_metrics`, `interval_rows`, and `coverage` (percent) and `width` (percent of the
        predicted price) of these rows with an interval (null without any), and the skill against every other predictor,
        `skill_vs_<name>` in percent: 100 * (1 - MAE / its MAE).
    """
    groups = rows.select(
        "split",
        pl.lit("all").alias("overall"),
        pl.col("city_full").fill_null("unknown").alias("metro"),
        pl.col("date").dt.strftime("%Y-%m").alias("month"),
        (1 + (pl.col("price").rank("ordinal").over("split") - 1) * _DECILES // pl.len().over("split"))
        .cast(pl.String)
        .str.zfill(2)
        .alias("price_decile"),
    ).with_row_index("row")
    actual = rows["price"].to_numpy()
    table_rows: list[dict[str, object]] = []
    for by in ("overall", "metro", "month", "price_decile"):
        for (split, group), part in groups.group_by("split", by, maintain_order=True):
            at = part["row"].to_numpy()
            metrics = {name: price_metrics(actual[at], said[at]) for name, said in predictors.items()}
            for name, own in metrics.items():
                table_rows.append(
                    {
                        "split": split,
                        "by": by,
                        "group": group,
                        "predictor": name,
                        **own,
                        **_interval_metrics(actual[at], predictors[name][at], (intervals or {}).get(name), at),
                        **{f"skill_vs_{o}": _skill(own["mae"], m["mae"]) for o, m in metrics.items() if o != name},
                    }
                )
    return pl.DataFrame(table_rows, infer_schema_length=None).sort("split", "by", "group", maintain_order=True)


def _interval_metrics(
    actual: np.ndarray, predicted: np.ndarray, ends: tuple[np.ndarray, np.ndarray] | None, at: np.ndarray
) -> dict[str, float | None]:
    if ends is None:
        return {"interval_rows": 0, "coverage": None, "width": None}
    low, high = ends[0][at], ends[1][at]
    has_interval = np.isfinite(low)
    if not has_interval.any():
        return {"interval_rows": 0, "coverage": None, "width": None}
    inside = (low <= actual) & (actual <= high)
    return {
        "interval_rows": int(has_interval.sum()),
        "coverage": 100 * float(inside[has_interval].mean()),
        "width": 100 * float(((high - low) / predicted)[has_interval].mean()),
    }


def _skill(own: float, other: float) -> float:
    return 100 * (1 - own / other) if other else float("nan")
