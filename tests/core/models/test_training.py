"""Training: what is fitted, that it can be repeated, and what is refused."""

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from housing_assets.core.errors import HousingError
from housing_assets.core.features.monthly import FEATURES
from housing_assets.core.models import quantile
from housing_assets.core.models.rows import feature_matrix
from housing_assets.core.models.trees import (
    MIN_PRICE,
    MONOTONE_FEATURES,
    TARGETS,
    TrainingParams,
    feature_importance,
    target_anchor,
    train_trees,
    training_labels,
)
from housing_assets.core.months import Split


def small(**changes) -> TrainingParams:
    return TrainingParams(**{"n_estimators": 6, "max_depth": 3, **changes})


@pytest.fixture(scope="module")
def train(features) -> pl.DataFrame:
    return features.filter(split=Split.TRAIN)


def trees(rows: pl.DataFrame, params: TrainingParams) -> bytes:
    return bytes(train_trees(rows, params).booster.save_raw("ubj"))


# ---------------------------------------------------------------- fitting


def test_the_same_seed_gives_the_same_model_to_the_byte(train):
    assert trees(train, small(seed=1)) == trees(train, small(seed=1))


class InPieces:
    """A frame that is handed out a few rows at a time."""

    def __init__(self, frame: pl.DataFrame, rows: int) -> None:
        self.frame, self.rows = frame, rows
        self.reads = 0

    def pieces(self, columns):
        self.reads += 1
        return (part.select(columns) for part in self.frame.iter_slices(self.rows))


@pytest.mark.parametrize("target", ["price", "log_anchor"])
@pytest.mark.parametrize("rows", [7, 250, 100_000])
def test_rows_in_pieces_give_the_same_model_to_the_byte(train, rows, target):
    params = TrainingParams(n_estimators=8, target=target)
    whole, pieces = train_trees(train, params), train_trees(InPieces(train, rows), params)
    assert pieces.booster.save_raw() == whole.booster.save_raw()
    assert pieces.anchor == whole.anchor


def test_rows_that_are_too_many_to_be_kept_are_read_for_each_pass_and_give_the_same_model(train, monkeypatch):
    kept, streamed = InPieces(train, 250), InPieces(train, 250)
    of_kept = train_trees(kept, small())
    monkeypatch.setattr(quantile, "KEPT_BYTES", 0)
    of_streamed = train_trees(streamed, small())
    assert of_streamed.booster.save_raw() == of_kept.booster.save_raw()
    assert kept.reads == 2, "once for the labels, once for the matrix"
    assert streamed.reads > 2


def test_another_seed_gives_another_model(train):
    assert trees(train, small(seed=1)) != trees(train, small(seed=2))


def test_the_order_of_columns_does_not_matter(train):
    assert trees(train.select(reversed(train.columns)), small()) == trees(train, small())


@pytest.mark.parametrize("target", TARGETS)
def test_a_model_learns(train, features, target):
    held = features.filter(split=Split.EVAL)
    fitted = train_trees(train, small(n_estimators=40, learning_rate=0.3, target=target))
    actual = held["price"].to_numpy()
    error = np.abs(fitted.prices(held) - actual).mean()
    assert error < 0.6 * np.abs(actual - np.median(actual)).mean()


def test_log_price_fits_the_logarithm_and_predicts_dollars(train):
    by_hand = train.with_columns(pl.col("price").log())
    fitted = train_trees(train, small(target="log_price"))
    assert bytes(fitted.booster.save_raw("ubj")) == trees(by_hand, small(target="price"))
    logs = fitted.booster.inplace_predict(feature_matrix(train)).astype(np.float64)
    np.testing.assert_allclose(fitted.prices(train), np.exp(logs))


def test_log_anchor_fits_what_the_anchor_leaves_and_adds_it_again(train):
    fitted = train_trees(train, small(target="log_anchor"))
    assert fitted.anchor == target_anchor(train, "log_anchor")
    level = fitted.anchor.log_price(train)
    rest = fitted.booster.inplace_predict(feature_matrix(train)).astype(np.float64)
    np.testing.assert_allclose(fitted.prices(train), np.exp(level + rest))


@pytest.mark.parametrize("target", TARGETS)
def test_labels_and_prices_are_each_others_inverse(train, target):
    anchor = target_anchor(train, target)
    fitted = train_trees(train, small(n_estimators=1, target=target))
    labels = training_labels(train, target, anchor)
    np.testing.assert_allclose(fitted.to_prices(labels, train), train["price"].to_numpy())


@pytest.mark.parametrize("target", ["price", "log_price"])
def test_a_monotone_model_never_falls_when_what_is_asked_rises(train, target):
    fitted = train_trees(train, small(n_estimators=30, learning_rate=0.3, monotone=True, target=target))
    for name in MONOTONE_FEATURES:
        dearer = train.with_columns(pl.col(name) * 1.2)
        assert (fitted.prices(dearer) >= fitted.prices(train) * (1 - 1e-6)).all(), name
    free = train_trees(train, small(n_estimators=30, learning_rate=0.3, target=target))
    assert any((free.prices(train.with_columns(pl.col(n) * 1.2)) < free.prices(train)).any() for n in MONOTONE_FEATURES)


