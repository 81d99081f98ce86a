"""Months of one asset, decoded once for many calls, in bounded memory.

What belongs here: what is held and for how long. Whether a month may be given out is asked of
`housing_assets.store.gates`, by who answers the call.
"""

import threading
from collections import OrderedDict

import polars as pl

from housing_assets.store.months import Months

MOST_BYTES = 32_000_000
"""Bytes of frames that are held of one asset: 40 months of `monthly_predictions` with 6,000 zips each."""


class DecodedMonths:
    """The months of an asset as frames, the least recently used given up first. Safe to share between threads."""

    def __init__(self, months: Months, most_bytes: int = MOST_BYTES) -> None:
        """Begin without frames.

        Args:
            months: that are read.
            most_bytes: that are held. A single larger month is decoded for each call.
        """
        self.months, self.most_bytes = months, most_bytes
        self._frames: OrderedDict[str, tuple[str, pl.DataFrame]] = OrderedDict()
        self._bytes = 0
        self._changing = threading.Lock()

    def read(self, month: str, stamp: str) -> pl.DataFrame:
        """A month.

        Args:
            month: `YYYY-MM`.
            stamp: of its contents as they are now. What was decoded under another stamp is given up.

        Raises:
            StoreError: its file cannot be read.
        """
        with self._changing:
            held = self._frames.get(month)
            if held and held[0] == stamp:
                self._frames.move_to_end(month)
                return held[1]
        # Without the lock: a store that hangs must not hold up calls for other months.
        frame = self.months.read(month)
        with self._changing:
            self._forget(month)
            self._frames[month] = (stamp, frame)
            self._bytes += int(frame.estimated_size())
            while self._bytes > self.most_bytes:
                self._forget(next(iter(self._frames)))
        return frame

    def _forget(self, month: str) -> None:
        held = self._frames.pop(month, None)
        if held:
            self._bytes -= int(held[1].estimated_size())
