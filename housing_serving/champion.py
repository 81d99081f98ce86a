"""The champion that serves: loaded, checked and warmed aside, then swapped in by one assignment."""

import asyncio
import logging
from dataclasses import dataclass

from housing_assets.store.bundles import POINTER, champion_version, load_bundle, newest_intervals
from housing_assets.store.layout import Store
from housing_serving.predictor import Predictor

log = logging.getLogger("housing_serving")


@dataclass(frozen=True)
class Reload:
    """What a look at the store came to: `unchanged`, `loaded`, `none` or `refused`, and why."""

    outcome: str
    reason: str = ""


class Champion:
    """Holds the predictor that serves now. A new champion that cannot be trusted leaves the last good one."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.predictor: Predictor | None = None
        self.reason = "no champion was looked for yet"
        self._seen: tuple[str, str] | None = None

    def look(self) -> Reload:
        """Look for a champion or a calibration that is not the one that serves, and load it."""
        try:
            version = champion_version(self.store)
            if version is None:
                self.reason = f"{POINTER} does not exist: run training_job (or `housing run`) first"
                return Reload("none", self.reason)
            months = self.store.months("interval_calibration").available()
            seen = (version, months[-1] if months else "")
            if seen == self._seen:
                return Reload("unchanged")
            self.predictor = Predictor(load_bundle(self.store, version), newest_intervals(self.store, version))
            self._seen, self.reason = seen, ""
            return Reload("loaded", version)
        except Exception as error:
            # Whatever is wrong with it, the last good one goes on. Paths and addresses stay in the log.
            log.warning("the champion is refused: %s", error)
            self.reason = f"the newest champion is refused: {type(error).__name__}"
            return Reload("refused", str(error))

    async def follow(self, seconds: float, told: "asyncio.Queue[Reload] | None" = None) -> None:
        """Look every so many seconds, off the event loop, for as long as the server runs."""
        while True:
            found = await asyncio.to_thread(self.look)
            if told is not None:
                told.put_nowait(found)
            await asyncio.sleep(seconds)
