"""Evaluation: error figures of named predictors on the same rows, naive baselines beside the models.

Any predictor is a name and prices for the rows: models, naive baselines and forecasts are graded alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from housing_assets.core.errors import HousingError
from housing_assets.core.growth import NAIVE_GROWTH, naive_growth
from housing_assets.core.history import History
from housing_assets.core.intervals import WINDOW, interval, rolling_calibrations
from housing_assets.core.months import add_months
from housing_assets.core.publication import AS_IT_IS, MODEL, Publication, choose_predictor, measure_widening, widen

if TYPE_CHECKING:
    from housing_assets.core.model import PriceModel


NAIVE: tuple[str, ...] = ("train_median", "metro_median", "last_known_price")
"""The naive baselines that know train alone, as `naive_predictions` names them; `history_naive_predictions` has those
of `NAIVE_GROWTH`, which know the zip's price up to the publication lag."""
ITSELF = " itself"
"""After a model's name: its own numbers, where it publishes a baseline's."""
_DECILES = 10
_RESAMPLES = 1_000


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


def naive_predictions(train: pl.DataFrame, rows: pl.DataFrame) -> dict[str, np.ndarray]:
    """What one would say without a model, from train prices alone.

    Args:
        train: `date`, `zipcode`, `city_full`, `price` of the train months.
        rows: `zipcode`, `city_full` of the rows to predict.

    Returns:
        For each baseline the prices in US dollars, shape (len(rows),): `train_median`, `metro_median`,
        and `last_known_price`, the zip's last price before the split. What a baseline does not know it
        takes from the one before.
    """
    overall = np.full(rows.height, float(train["price"].median()))  # type: ignore[arg-type]
    by_metro = train.group_by("city_full").agg(pl.col("price").median().alias("said"))
    metro = _said(rows, by_metro, "city_full", overall)
    by_zip = train.group_by("zipcode").agg(pl.col("price").sort_by("date").last().alias("said"))
    return {
        "train_median": overall,
        "metro_median": metro,
        "last_known_price": _said(rows, by_zip, "zipcode", metro),
    }


def history_naive_predictions(
    rows: pl.DataFrame, history: History, lag: int, otherwise: np.ndarray
) -> dict[str, np.ndarray]:
    """What one would say from the zip's last known price without a model: `NAIVE_GROWTH`.

    Args:
        rows: `date`, `zipcode` of the rows to predict.
        history: of their zips.
        lag: months from the last known price to the month predicted.
        otherwise: prices in US dollars, shape (len(rows),), for zips without history.
    """
    said = {name: otherwise.astype(np.float64) for name in NAIVE_GROWTH}
    keyed = rows.select(pl.col("date").dt.strftime("%Y-%m").alias("month"), "zipcode").with_row_index("row")
    for (month,), part in keyed.group_by("month", maintain_order=True):
        origin = add_months(str(month), -lag)
        if not history.first_month <= origin <= history.last_month:
            continue
        known, at = history.known(origin), history.column(origin)
        of_zip = [(row, history.place.get(zipcode, -1)) for row, zipcode in part.select("row", "zipcode").iter_rows()]
        told = [(row, place) for row, place in of_zip if place >= 0 and known[place]]
        found = np.array(told, dtype=np.int64).reshape(-1, 2)
        for name, growth in naive_growth(history, origin, lag).items():
            places = found[:, 1]
            said[name][found[:, 0]] = np.exp(history.log_price[places, at] + growth[places])
    return said


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
    chosen = AS_IT_IS
    if history is not None:
        said = history_naive_predictions(rows, history, model.lag, np.full(rows.height, np.nan))
        if model.growth is not None:
            said = {MODEL: model.itself().history_prices(rows, history), **said}
        chosen = Publication(*choose_predictor(actual, said))
    known = replace(model, publication=chosen).history_prices(rows, history)
    both = pl.concat(
        rows.select("date", "city_full", pl.col("price").alias("actual")).with_columns(
            pl.Series("predicted", prices, pl.Float64), pl.lit(kind).alias("from_history")
        )
        for prices, kind in ((without, False), (known, True))
    ).filter(pl.col("predicted").is_finite())
    by_month = {
        str(month): part.drop("date", "month")
        for (month,), part in both.with_columns(pl.col("date").dt.strftime("%Y-%m").alias("month")).group_by("month")
    }
    held = measure_widening(by_month, model.lag)
    return replace(chosen, with_history=held[True], without_history=held[False])


def _said(rows: pl.DataFrame, table: pl.DataFrame, key: str, otherwise: np.ndarray) -> np.ndarray:
    said = rows.select(key).join(table, on=key, how="left", maintain_order="left")["said"].to_numpy()
    return np.where(np.isnan(said), otherwise, said)


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
    found: list[dict[str, object]] = []
    for by in ("overall", "metro", "month", "price_decile"):
        for (split, group), part in groups.group_by("split", by, maintain_order=True):
            at = part["row"].to_numpy()
            metrics = {name: price_metrics(actual[at], said[at]) for name, said in predictors.items()}
            for name, own in metrics.items():
                found.append(
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
    return pl.DataFrame(found, infer_schema_length=None).sort("split", "by", "group", maintain_order=True)


def _interval_metrics(
    actual: np.ndarray, predicted: np.ndarray, ends: tuple[np.ndarray, np.ndarray] | None, at: np.ndarray
) -> dict[str, float | None]:
    if ends is None:
        return {"interval_rows": 0, "coverage": None, "width": None}
    low, high = ends[0][at], ends[1][at]
    known = np.isfinite(low)
    if not known.any():
        return {"interval_rows": 0, "coverage": None, "width": None}
    inside = (low <= actual) & (actual <= high)
    return {
        "interval_rows": int(known.sum()),
        "coverage": 100 * float(inside[known].mean()),
        "width": 100 * float(((high - low) / predicted)[known].mean()),
    }


def _skill(own: float, other: float) -> float:
    return 100 * (1 - own / other) if other else float("nan")


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
    found = []
    for (split,), part in by_zip.group_by("split", maintain_order=True):
        totals, count = part.select(others).to_numpy(), part["rows"].to_numpy().astype(float)
        draws = np.random.default_rng(seed).multinomial(
            part.height, np.full(part.height, 1 / part.height), size=_RESAMPLES
        )
        # As floats: numpy multiplies integers without the linear algebra library.
        drawn = draws.astype(np.float64) @ np.column_stack([totals, count])
        low, high = np.percentile(drawn[:, :-1] / drawn[:, -1:], [2.5, 97.5], axis=0)
        for i, other in enumerate(others):
            found.append(
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
    return pl.DataFrame(found)


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
    models = {**models, **beaten}
    known = {name: model.history_prices(rows, history) for name, model in models.items()}
    predicted = {
        name: np.where(np.isfinite(known[name]), known[name], model.prices_without_history(rows))
        for name, model in models.items()
    }
    intervals = {
        name: _rolling_intervals(rows, predicted[name], np.isfinite(known[name]), model)
        for name, model in models.items()
    }
    naive = naive_predictions(train, rows)
    predicted |= naive
    if history is not None:
        lag = models[names[0]].lag
        predicted |= history_naive_predictions(rows, history, lag, naive["last_known_price"])
    table = evaluate(rows, predicted, intervals)
    paired = pl.concat([compare_paired(rows, predicted, name) for name in names])
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
