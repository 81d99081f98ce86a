"""Where trees are fitted: in this process, or on a Dask cluster. Both make the same artifacts."""

from collections.abc import Callable

from housing_assets.config.settings import Settings
from housing_assets.core.errors import HousingError
from housing_assets.core.models.engine import import_xgboost
from housing_assets.core.models.trees import PriceTrees, TrainingParams, train_trees
from housing_assets.store.table import TableFile

_NO_MEMORY = ("bad_alloc", "bad_malloc")
"""How XGBoost, which has one error for all, says that it got no memory."""


def fit_trees(
    settings: Settings,
    rows: TableFile,
    params: TrainingParams,
    progress: Callable[[int, int], None],
    log: Callable[[str], None],
) -> PriceTrees:
    """Fit trees on training features, on the engine that HOUSING_TRAIN_ENGINE names.

    Args:
        settings: of the platform.
        rows: training features with a price.
        params: hyperparameters.
        progress: called with the trees done and the trees to do; Dask's workers do not tell.
        log: told in words what a cluster does.

    Raises:
        HousingError: the rows cannot be trained on, or the cluster cannot be used.
    """
    if settings.train_engine == "dask":
        from housing_assets.engines.dask import train_on_dask

        return train_on_dask(settings.dask_address, rows, params, log)
    return train_here(rows, params, progress)


def train_here(rows: TableFile, params: TrainingParams, progress: Callable[[int, int], None]) -> PriceTrees:
    """Fit trees in this process.

    Raises:
        HousingError: the rows cannot be trained on, or memory ran out.
    """
    import_xgboost()
    from xgboost.core import XGBoostError

    try:
        return train_trees(rows, params, progress)
    except (MemoryError, XGBoostError) as error:
        if isinstance(error, XGBoostError) and not any(words in str(error) for words in _NO_MEMORY):
            raise
        raise HousingError(
            f"memory ran out while {params.n_estimators} trees were trained on {rows.asset}: give the run more memory, "
            "train on the workers of a Dask cluster (HOUSING_TRAIN_ENGINE=dask), or lower max_bin or max_depth"
        ) from error