def test_importance_is_a_share_of_all_features(train):
    shares = feature_importance(train_trees(train, small()).booster)
    assert set(shares["feature"]) == set(FEATURES)
    assert shares["share"].sum() == pytest.approx(100)
    assert shares["share"].is_sorted(descending=True)


def test_missing_values_are_learned_from(train):
    gappy = train.with_columns(pl.lit(None, pl.Float32).alias(f) for f in FEATURES[1:])
    prices = train_trees(gappy, small()).prices(gappy)
    assert np.isfinite(prices).all()


def test_progress_counts_every_tree(train):
    seen: list[tuple[int, int]] = []
    train_trees(train, small(n_estimators=4), lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


# ---------------------------------------------------------------- predicting


def test_no_prediction_is_below_the_least_valid_price(train):
    cheap = train.with_columns(price=pl.lit(10.0))
    assert MIN_PRICE == 1_000
    for target in TARGETS:
        prices = train_trees(cheap, small(target=target)).prices(cheap)
        assert prices.tolist() == [MIN_PRICE] * train.height


def test_a_row_alone_gets_the_price_it_gets_in_a_batch(model, features):
    rows = features.head(30)
    batch = model.trees.prices(rows)
    assert batch.dtype == np.float64
    assert [model.trees.prices(rows[i])[0] for i in range(rows.height)] == batch.tolist()


def test_no_rows_have_no_prices(model, features):
    assert model.trees.prices(features.clear()).shape == (0,)


def test_the_matrix_is_float32_in_the_order_of_the_features(features):
    matrix = feature_matrix(features.select(reversed(features.columns)))
    assert matrix.dtype == np.float32
    assert matrix.shape == (features.height, len(FEATURES))
    assert matrix.flags.c_contiguous
    assert_frame_equal(
        pl.DataFrame(matrix, schema=list(FEATURES)).fill_nan(None), features.select(FEATURES), check_exact=True
    )


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("n_estimators", (0, 20_001)),
        ("max_depth", (0, 17)),
        ("learning_rate", (0.0, 1.1, float("nan"))),
        ("subsample", (0.0, 1.01, float("nan"))),
        ("colsample_bytree", (0.01, 2.0)),
        ("min_child_weight", (-1.0, float("inf"))),
        ("reg_alpha", (-0.1, 2e6)),
        ("reg_lambda", (-0.1, float("nan"))),
        ("max_bin", (1, 5_000)),
        ("seed", (-1, 2**31)),
    ],
)
def test_a_parameter_out_of_its_range_is_named(name, values):
    for value in values:
        with pytest.raises(HousingError) as caught:
            TrainingParams(**{name: value})
        assert str(caught.value).startswith(f"{name}={value} is outside ")
        assert str(caught.value).endswith(": change it")


def test_the_ends_of_the_ranges_are_allowed():
    least = TrainingParams(1, 1, 1e-4, 0.05, 0.05, 0, 0, 0, 2, seed=0)
    most = TrainingParams(20_000, 16, 1, 1, 1, 1e6, 1e6, 1e6, 4096, seed=2**31 - 1)
    assert (least.seed, most.max_bin) == (0, 4096)


def test_an_unknown_target_is_named_with_those_there_are():
    with pytest.raises(HousingError, match="target='rent': use one of price, log_price, log_anchor"):
        TrainingParams(target="rent")  # pyright: ignore[reportArgumentType]


def test_booster_params_carry_what_was_set():
    told = TrainingParams(max_depth=9, reg_alpha=0.5, seed=3).booster_params()
    assert (told["max_depth"], told["reg_alpha"], told["seed"]) == (9, 0.5, 3)
    assert not {"n_estimators", "target", "monotone", "monotone_constraints"} & set(told)
    constrained = TrainingParams(monotone=True).booster_params()["monotone_constraints"]
    assert constrained == dict.fromkeys(MONOTONE_FEATURES, 1)


@pytest.mark.parametrize("bad", [None, float("nan"), float("inf"), 0.0, -1.0])
@pytest.mark.parametrize("target", TARGETS)
def test_a_price_that_cannot_be_learned_is_refused(train, bad, target):
    rows = train.with_columns(
        price=pl.when(pl.int_range(pl.len()) < 2).then(pl.lit(bad, pl.Float64)).otherwise("price")
    )
    with pytest.raises(HousingError, match=r"^2 train rows have a price that is missing, infinite or not positive"):
        train_trees(rows, small(target=target))


def test_without_rows_there_is_nothing_to_train(train):
    with pytest.raises(HousingError, match="no train rows: check HOUSING_EVAL_START"):
        train_trees(train.clear(), small())
