"""Why a price is what it is: contributions of features in dollars that add up to it.

TreeSHAP (Lundberg et al. 2020, "From local explanations to global understanding with explainable AI for trees") gives
contributions to what the trees say, which is a logarithm for most models; the anchor's own are linear in the same
logarithm. Dollars are shared out in proportion: a feature's part of `log price - log base` is its part of
`price - base`, so that contributions add up to the cent.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from housing_assets.core.features import FEATURES, describe_feature
from housing_assets.core.training import ANCHORED, PriceTrees

TOP = 5
"""Factors that are put in words."""


@dataclass(frozen=True)
class Explanation:
    """One price, explained.

    Attributes:
        price: US dollars.
        base: US dollars: the price before anything is known of the row.
        contributions: US dollars by feature; `base` and all of them add up to `price`.
        factors: the largest of them in words, the largest first.
    """

    price: float
    base: float
    contributions: dict[str, float]
    factors: tuple[str, ...]


def explain(trees: PriceTrees, matrix: np.ndarray) -> list[Explanation]:
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
        total = parts.sum(axis=1)
        price, base = np.exp(base + total), np.exp(base)
        # Where contributions cancel, the slope of the exponential is the limit of the ratio.
        with np.errstate(divide="ignore", invalid="ignore"):
            dollars = np.where(np.abs(total) > 1e-9, (price - base) / total, price)
        parts *= dollars[:, None]
    return [_explanation(base[i], parts[i]) for i in range(len(matrix))]


def _explanation(base: float, parts: np.ndarray) -> Explanation:
    named = dict(zip(FEATURES, parts.tolist(), strict=True))
    return Explanation(float(base + parts.sum()), float(base), named, tuple(_words(named)))


def _words(named: dict[str, float]) -> Sequence[str]:
    largest = sorted(named.items(), key=lambda item: -abs(item[1]))[:TOP]
    return [
        f"{describe_feature(name)} {'adds' if by > 0 else 'takes off'} ${abs(by):,.0f}" for name, by in largest if by
    ]
