"""Few rows are walked through the trees in numpy, and get the very numbers that XGBoost gives."""

import re

import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st

from housing_serving.tree_walk import TreeWalk

COLUMNS, ROWS = 6, 400


def booster(seed: int = 0, rounds: int = 20, **params: object) -> xgb.Booster:
    """Trees over numbers of which some are missing, on one thread as in a server."""
    draw = np.random.default_rng(seed)
    matrix = draw.normal(size=(ROWS, COLUMNS)).astype(np.float32)
    matrix[draw.random(matrix.shape) < 0.2] = np.nan
    labels = np.nansum(matrix, axis=1) + np.isnan(matrix[:, 0])
    return xgb.train({"nthread": 1, "seed": seed, **params}, xgb.DMatrix(matrix, labels), rounds)


@pytest.fixture(scope="module")
def trees() -> xgb.Booster:
    return booster()


@settings(max_examples=50)
@given(data=st.data(), rows=st.integers(1, 70))
def test_any_rows_get_the_numbers_of_xgboost_to_the_bit(trees, data, rows):
    walk = TreeWalk(bytes(trees.save_raw()))
    # Thresholds themselves among them: what equals one goes right.
    thresholds = [float(text) for text in re.findall(r"<([^]]+)\]", "".join(trees.get_dump()))]
    numbers = st.sampled_from([*thresholds, float("nan"), 0.0, -1e30, 1e30])
    values = data.draw(st.lists(numbers, min_size=COLUMNS, max_size=COLUMNS))
    draw = np.random.default_rng(data.draw(st.integers(0, 99)))
    matrix = draw.choice(values, (rows, COLUMNS)).astype(np.float32)
    np.testing.assert_array_equal(walk.output(matrix), trees.inplace_predict(matrix, validate_features=False))


@pytest.mark.parametrize(
    "params",
    [
        {"max_depth": 1},
        {"max_depth": 9, "min_child_weight": 0},
        {"grow_policy": "lossguide", "max_leaves": 7, "max_depth": 0},
        {"gamma": 5.0, "tree_method": "exact"},
        {"gamma": 1e9},
        {"base_score": 0.25, "objective": "reg:absoluteerror"},
    ],
    ids=str,
)
def test_trees_of_any_shape_are_read(params):
    trees = booster(1, **params)
    matrix = np.random.default_rng(2).normal(size=(50, COLUMNS)).astype(np.float32)
    matrix[::3, ::2] = np.nan
    np.testing.assert_array_equal(
        TreeWalk(bytes(trees.save_raw())).output(matrix), trees.inplace_predict(matrix, validate_features=False)
    )


def test_a_row_alone_gets_the_number_that_it_gets_in_any_batch(trees):
    walk, matrix = (
        TreeWalk(bytes(trees.save_raw())),
        np.random.default_rng(3).normal(size=(64, COLUMNS)).astype(np.float32),
    )
    together = walk.output(matrix)
    assert [walk.output(matrix[i : i + 1])[0] for i in range(64)] == together.tolist()
