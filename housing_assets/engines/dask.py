"""Training on Dask, through XGBoost's own interface to it: rows stay on the workers that read them.

What belongs here: how trees are fitted over more memory and cores than one machine has. What trees fit, and what comes
of them, is `housing_assets.core.models.trees`. Dask is imported when it is used: serving never does, nor do
definitions.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from housing_assets.core.errors import HousingError
from housing_assets.core.features.monthly import FEATURES
from housing_assets.core.models.anchor import Anchor
from housing_assets.core.models.engine import import_xgboost
from housing_assets.core.models.rows import feature_matrix
from housing_assets.core.models.trees import PriceTrees, Target, TrainingParams, fit_labels, training_labels
from housing_assets.core.text import first_line
from housing_assets.store.table import TableFile

if TYPE_CHECKING:
    import xgboost
    from distributed import Client, Future

_CONNECT_SECONDS = 5
_WORKER_SECONDS = 10
_SILENCE_SECONDS = 60
"""How long workers wait for one that says nothing before they give up; one that dies is noticed at once."""
_ATTEMPTS = 2


class WorkerLostError(HousingError):
    """A Dask worker that held rows went away."""


def train_on_dask(
    address: str, rows: TableFile, params: TrainingParams, log: Callable[[str], None] = lambda _: None
) -> PriceTrees:
    """Fit trees on the workers of a Dask cluster, which read the row groups of a table from the store themselves.

    XGBoost cannot go on without a worker. When one is lost, training begins again, once, on those that remain.

    Args:
        address: of the scheduler, such as `tcp://10.0.0.5:8786`; empty: a cluster of this machine's cores, which ends
            with the training.
        rows: training features with a price.
        params: hyperparameters.
        log: told in words what happens.

    Raises:
        HousingError: nobody answers at the address, the cluster has no workers, or they cannot read the store.
        WorkerLostError: workers were lost, and those that remained were lost as well, or none remained.
    """
    anchor, _ = fit_labels(rows, params.target)
    with _cluster(address) as client:
        for attempt in range(1, _ATTEMPTS + 1):
            _require_workers(client, address)
            try:
                return PriceTrees(_fit(client, rows, params, anchor, log), params.target, anchor)
            except WorkerLostError as error:
                if attempt == _ATTEMPTS:
                    raise
                log(f"{error} Training begins again on the workers that remain")
    raise AssertionError("unreachable")


@contextmanager
def _cluster(address: str) -> "Iterator[Client]":
    """A client of the cluster at an address, or of one that lives as long as the block."""
    from distributed import Client, LocalCluster

    if not address:
        # Without a dashboard: its port may be taken.
        with LocalCluster(dashboard_address=None) as cluster, Client(cluster) as client:  # pyright: ignore[reportArgumentType]
            yield client
        return
    try:
        client = Client(address, timeout=_CONNECT_SECONDS)
    except (OSError, TimeoutError, ValueError) as error:
        raise HousingError(
            f"HOUSING_DASK_ADDRESS={address}: no Dask scheduler answers there within {_CONNECT_SECONDS} s "
            f"({first_line(error)}): start one with `dask scheduler`, correct the address, or leave it empty for a "
            "cluster of this machine's cores"
        ) from error
    with client:
        yield client


def _require_workers(client: "Client", address: str) -> None:
    from distributed import TimeoutError as NoWorkersError

    try:
        client.wait_for_workers(1, timeout=_WORKER_SECONDS)
    except NoWorkersError as error:
        raise HousingError(
            f"HOUSING_DASK_ADDRESS={address}: the scheduler has no workers: start some with "
            f"`dask worker {address or 'ADDRESS'}`"
        ) from error


def _fit(
    client: "Client", rows: TableFile, params: TrainingParams, anchor: Anchor | None, log: Callable[[str], None]
) -> "xgboost.Booster":
    """The trees, fitted on the workers that are there now.

    XGBoost's workers notice a closed connection at once and all fail; Dask then reads what was lost anew.
    Row groups are dealt to workers in turn: bins depend on which rows lie together, so that left to the scheduler the
    same training would give other trees each time. A worker reads all of its groups in one task, since the scheduler
    moves tasks that wait behind another to a worker that has none.

    Raises:
        WorkerLostError: one of them went away.
        HousingError: a worker cannot read the rows.
    """
    import dask.array as da
    from dask.delayed import delayed

    import_xgboost()
    from xgboost import dask as dxgb
    from xgboost.collective import Config

    before = _workers(client)
    groups = rows.groups()
    log(f"training {params.n_estimators} trees on {len(before)} Dask workers, {len(groups)} row groups")
    shares = {worker: list(groups)[n :: len(before)] for n, worker in enumerate(sorted(before)[: len(groups)])}
    try:
        read = [
            client.submit(
                _share,
                rows,
                {group: groups[group] for group in share},
                params.target,
                anchor,
                workers=worker,
                allow_other_workers=True,
            )
            for worker, share in shares.items()
        ]
        _require_read(read, rows)
        unknown = float("nan")
        parts: list[Any] = [delayed(share) for share in read]
        x = [da.from_delayed(part[0], (unknown, len(FEATURES)), dtype=np.float32) for part in parts]
        y = [da.from_delayed(part[1], (unknown,), dtype=np.float64) for part in parts]
        matrix = dxgb.DaskQuantileDMatrix(
            client,
            da.concatenate(x, allow_unknown_chunksizes=True),
            da.concatenate(y),
            feature_names=list(FEATURES),
            max_bin=params.max_bin,
        )
        own = {name: value for name, value in params.booster_params().items() if name != "nthread"}
        waiting = Config(timeout=_SILENCE_SECONDS)
        result = dxgb.train(client, own, matrix, num_boost_round=params.n_estimators, coll_cfg=waiting)
    except HousingError:
        raise
    except Exception as error:
        if lost := sorted(before - _workers(client)):
            raise WorkerLostError(
                f"the Dask workers {', '.join(lost)} were lost while they trained ({first_line(error)}): killed, "
                "out of memory, or cut off; give workers more memory, or start more of them."
            ) from error
        raise
    return result["booster"]


def _require_read(shares: "Sequence[Future]", rows: TableFile) -> None:
    """Wait until workers have read their shares, and say what kept them from it: XGBoost would not."""
    from distributed import wait

    wait(shares)
    if failed := next((share for share in shares if share.status == "error"), None):
        reason = first_line(cast(BaseException, failed.exception()))
        raise HousingError(
            f"a Dask worker cannot read {rows.asset} ({reason}): workers need this version of "
            f"the platform and access to HOUSING_STORE_URI={rows.blobs.uri}, with the same path or credentials as here"
        )


def _share(
    rows: TableFile, groups: Mapping[int, int], target: Target, anchor: Anchor | None
) -> tuple[np.ndarray, np.ndarray]:
    """The matrix and the labels of some row groups, given with the most rows each has; runs on a worker."""
    most = sum(groups.values())
    matrix, labels = np.empty((most, len(FEATURES)), np.float32), np.empty(most)
    end = 0
    for frame in rows.pieces([*FEATURES, "price"], groups):
        begin, end = end, end + frame.height
        matrix[begin:end], labels[begin:end] = feature_matrix(frame), training_labels(frame, target, anchor)
    return matrix[:end], labels[:end]


def _workers(client: "Client") -> set[str]:
    """Addresses of the workers that the scheduler has now."""
    return set(client.scheduler_info(n_workers=-1)["workers"])
