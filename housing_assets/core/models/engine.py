"""XGBoost without scikit-learn: what the platform needs of it, at a part of the memory and time to start."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

CORES = os.cpu_count() or 1
"""Cores of this machine: the threads that trees are fitted with, and scored with in a run. A server has its own."""


def import_xgboost(estimators: bool = True) -> None:
    """Import XGBoost as it is imported where scikit-learn is not installed, as in the image of the API.

    Where it is installed, XGBoost imports it, and that pandas, for estimator classes that nothing here uses: in a
    server 1.7 seconds and 158 MB instead of 0.2 seconds and 25 MB, in a run 1.4 seconds instead of 0.6. Neither library
    has a switch for it. XGBoost treats the import as optional, and Python documents how to make one fail: a
    module that is None in `sys.modules` raises `ModuleNotFoundError` (Language Reference, 5.3.1 "The module cache").
    Once XGBoost is imported, scikit-learn can be imported again.

    Args:
        estimators: False leaves out the estimator classes as a whole with `scipy.special`, 5 MB: for a process that
            only serves, since MLflow looks for them in one that trains.
    """
    if "xgboost" in sys.modules or "sklearn" in sys.modules:
        return
    absent = ["sklearn"] if estimators or "scipy.special" in sys.modules else ["sklearn", "scipy.special"]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        with _without_parts_of_numpy():
            import xgboost  # noqa: F401
    finally:
        for name in absent:
            del sys.modules[name]


@contextmanager
def _without_parts_of_numpy() -> Iterator[None]:
    """Keep SciPy, which takes all names of NumPy, from loading its compiler of Fortran and tools of its tests: 10 MB.

    NumPy loads either when it is first asked for.
    """
    absent = [name for name in ("f2py", "testing") if name not in vars(np)]
    for name in absent:
        setattr(np, name, None)
    try:
        yield
    finally:
        for name in absent:
            delattr(np, name)
