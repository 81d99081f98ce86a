"""The ONNX twin of a booster: the same trees for onnxruntime, which predicts single rows many times faster."""

from typing import TYPE_CHECKING, Any

import numpy as np

from housing_assets.core.features.monthly import FEATURES

if TYPE_CHECKING:
    import xgboost

TWIN_TOLERANCE = 1e-4
"""Largest difference of twin and booster, in log price: float32 sums of trees in another order."""
_OPSET = 15
_INPUT = "features"


def to_onnx(booster: "xgboost.Booster") -> bytes:
    """A booster over `FEATURES` as an ONNX model: input `features`, float32 (n, len(FEATURES)), missing NaN."""
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    renamed = booster.copy()
    # The converter reads a feature's index out of its name.
    renamed.feature_names = [f"f{i}" for i in range(len(FEATURES))]
    model = onnxmltools.convert_xgboost(
        renamed, name="price", initial_types=[(_INPUT, FloatTensorType([None, len(FEATURES)]))], target_opset=_OPSET
    )
    return model.SerializeToString(deterministic=True)


def open_twin(model: bytes) -> Any:
    """An onnxruntime session on one thread and without a memory arena, since rows are few and requests concurrent."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def twin_output(session: Any, matrix: np.ndarray) -> np.ndarray:
    """The output of the twin's trees, float32 of shape (n,), for a feature matrix (n, len(FEATURES))."""
    return session.run(None, {_INPUT: matrix})[0].reshape(-1)
