"""Trees of a booster as arrays, for few rows: a row costs a fifth of what it does through XGBoost, and is the same.

XGBoost prepares each call for thousands of rows, which takes longer than one row does. Here a level of all trees is
walked by one comparison in numpy, and the leaves are added up in XGBoost's own order and precision. So a row alone gets
the very number that it gets in a batch, which is XGBoost's.
"""

import msgspec
import numpy as np

from housing_assets.core.models.engine import import_xgboost

import_xgboost()
import xgboost  # noqa: E402


class _Tree(msgspec.Struct):
    """Lists of numbers, one for each node, as JSON: the part of XGBoost's `doc/model.schema` that a prediction reads. A
    leaf has no children (-1), and its value as its condition."""

    left_children: msgspec.Raw
    right_children: msgspec.Raw
    split_indices: msgspec.Raw
    split_conditions: msgspec.Raw
    default_left: msgspec.Raw


class _Trees(msgspec.Struct):
    trees: list[_Tree]


class _Booster(msgspec.Struct):
    model: _Trees


class _Learner(msgspec.Struct):
    gradient_booster: _Booster
    learner_model_param: dict[str, str]


class _Saved(msgspec.Struct):
    learner: _Learner


class TreeWalk:
    """The trees of one booster without categorical splits. Safe to share between threads."""

    def __init__(self, saved: bytes) -> None:
        """Copy the trees.

        Args:
            saved: a booster of trees with one output, as XGBoost's `save_raw("ubj")` gives it.
        """
        # A booster that begins and ends here. XGBoost keeps the last text it gave out, megabytes of JSON, for each
        # booster and thread, and forgets it only where the booster ends in the thread that was given the text. A model
        # is replaced in another thread than the one that loaded it, so that each would leave its text behind.
        booster = xgboost.Booster(model_file=bytearray(saved))
        learner = msgspec.json.decode(booster.save_raw("json"), type=_Saved).learner
        trees = learner.gradient_booster.model.trees
        self._base = np.float32(msgspec.json.decode(learner.learner_model_param["base_score"], type=list[float])[0])
        self._roots = np.arange(len(trees))
        self._number_nodes(trees, booster.num_features())

    def _number_nodes(self, trees: list[_Tree], features: int) -> None:
        """Number the nodes of all trees: roots first, then the children of each split beside each other."""

        def joined(name: str, kind: type) -> np.ndarray:
            lists = [bytes(getattr(tree, name))[1:-1].decode() for tree in trees]
            return np.fromstring(",".join(lists), kind, sep=",")

        counts = [bytes(tree.left_children).count(b",") + 1 for tree in trees]
        begins = np.cumsum([0, *counts])[:-1]
        begin_of = np.repeat(begins, counts)
        left = joined("left_children", np.int64)
        is_split = left >= 0
        splits = np.flatnonzero(is_split)
        children = np.stack([left, joined("right_children", np.int64)], 1)[splits] + begin_of[splits, None]
        old = np.concatenate([begins, children.ravel()])
        first_child = np.zeros(len(left), np.int64)
        first_child[splits] = len(trees) + 2 * np.arange(len(splits))
        condition = joined("split_conditions", np.float64).astype(np.float32)
        goes_right_without = joined("default_left", np.int64) == 0
        column = joined("split_indices", np.int64) + features * goes_right_without
        # A leaf leads to itself: nothing is at least NaN.
        self._next = np.where(is_split, first_child, 0)[old]
        leaves = np.flatnonzero(~is_split[old])
        self._next[leaves] = leaves
        self._column = np.where(is_split, column, 0)[old]
        self._threshold = np.where(is_split, condition, np.float32(np.nan))[old]
        self._value = condition[old]
        self._levels, nodes = 0, self._roots
        while (nodes := nodes[self._next[nodes] != nodes]).size:
            self._levels += 1
            nodes = np.concatenate([self._next[nodes], self._next[nodes] + 1])

    def output(self, matrix: np.ndarray) -> np.ndarray:
        """What the booster's `inplace_predict` returns, float32 of shape (n,).

        Args:
            matrix: float32 of shape (n, features), missing NaN.
        """
        is_missing = np.isnan(matrix)
        # A missing value goes left of every threshold in the first half, and right of it in the second.
        halves = [np.where(is_missing, np.float32(end), matrix) for end in (-np.inf, np.inf)]
        values = np.concatenate(halves, axis=1)
        begins = np.arange(0, values.size, values.shape[1])[:, None]
        values = values.ravel()
        nodes = np.broadcast_to(self._roots, (len(matrix), len(self._roots)))
        for _ in range(self._levels):
            value = values.take(self._column.take(nodes) + begins)
            nodes = self._next.take(nodes) + (value >= self._threshold.take(nodes))
        leaves = self._value.take(nodes)
        leaves[:, 0] += self._base
        return np.add.accumulate(leaves, axis=1)[:, -1]
