"""The champion that serves: loaded, checked and warmed aside, then swapped in by one assignment."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from housing_assets.core.errors import BundleError, HousingError
from housing_assets.core.months import add_months
from housing_assets.store.bundles import POINTER, champion_version, load_bundle, newest_intervals
from housing_assets.store.layout import Store
from housing_serving.memory import give_back
from housing_serving.predictor import Predictor

log = logging.getLogger("housing_serving")


@dataclass(frozen=True)
class Reload:
    """What a look at the store came to: `unchanged`, `loaded`, `none` or `refused`, and the kind of error."""

    outcome: str
    error: str = ""


def _load(store: Store, version: str) -> Predictor:
    """A predictor of a version, verified, checked on its golden rows, and warm."""
    made = Predictor(load_bundle(store, version), newest_intervals(store, version))
    made.warm()
    return made


class Champion:
    """Holds the predictor that serves now. A new champion that cannot be trusted leaves the last good one."""

    def __init__(self, store: Store, kept: Store | None = None) -> None:
        """Begin without a model.

        Args:
            store: that the champion is read from.
            kept: where a copy of the last good one is kept, to start from while the store cannot be read.
        """
        self.store, self.kept = store, kept
        self.predictor: Predictor | None = None
        self.leaving = False
        self.reason = "no champion was looked for yet"
        self._seen: tuple[object, ...] | None = None
        self._refused: tuple[object, ...] | None = None

    def look(self) -> Reload:
        """Look for a champion or a calibration that is not the one that serves, and load it."""
        try:
            version = champion_version(self.store)
            if version is None:
                self.reason = f"{POINTER} does not exist: run training_job (or `housing run`) first"
                return Reload("none")
            # By contents: the newest month may have been calibrated again.
            calibrations = sorted(self.store.blobs.stamps("interval_calibration/").items())
            seen = (version, *calibrations[-1:])
            if seen == self._seen:
                self.reason = ""
                return Reload("unchanged")
            files = (*seen, *sorted(self.store.blobs.stamps(f"models/{version}/").items()))
            if files == self._refused:
                return Reload("unchanged")
            loaded = self._load_unless_refused(version, files)
        except Exception as error:
            # Whatever is wrong with it, the last good one goes on. Paths and addresses stay in the log.
            log.warning("the champion is refused: %s", error)
            if (found := self.start_from_copy()).outcome == "loaded":
                return found
            told = str(error) if isinstance(error, HousingError) else type(error).__name__
            self.reason = f"the newest champion is refused: {told.replace(self.store.uri, 'the store')}"
            return Reload("refused", type(error).__name__)
        self.predictor, self._seen, self.reason = loaded, seen, ""
        self._keep(loaded)
        give_back()
        return Reload("loaded")

    def _load_unless_refused(self, version: str, files: tuple[object, ...]) -> Predictor:
        """Load a version; one that is damaged is not fetched again until its files are others."""
        try:
            return _load(self.store, version)
        except BundleError:
            self._refused = files
            raise

    def start_from_copy(self) -> Reload:
        """Serve the copy of the last good champion, if there is one and nothing serves yet."""
        if self.kept is None or self.predictor is not None:
            return Reload("unchanged")
        try:
            version = champion_version(self.kept)
            if version is None:
                return Reload("none")
            copied = _load(self.kept, version)
        except Exception as error:
            log.warning("the copy of the last good champion cannot be read: %s", error)
            return Reload("refused", type(error).__name__)
        # The store may have answered meanwhile.
        if self.predictor is not None:
            return Reload("unchanged")
        self.predictor = copied
        self.reason = "the store cannot be read: the last good champion serves from its copy"
        return Reload("loaded")

    def _keep(self, serving: Predictor) -> None:
        """Copy aside what was verified and serves, the pointer to it last."""
        if self.kept is None:
            return
        try:
            folder = f"models/{serving.version}"
            for name, data in serving.bundle.files.items():
                self.kept.blobs.write(f"{folder}/{name}", data)
            self.kept.write_json(f"{folder}/manifest.json", serving.bundle.manifest)
            if serving.calibration is not None:
                month = add_months(serving.calibration["last_month"][0], 1)
                self.kept.months("interval_calibration").write(month, serving.calibration)
            self.kept.write_json(POINTER, {"version": serving.version})
        except Exception as error:
            log.warning("the champion that serves could not be copied aside: %s", error)

    async def follow(self, seconds: float, patience: float, tell: Callable[[Reload], None]) -> None:
        """Look every so many seconds, off the event loop, for as long as the server runs.

        Args:
            seconds: between looks.
            patience: seconds that the first look may take before the copy serves.
            tell: is called with what each look came to.
        """
        looking = asyncio.create_task(asyncio.to_thread(self.look))
        if not (await asyncio.wait({looking}, timeout=patience))[0]:
            tell(await asyncio.to_thread(self.start_from_copy))
        tell(await looking)
        while True:
            await asyncio.sleep(seconds)
            tell(await asyncio.to_thread(self.look))
