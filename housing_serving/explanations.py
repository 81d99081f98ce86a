"""Why a price is what it is: contributions of features in dollars that add up to it.

TreeSHAP (Lundberg et al. 2020, "From local explanations to global understanding with explainable AI for trees") gives
contributions to the output of the trees, which is a logarithm for most models. Those of the anchor are linear in the
same logarithm. Dollars are shared out in proportion: a feature's part of `log price - log base` is its part of
`price - base`, so that contributions add up to the cent.

A row that is predicted from the history of its zip is explained by that. Its base is the last known price with the
growth that is usual, and its features are those of history. Where the number of a naive baseline is published, the base
is the last known price, and the growth that the baseline assumes adds the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from housing_assets.core.features.history import HISTORY_FEATURES
from housing_assets.core.features.monthly import FEATURES, describe_feature
from housing_assets.core.models.publication import MODEL
from housing_assets.core.models.trees import ANCHORED, PriceTrees
from housing_assets.core.months import add_months, month_of
from housing_serving.history_prices import HistoryPriceTables
from housing_serving.predictor import Predictor
from housing_serving.rows import Rows

TOP = 5
"""Factors that are put in words."""


@dataclass(frozen=True)
class Explanation:
    """One price, explained.

    Attributes:
        price: US dollars.
        base: US dollars: the price before anything is known of the row, or what usual growth makes of the last price.
        from_history: True if the price is from the zip's own history.
        contributions: US dollars by feature. `base` and all of them add up to `price`.
        factors: the largest of them in words, the largest first.
        predictor: the model, or the naive baseline whose number it is.
    """

    price: float
    base: float
    from_history: bool
    contributions: dict[str, float]
    factors: tuple[str, ...]
    predictor: str


def explain(serving: Predictor, rows: Rows, history: bool = True) -> list[Explanation]:
    """Explanations of rows, one each, in their order.

    Args:
        serving: whose prices they are.
        rows: to explain.
        history: as in `Predictor.predict`.
    """
    tables = serving.history_prices if history else None
    from_history = np.zeros(len(rows), bool) if tables is None else np.isfinite(tables.prices(rows))
    by_row: dict[int, Explanation] = {}
    if not from_history.all():
        explanations = explain_figures(serving.model.trees, serving.matrix(rows)[~from_history])
        by_row |= dict(zip(np.flatnonzero(~from_history).tolist(), explanations, strict=True))
    if tables is not None:
        rows_of_month: dict[str, list[int]] = {}
        for i in np.flatnonzero(from_history).tolist():
            rows_of_month.setdefault(month_of(rows.dates[i]), []).append(i)
        for month, of_month in rows_of_month.items():
            explanations = _from_history(tables, month, [rows.zipcodes[i] for i in of_month])
            by_row |= dict(zip(of_month, explanations, strict=True))
    return [by_row[i] for i in range(len(rows))]


def explain_figures(trees: PriceTrees, matrix: np.ndarray) -> list[Explanation]:
    """Explanations of a feature matrix (n, len(FEATURES)), float32, missing NaN."""
    import xgboost as xgb

    data = xgb.DMatrix(matrix, feature_names=list(FEATURES))
    shares = trees.booster.predict(data, pred_contribs=True, strict_shape=True).reshape(len(matrix), -1)
    shares = shares.astype(np.float64)
    parts, base = shares[:, :-1].copy(), shares[:, -1].copy()
    if trees.anchor:
        base += trees.anchor.intercept
        parts[:, ANCHORED] += trees.anchor.parts(matrix[:, ANCHORED].astype(np.float64))
    if trees.target != "price":
        base, parts = _dollars(base, parts)
    return [_explanation(base[i], parts[i], FEATURES, from_history=False) for i in range(len(matrix))]


def _from_history(tables: HistoryPriceTables, month: str, zipcodes: Sequence[str]) -> list[Explanation]:
    """Explanations of zips that the history has a price for in a month."""
    history, model = tables.history, tables.model
    predictor = model.publication.predictor
    origin = add_months(month, -model.lag)
    at = np.array([history.zip_index[zipcode] for zipcode in zipcodes])
    forecaster, known = model.forecaster, history.at(origin)
    assert forecaster is not None, "a past is of a model with a growth model, or of a naive baseline"
    usual, parts = forecaster.contributions(known, model.lag, at)
    base, parts = _dollars(known.log_price[at] + usual, parts)
    return [_explanation(base[i], parts[i], HISTORY_FEATURES, from_history=True, by=predictor) for i in range(len(at))]


def _dollars(base: np.ndarray, parts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bases (n,) and parts (n, m) of log prices, as US dollars."""
    total = parts.sum(axis=1)
    price, base = np.exp(base + total), np.exp(base)
    # Where contributions cancel, the slope of the exponential is the limit of the ratio.
    with np.errstate(divide="ignore", invalid="ignore"):
        dollars = np.where(np.abs(total) > 1e-9, (price - base) / total, price)
    return base, parts * dollars[:, None]


def _explanation(
    base: float, parts: np.ndarray, features: Sequence[str], from_history: bool, by: str = MODEL
) -> Explanation:
    contributions = dict(zip(features, parts.tolist(), strict=True))
    factors = tuple(_words(contributions))
    return Explanation(float(base + parts.sum()), float(base), from_history, contributions, factors, by)


def _words(contributions: dict[str, float]) -> Sequence[str]:
    largest = sorted(contributions.items(), key=lambda item: -abs(item[1]))[:TOP]
    return [
        f"{describe_feature(name)} {'adds' if by > 0 else 'takes off'} ${abs(by):,.0f}" for name, by in largest if by
    ]
