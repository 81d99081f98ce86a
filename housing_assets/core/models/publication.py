"""What a price model publishes, decided on eval.

A row with a history gets the number of the model, or of a naive baseline that was better on eval, under its name. The
intervals are widened until they hold on eval. Nothing here reads the holdout.

What belongs here: the decisions and their file. How the baselines predict belongs in `housing_assets.core.baselines`.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

import numpy as np
import polars as pl

from housing_assets.core.baselines.growth import NAIVE_GROWTH
from housing_assets.core.intervals.conformal import (
    COVERAGE,
    RESIDUAL_COLUMNS,
    WINDOW,
    interval_ends,
    rolling_calibrations,
)

MODEL = "model"
"""The model's own name among the predictors of `monthly_predictions`."""
PRICE_PREDICTORS: tuple[str, ...] = (MODEL, *NAIVE_GROWTH)
"""Names of all predictors whose numbers may be published."""
LEAST_COVERAGE = 0.85
"""Share of eval prices inside their intervals below which these are widened until they hold `COVERAGE`."""
MIN_COVERAGE_ROWS = 200
"""Fewest rows that coverage is judged by: with 200 its standard error is 2 percentage points."""
PUBLICATION_FILE = "publication.json"
"""Its name in a bundle. Earlier bundles have none, and publish the model's number."""


@dataclass(frozen=True)
class Widening:
    """How the intervals of one kind of row held on eval, each calibrated on the months before its own.

    Attributes:
        rows: that the coverage was measured on.
        coverage: share of the prices inside before anything is widened; None without rows.
        factor: by which both ends are moved away from their middle; 1 leaves them as they were measured.
        widened: share of the prices inside after that.
    """

    rows: int = 0
    coverage: float | None = None
    factor: float = 1.0
    widened: float | None = None


@dataclass(frozen=True)
class Publication:
    """What a model publishes.

    Attributes:
        predictor: one of `PRICE_PREDICTORS`, whose number rows with a history get.
        rows: eval rows with a history, that the predictors were graded on.
        mae: US dollars, by predictor, on these rows; empty where there were none.
        with_history, without_history: how the intervals of the two kinds of row held.
    """

    predictor: str = MODEL
    rows: int = 0
    mae: Mapping[str, float] | None = None
    with_history: Widening = Widening()
    without_history: Widening = Widening()

    def factors(self) -> dict[bool, float]:
        """Widening factors by whether a row is predicted from its history."""
        return {True: self.with_history.factor, False: self.without_history.factor}

    def words(self) -> str:
        """What is published and why, for people; empty for the model's own numbers with intervals as measured."""
        sentences = []
        if self.predictor != MODEL:
            errors = self.mae or {}
            own_error = (
                f", the model's {errors[MODEL]:,.0f}" if MODEL in errors else ", and no growth model could be fitted"
            )
            sentences.append(
                f"rows with a history get the number of {self.predictor}, whose MAE on eval is "
                f"{errors[self.predictor]:,.0f} US dollars{own_error}"
            )
        for kind, held in (("with", self.with_history), ("without", self.without_history)):
            if held.factor > 1:
                sentences.append(
                    f"intervals of rows {kind} a history held {held.coverage:.1%} of eval and are widened by "
                    f"{held.factor:.2f}, with which they hold {held.widened:.1%}"
                )
        return "; ".join(sentences)


AS_IT_IS = Publication()
"""The model's own numbers, with intervals as they were measured."""


def choose_predictor(actual: np.ndarray, prices: Mapping[str, np.ndarray]) -> tuple[str, int, dict[str, float]]:
    """Choose the predictor for rows with a history: the model, or the best naive baseline if its error is smaller.

    Args:
        actual: prices of eval in US dollars, shape (n,).
        prices: by predictor, the same shape, NaN where a row has no history. `MODEL` may be absent.

    Returns:
        Its name, the number of rows that every predictor has a price for, and the mean absolute error of each on these.
    """
    has_history = np.isfinite(np.vstack(list(prices.values()))).all(axis=0)
    if not has_history.any():
        return MODEL, 0, {}
    errors = {
        name: float(np.abs(of_predictor[has_history] - actual[has_history]).mean())
        for name, of_predictor in prices.items()
    }
    naive = min(NAIVE_GROWTH, key=lambda name: errors[name])
    better = MODEL in errors and errors[MODEL] < errors[naive]
    return MODEL if better else naive, int(has_history.sum()), errors


