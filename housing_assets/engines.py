"""Where trees are fitted: in this process, or on a Dask cluster. Both make the same artifacts."""

from collections.abc import Callable

from housing_assets.core.training import PriceTrees, TrainingParams, train_trees
from housing_assets.settings import Settings
from housing_assets.store.layout import TableFile


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
    if settings.train_engine == "local":
        return train_trees(rows, params, progress)
    from housing_assets.dask_training import train_on_dask

    return train_on_dask(settings.dask_address, rows, params, log)
