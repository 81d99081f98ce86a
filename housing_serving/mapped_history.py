"""The market signals of a history on disk, of which memory holds the months that are asked for.

They are three quarters of a history: 220 MB for 26,300 zips and 300 months. A price table reads two months of each.
"""

import logging
import tempfile
from dataclasses import replace

import numpy as np

from housing_assets.core.features.history import History

log = logging.getLogger("housing_serving")


def with_mapped_signals(history: History) -> History:
    """The same history, whose signals are read from a file of this process as they are needed.

    The file is in the folder for temporary files (TMPDIR), month by month. It has no name, so that it goes with the
    process, and nobody else can change it.

    Returns:
        The history as it is, if there is no room for the file.
    """
    names, (zips, months) = list(history.signals), history.log_price.shape
    try:
        with tempfile.TemporaryFile() as file:
            for name in names:
                file.write(np.ascontiguousarray(history.signals[name].T).data)
            file.flush()
            mapped = np.memmap(file, np.float32, "r", shape=(len(names), months, zips))
    except OSError as error:
        log.warning("the history is held in memory, since TMPDIR takes no file: %s", error)
        return history
    return replace(history, signals={name: np.asarray(mapped[i]).T for i, name in enumerate(names)})