def measure_widening(by_month: Mapping[str, pl.DataFrame], lag: int = 1) -> dict[bool, Widening]:
    """Measure how rolling intervals held and by how much to widen them, for rows with and without a history.

    The factor is the least with which `COVERAGE` of the known prices are inside, a quantile of what each row needs.
    Each end moves in proportion to the interval's own width, so that metros keep their widths beside each other.

    Args:
        by_month: `RESIDUAL_COLUMNS` by month, of rows that the model was not fitted on.
        lag: months from the last price that is known to the month predicted.
    """
    kinds: dict[bool, list[np.ndarray]] = {True: [], False: []}
    for month, table in rolling_calibrations(by_month, max(1, min(WINDOW, len(by_month)) // 2), lag).items():
        for kind, needed in _needed(by_month[month].select(RESIDUAL_COLUMNS), table):
            kinds[kind].append(needed)
    return {kind: _widening(np.concatenate(needed)) if needed else Widening() for kind, needed in kinds.items()}


def _needed(rows: pl.DataFrame, table: pl.DataFrame) -> list[tuple[bool, np.ndarray]]:
    """For each kind of row, the factors by which its intervals have to be widened to contain the prices."""
    ends = interval_ends(table)
    by_kind = []
    for (kind,), part in rows.group_by("from_history", maintain_order=True):
        metros = part["city_full"].to_list()
        limits = [e for metro in metros if (e := ends.get((bool(kind), metro)) or ends.get((bool(kind), None)))]
        if len(limits) != len(metros):
            continue  # nothing of this kind was known before the month
        low, high = np.array(limits).T
        residual = np.log(part["actual"].to_numpy() / part["predicted"].to_numpy())
        beyond = np.maximum(np.maximum(low - residual, residual - high), 0)
        half = (high - low) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            by_kind.append((bool(kind), np.where(beyond > 0, 1 + beyond / half, 1.0)))
    return by_kind


def _widening(needed: np.ndarray) -> Widening:
    coverage = float((needed <= 1).mean())
    if coverage >= LEAST_COVERAGE or needed.size < MIN_COVERAGE_ROWS:
        return Widening(needed.size, coverage, 1.0, coverage)
    # No factor widens an interval without a width, which is one measured on residuals that are all the same.
    widest = float(needed[np.isfinite(needed)].max(initial=1.0))
    # Rounding must not leave the very row out that the factor was made for.
    factor = min(float(np.quantile(needed, COVERAGE, method="higher")), widest) * (1 + 1e-9)
    return Widening(needed.size, coverage, factor, float((needed <= factor).mean()))


def widen(table: pl.DataFrame, factors: Mapping[bool, float]) -> pl.DataFrame:
    """A calibration with `log_low` and `log_high` moved away from their middle by factors.

    Args:
        table: as `housing_assets.core.intervals.conformal.calibrate` gives it.
        factors: by `from_history`.
    """
    if all(factor == 1 for factor in factors.values()):
        return table
    factor = pl.col("from_history").replace_strict(factors, return_dtype=pl.Float64)
    more = (factor - 1) * (pl.col("log_high") - pl.col("log_low")) / 2
    return table.with_columns(pl.col("log_low") - more, pl.col("log_high") + more)


def publication_file(publication: Publication) -> bytes:
    """A publication as JSON."""
    return (json.dumps(asdict(publication), indent=2) + "\n").encode()


def publication_from_file(data: bytes | None) -> Publication:
    """Read one back. None stands for an earlier bundle without the file, which publishes the model's number.

    Raises:
        KeyError: a field is missing.
    """
    if data is None:
        return AS_IT_IS
    content = json.loads(data)
    names = {f.name for f in fields(Widening)}
    kinds = {
        kind: Widening(**{name: value for name, value in content[kind].items() if name in names})
        for kind in ("with_history", "without_history")
    }
    return Publication(content["predictor"], content["rows"], content["mae"], **kinds)
