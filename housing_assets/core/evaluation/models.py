"""Evaluation: error figures of named predictors on the same rows, naive baselines beside the models.

Any predictor is a name and prices for the rows: models, naive baselines and forecasts are graded alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from housing_assets.core.baselines.prices import history_naive_predictions, naive_predictions
from housing_assets.core.errors import HousingError
from housing_assets.core.evaluation.bootstrap import compare_paired
from housing_assets.core.evaluation.metrics import evaluate
from housing_assets.core.features.history import History
from housing_assets.core.intervals.conformal import WINDOW, interval, rolling_calibrations
from housing_assets.core.models.publication import (
    AS_IT_IS,
    MODEL,
    Publication,
    choose_predictor,
    measure_widening,
    widen,
)
from housing_assets.core.months import Split

if TYPE_CHECKING:
    from housing_assets.core.models.price import PriceModel

ITSELF = " itself"
"""After a model's name: its own numbers, where it publishes a baseline's."""


def decide_publication(
    model: "PriceModel", rows: pl.DataFrame, without: np.ndarray, history: History | None
) -> Publication:
    """Whose number a model publishes for rows with a history, and how much its intervals are widened.

    Args:
        model: not fitted on `rows`.
        rows: `date`, `zipcode`, `city_full`, `price` (US dollars, known) of eval, n rows.
        without: what the model says of them without their history, US dollars, shape (n,).
        history: of their zips; None: the model uses none.
    """
    actual = rows["price"].to_numpy()
    unknown = np.full(rows.height, np.nan)
    chosen, by_history = AS_IT_IS, unknown
    if history is not None:
        said = history_naive_predictions(rows, history, model.lag, unknown)
        if model.growth is not None:
            said = {MODEL: model.itself().history_prices(rows, history), **said}
        chosen = Publication(*choose_predictor(actual, said))
        by_history = said.get(chosen.predictor, unknown)
    both = pl.concat(
        rows.select("date", "city_full", pl.col("price").alias("actual")).with_columns(
            pl.Series("predicted", prices, pl.Float64), pl.lit(kind).alias("from_history")
        )
        for prices, kind in ((without, False), (by_history, True))
    ).filter(pl.col("predicted").is_finite())
    by_month = {
        str(month): part.drop("date", "month")
        for (month,), part in both.with_columns(pl.col("date").dt.strftime("%Y-%m").alias("month")).group_by("month")
    }
    held = measure_widening(by_month, model.lag)
    return replace(chosen, with_history=held[True], without_history=held[False])


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate_models` found.

    Attributes:
        table: see `evaluate`.
        paired: see `compare_paired`: each model against every other predictor.
        rows: `split`, `date`, `zipcode`, `city_full`, `price` of the rows that were predicted.
        predicted: prices by predictor, US dollars, in the order of `rows`.
    """

    table: pl.DataFrame
    paired: pl.DataFrame
    rows: pl.DataFrame
    predicted: Mapping[str, np.ndarray]


def evaluate_models(
    rows: pl.DataFrame, models: Mapping[str, "PriceModel"], train: pl.DataFrame, history: History | None = None
) -> Evaluation:
    """Grade models and the naive baselines on the same rows, with each model's own rolling intervals.

    A model is graded by what it publishes. Where that is a baseline's number, its own is graded beside it, under the
    name with `ITSELF`.

    Args:
        rows: standardized rows with `split`; those without a price are passed over.
        models: by name. The history baselines are graded at the publication lag of the first.
        train: what `naive_predictions` wants.
        history: of the rows' zips; a model without a use for it does without. None: nothing knows any history.

    Raises:
        HousingError: no row has a price.
    """
    rows = rows.filter(pl.col("price").is_not_null()).sort("date", "zipcode")
    if rows.is_empty():
        raise HousingError("no rows to evaluate: no row of eval has a price. Check the cut-offs and the source")
    names = list(models)
    beaten = {f"{n}{ITSELF}": m.itself() for n, m in models.items() if m.publication.predictor != MODEL}
    last_eval = max(rows.filter(pl.col("split") == Split.EVAL)["date"].unique(), default=None)
    models = {name: model.graded_through(last_eval) for name, model in {**models, **beaten}.items()}
    by_history = {name: model.history_prices(rows, history) for name, model in models.items()}
    predicted = {name: model.prices_beside(rows, by_history[name], unseen=True) for name, model in models.items()}
    intervals = {
        name: _rolling_intervals(rows, predicted[name], np.isfinite(by_history[name]), model)
        for name, model in models.items()
    }
    naive = naive_predictions(train, rows)
    predicted |= naive
    if history is not None:
        lag = models[names[0]].lag
        predicted |= history_naive_predictions(rows, history, lag, naive["last_known_price"])
    table = evaluate(rows, predicted, intervals)
    paired = compare_paired(rows, predicted, names)
    return Evaluation(table, paired, rows.select("split", "date", "zipcode", "city_full", "price"), predicted)


def _rolling_intervals(
    rows: pl.DataFrame, predicted: np.ndarray, from_history: np.ndarray, model: "PriceModel"
) -> tuple[np.ndarray, np.ndarray]:
    """Low and high of every row, calibrated on months up to the publication lag before its own and widened; NaN in the
    first months."""
    frame = rows.select(
        pl.col("date").dt.strftime("%Y-%m").alias("month"),
        "city_full",
        pl.col("price").alias("actual"),
        pl.Series("predicted", predicted),
        pl.Series("from_history", from_history),
    ).with_row_index("row")
    by_month = {str(month): part for (month,), part in frame.group_by("month", maintain_order=True)}
    of_first_split = rows.filter(pl.col("split") == rows["split"][0])["date"].n_unique()
    low, high = np.full(rows.height, np.nan), np.full(rows.height, np.nan)
    first = max(1, min(WINDOW, of_first_split) // 2)
    factors = model.publication.factors()
    for month, table in rolling_calibrations(by_month, first, model.lag).items():
        part = by_month[month]
        at = part["row"].to_numpy()
        low[at], high[at] = interval(
            part["city_full"],
            part["predicted"].to_numpy(),
            widen(table, factors),
            part["from_history"].to_numpy(),
        )
    return low, high
