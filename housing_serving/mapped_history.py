"""The market signals of a history on disk, of which memory holds the months that are asked for.

They are three quarters of a history: 220 MB for 26,300 zips and 300 months. A price table reads two months of each.
"""

import logging
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from housing_assets.core.features.history import History

log = logging.getLogger("housing_serving")


def with_mapped_signals(history: History, folder: str = "") -> History:
    """The same history, whose signals are read from a file of this process as they are needed.

    The file has no name, so that it goes with the process, and nobody else can change it.

    Args:
        history: in memory.
        folder: on a disk, which is made if it does not exist; empty: the one for temporary files (TMPDIR).

    Returns:
        The history as it is, if there is no room for the file.
    """
    names, (zips, months) = list(history.signals), history.log_price.shape
    try:
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder or None) as file:
            for name in names:
                file.write(np.ascontiguousarray(history.signals[name].T).data)
            file.flush()
            mapped = np.memmap(file, np.float32, "r", shape=(len(names), months, zips))
    except OSError as error:
        log.warning("the history is held in memory, since %s takes no file: %s", folder or "TMPDIR", error)
        return history
    return replace(history, signals={name: np.asarray(mapped[i]).T for i, name in enumerate(names)})
