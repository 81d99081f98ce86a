"""Prediction intervals: conformal on log residuals, by metro, recalibrated every month.

An interval reaches from the 5% to the 95% quantile of the residuals log(actual) - log(predicted) of rows the
model was not fitted on, with the finite-sample correction of split conformal prediction (Lei et al. 2018,
"Distribution-Free Predictive Inference for Regression"), one tail at a time, so that a model that falls behind
the market gets an interval that reaches further up than down. Rows predicted from their own history have intervals of
their own: they err ten times less than rows that have none. These are symmetric, since a growth that was too high in
one market is too low in the next, and since all zips of a month err together, the month to come counts as more than
one row of many.

Out of time the errors of a fixed model grow, so a month's intervals rest on the residuals of the 12 months
before it, which are what would have been known then, and newer months weigh more: weighted conformal
quantiles as in Barber et al. (2023), "Conformal Prediction Beyond Exchangeability".
"""

from collections.abc import Iterable, Mapping

import numpy as np
import polars as pl

from housing_assets.core.errors import HousingError
from housing_assets.core.months import add_months, month_index, month_range

COVERAGE = 0.9
"""Share of actual prices an interval is made to contain."""
MIN_ROWS = 100
"""A metro with fewer residuals takes the pooled interval."""
WINDOW = 12
"""Months of residuals that a month's calibration rests on."""
COMMON_ERROR_SHARE = 0.1
"""Share of a month's rows that errs as one: so many rows beyond all known ones are allowed for where rows come from
their history. With one row for all, 20 zips of the real DC panel were covered 84% in the turmoil of eval, with these
86%, and the sample's holdout 92% instead of 90%."""
HALF_LIFE = 3.0
"""Months after which a residual weighs half. In a market that turns, equal weights covered 84% of eval, this
88%, at a smaller width on holdout."""

_TABLE: dict[str, pl.DataType] = {
    "city_full": pl.String(),
    "rows": pl.UInt32(),
    "log_low": pl.Float64(),
    "log_high": pl.Float64(),
    "from_history": pl.Boolean(),
}
CALIBRATION_SCHEMA: dict[str, pl.DataType] = {
    **_TABLE,
    "first_month": pl.String(),
    "last_month": pl.String(),
    "model_version": pl.String(),
}
"""Columns of `interval_calibration`."""

CALIBRATION_DESCRIPTIONS: dict[str, str] = {
    "city_full": "Metro; null: the pooled row, for metros with too few residuals",
    "rows": "Residuals the interval rests on",
    "log_low": "Low end of the 90% interval: predicted * e^log_low; at most 0",
    "log_high": "High end of the 90% interval: predicted * e^log_high; at least 0",
    "from_history": "Of rows predicted from their zip's own history, or of rows predicted without one",
    "first_month": "First month of residuals",
    "last_month": "Last month of residuals: always before the month itself",
    "model_version": "The champion whose residuals these are",
}


def calibration_window(month: str, lag: int = 1) -> list[str]:
    """The months whose residuals calibrate `month`: the 12 newest whose prices are known when it is predicted.

    Args:
        month: whose intervals they are for.
        lag: months from the last price that is known to the month predicted: the publication lag.
    """
    return month_range(add_months(month, 1 - lag - WINDOW), add_months(month, -lag))


def calibrate(
    city_full: pl.Series,
    actual: np.ndarray,
    predicted: np.ndarray,
    weights: np.ndarray | None = None,
    from_history: np.ndarray | None = None,
    months: int | None = None,
) -> pl.DataFrame:
    """Ends of the interval in log price, by metro, apart for rows predicted with and without their history.

    Args:
        city_full: metro of each row.
        actual, predicted: prices in US dollars, shape (n,), of rows the model was not fitted on.
        weights: of each row, at most 1; None for equal ones.
        from_history: was the row predicted from its history? None: no row was.
        months: that the rows are of; None: each row is a case of its own.

    Returns:
        `city_full` (null: the pooled row), `rows`, `log_low`, `log_high`, `from_history`.

    Raises:
        HousingError: no rows.
    """
    if not actual.size:
        raise HousingError("no rows to calibrate intervals on: the split is empty")
    frame = pl.DataFrame(
        {
            "city_full": city_full,
            "residual": np.log(actual) - np.log(predicted),
            "weight": np.ones(actual.size) if weights is None else weights,
            "from_history": np.zeros(actual.size, dtype=bool) if from_history is None else from_history,
        }
    )
    rows = []
    for (kind,), of_kind in frame.group_by("from_history", maintain_order=True):
        rows.append(_row(None, of_kind, bool(kind), months))
        for (metro,), part in of_kind.drop_nulls("city_full").group_by("city_full", maintain_order=True):
            if part.height >= MIN_ROWS:
                rows.append(_row(str(metro), part, bool(kind), months))
    table = pl.DataFrame(rows, schema=_TABLE, orient="row")
    return table.sort("from_history", "city_full", nulls_last=False)


def _row(
    metro: str | None, part: pl.DataFrame, kind: bool, months: int | None
) -> tuple[str | None, int, float, float, bool]:
    residual, weight = part["residual"].to_numpy(), part["weight"].to_numpy()
    if kind:
        beyond = max(1.0, COMMON_ERROR_SHARE * part.height / months) if months else 1.0
        size = np.abs(residual)
        # Too few rows for the share: the largest error known, since an interval has to end somewhere.
        width = min(conformal_quantile(size, weight, COVERAGE, beyond), float(size.max()))
        return metro, part.height, -width, width, kind
    tail = (1 + COVERAGE) / 2
    below, above = (min(conformal_quantile(r, weight, tail), float(r.max())) for r in (-residual, residual))
    # The prediction itself is always inside, also of a model that is known to be off.
    return metro, part.height, min(-below, 0), max(above, 0), kind


def conformal_quantile(scores: np.ndarray, weights: np.ndarray, share: float, beyond: float = 1.0) -> float:
    """The weighted conformal quantile, which every interval rests on: so large a share of scores to come is within it.

    The score to come counts as a row at infinity: with equal weights the quantile is the ceil((n + 1) * share)-th
    smallest of n scores, the finite-sample correction of Vovk et al. (2005), "Algorithmic Learning in a Random World",
    and Lei et al. (2018). With weights it is that of Tibshirani et al. (2019), "Conformal Prediction Under Covariate
    Shift", with fixed weights of which the score to come has 1, as in Barber et al. (2023).

    Args:
        scores: n of them, shape (n,), n > 0, finite; in any order, with the very same answer.
        weights: of each, shape (n,), above 0 and at most 1.
        share: to be covered, between 0 and 1.
        beyond: rows that what is to come counts as; more than 1 where many rows err as one.

    Returns:
        One of the scores; infinity where they are too few for the share.
    """
    order = np.argsort(scores)
    if (np.diff(scores[order]) == 0).any():
        # Equal scores in the order of their weights: the sums of floats are then those of any other order of rows.
        order = np.lexsort((weights, scores))
    reached = np.cumsum(weights[order])
    at = int(np.searchsorted(reached, share * (reached[-1] + beyond) - 1e-9))
    return float(scores[order[at]]) if at < scores.size else float("inf")


def interval(
    city_full: pl.Series, predicted: np.ndarray, table: pl.DataFrame, from_history: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Low and high of each prediction, US dollars, shape (n,), by `interval_ends`.

    Args:
        city_full: metro of each row.
        predicted: US dollars, shape (n,).
        table: as `calibrate` gives it.
        from_history: was the row predicted from its history? None: no row was.
    """
    ends = interval_ends(table)
    kinds = [False] * predicted.size if from_history is None else from_history.tolist()
    found = np.array(
        [ends.get((kind, metro), ends[kind, None]) for kind, metro in zip(kinds, city_full.to_list(), strict=True)]
    ).reshape(-1, 2)
    return predicted * np.exp(found[:, 0]), predicted * np.exp(found[:, 1])


def interval_ends(table: pl.DataFrame) -> dict[tuple[bool, str | None], tuple[float, float]]:
    """Ends in log price by whether the row was predicted from its history, and metro (None: pooled).

    Both kinds are there with a pooled row, in batch and over HTTP alike. Until errors of rows with a history are
    measured, these have the ends of rows without one, which err far more. The other way round the ends would be far too
    narrow: rows without a history then have none (NaN).

    Args:
        table: as `calibrate` gives it.
    """
    rows = table.select("from_history", "city_full", "log_low", "log_high").iter_rows()
    ends = {(kind, metro): (low, high) for kind, metro, low, high in rows}
    if (False, None) not in ends:
        ends[False, None] = (float("nan"), float("nan"))
    if (True, None) not in ends:
        ends |= {(True, metro): found for (kind, metro), found in ends.items() if not kind}
    return ends


RESIDUAL_COLUMNS = ("city_full", "actual", "predicted", "from_history")
"""What calibration needs of each row whose price is known: prices in US dollars, and how it was predicted."""


def calibrate_month(
    month: str, by_month: Mapping[str, pl.DataFrame], version: str, window: Iterable[str] | None = None
) -> pl.DataFrame:
    """The calibration of one month, `CALIBRATION_SCHEMA`.

    Args:
        month: whose intervals it is for.
        by_month: residuals (`RESIDUAL_COLUMNS`) of earlier months.
        version: of the model that predicted.
        window: months to rest on; None for the 12 before `month`.

    Raises:
        HousingError: a month of the window is not before `month`, or none of them has a known price.
    """
    months = sorted(calibration_window(month) if window is None else window)
    if not months or months[-1] >= month:
        raise HousingError(f"intervals of {month} can rest on months before it only, not on {months or 'none'}")
    known = {m: by_month[m] for m in months if m in by_month and not by_month[m].is_empty()}
    if not known:
        raise HousingError(
            f"intervals of {month}: no row of {months[0]} to {months[-1]} has a known price: "
            "materialize cleaned for these months"
        )
    rows = pl.concat([frame.select(RESIDUAL_COLUMNS) for frame in known.values()])
    ages = np.concatenate([np.full(frame.height, month_index(month) - month_index(m)) for m, frame in known.items()])
    weights = 0.5 ** ((ages - 1) / HALF_LIFE)
    table = calibrate(
        rows["city_full"],
        rows["actual"].to_numpy(),
        rows["predicted"].to_numpy(),
        weights,
        rows["from_history"].to_numpy(),
        len(known),
    )
    return table.with_columns(
        pl.lit(months[0]).alias("first_month"),
        pl.lit(months[-1]).alias("last_month"),
        pl.lit(version).alias("model_version"),
    ).select(CALIBRATION_SCHEMA.keys())


def rolling_calibrations(
    by_month: Mapping[str, pl.DataFrame], first: int = WINDOW // 2, lag: int = 1
) -> dict[str, pl.DataFrame]:
    """The calibration each month would have had, on up to 12 months whose prices were known when it was predicted.

    Args:
        by_month: residuals (`RESIDUAL_COLUMNS`) by month, none of which the model was fitted on.
        first: known months that a calibration needs; at least 1.
        lag: as in `calibration_window`.
    """
    months = sorted(m for m, frame in by_month.items() if not frame.is_empty())
    known = {month: [m for m in months if m <= add_months(month, -lag)] for month in months}
    return {
        month: calibrate_month(month, by_month, "", past[-WINDOW:])
        for month, past in known.items()
        if len(past) >= first
    }
