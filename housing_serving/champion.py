"""The champion that serves: loaded, checked and warmed aside, then swapped in by one assignment."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from housing_assets.core.errors import BundleError, HousingError
from housing_assets.core.history import History
from housing_assets.core.months import add_months
from housing_assets.store.bundles import POINTER, champion_version, load_bundle, newest_intervals
from housing_assets.store.histories import Stamps, copy_history, history_stamps, read_sound_history
from housing_assets.store.layout import Store
from housing_assets.store.verdicts import State, UnsoundError, Verdict, data_stamps, write_verdicts
from housing_serving.memory import give_back
from housing_serving.predictor import Predictor

log = logging.getLogger("housing_serving")


@dataclass(frozen=True)
class Reload:
    """What a look at the store came to, and the kind of error.

    `unchanged`, `loaded`, `none`, `refused`, or `waiting`: for the checks of a history.
    """

    outcome: str
    error: str = ""


def _load(store: Store, version: str) -> Predictor:
    """A predictor of a version, verified, checked on its golden rows, and warm."""
    made = Predictor(load_bundle(store, version), newest_intervals(store, version))
    made.warm()
    return made


class Champion:
    """Holds the predictor that serves now: a champion or history that cannot be trusted leaves the last good one."""

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
        self._history_seen: Stamps | None = None
        self._history_problem = ""

    def look(self) -> Reload:
        """Look for a champion, a calibration or a history that is not the one that serves, and load it."""
        try:
            version = champion_version(self.store)
            if version is None:
                self.reason = f"{POINTER} does not exist: run training_job (or `housing run`) first"
                return Reload("none")
            # By contents: the newest month may have been calibrated again.
            calibrations = sorted(self.store.blobs.stamps("interval_calibration/").items())
            # And their verdicts: one that is red or unchecked waits until it is not.
            checked = sorted(self.store.blobs.stamps("checks/interval_calibration/").items())
            seen = (version, *calibrations[-1:], *checked[-1:])
            serving = self.predictor
            if seen != self._seen or serving is None:
                files = (*seen, *sorted(self.store.blobs.stamps(f"models/{version}/").items()))
                if files == self._refused:
                    return Reload("unchanged")
                serving = self._load_unless_refused(version, files)
            loaded, refused = self._with_newest_history(serving)
        except Exception as error:
            # Whatever is wrong with it, the last good one goes on. Paths and addresses stay in the log.
            log.warning("the champion is refused: %s", error)
            if (found := self.start_from_copy()).outcome == "loaded":
                return found
            copied = "the last good champion serves from its copy, " if self.predictor and self._seen is None else ""
            self.reason = f"{copied}the newest champion is refused: {self._told(error)}"
            return Reload("refused", type(error).__name__)
        is_new, changed = seen != self._seen, loaded is not self.predictor
        self.predictor, self._seen, self.reason = loaded, seen, self._history_problem
        if is_new:
            self._keep(loaded)
        if changed:
            give_back()
        return refused or Reload("loaded" if changed else "unchanged")

    def _load_unless_refused(self, version: str, files: tuple[object, ...]) -> Predictor:
        """Load a version; one that is damaged is not fetched again until its files are others."""
        try:
            return _load(self.store, version)
        except BundleError:
            self._refused = files
            raise

    def _with_newest_history(self, serving: Predictor) -> tuple[Predictor, Reload | None]:
        """A predictor with the newest history; with the last good one if that cannot be taken, and what came of it.

        Raises:
            StoreError: the store cannot be read.
        """
        if serving.model.growth is None:
            self._history_seen, self._history_problem = None, ""
            return serving, None
        stamps, last = history_stamps(self.store), self._last_history()
        if stamps == self._history_seen:
            return serving.with_history(last), None
        if stamps[0] is None:
            self._history_seen = stamps
            self._history_problem = "price_history is gone, the last good one serves" if last else ""
            return serving.with_history(last), None
        try:
            changed = serving.with_history(read_sound_history(self.store))
        except Exception as error:
            log.warning("the history is not taken: %s", error)
            last = last or self._kept_history()
            instead = "the last good one serves" if last else "prices are from the rows' own figures"
            self._history_problem = f"the newest price history is not taken, {instead}: {self._told(error)}"
            waits = isinstance(error, UnsoundError)
            # What its checks do not vouch for is not read again before it, or its verdict, is another.
            self._history_seen = stamps if waits else None
            return serving.with_history(last), Reload("waiting" if waits else "refused", type(error).__name__)
        self._copy_history(stamps)
        self._history_seen, self._history_problem = stamps, ""
        return changed, None

    def _last_history(self) -> History | None:
        past = self.predictor.past if self.predictor else None
        return past.history if past else None

    def _kept_history(self) -> History | None:
        """The copy of the last good history; None if there is none that is whole."""
        try:
            return read_sound_history(self.kept) if self.kept and history_stamps(self.kept)[0] else None
        except Exception as error:
            log.warning("the copy of the last good history cannot be read: %s", error)
            return None

    def _told(self, error: Exception) -> str:
        """An error without where it happened."""
        told = str(error) if isinstance(error, HousingError) else type(error).__name__
        return told.replace(self.store.uri, "the store")

    def start_from_copy(self) -> Reload:
        """Serve the copy of the last good champion, if there is one and nothing serves yet."""
        if self.kept is None or self.predictor is not None:
            return Reload("unchanged")
        try:
            version = champion_version(self.kept)
            if version is None:
                return Reload("none")
            copied = _load(self.kept, version)
            if copied.model.growth is not None:
                copied = copied.with_history(self._kept_history())
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
                stamp = data_stamps(self.kept, "interval_calibration")[month]
                rows = serving.calibration.height
                write_verdicts(self.kept, [Verdict("interval_calibration", month, State.GREEN, stamp, rows)])
            self.kept.write_json(POINTER, {"version": serving.version})
        except Exception as error:
            log.warning("the champion that serves could not be copied aside: %s", error)

    def _copy_history(self, stamps: Stamps) -> None:
        """Copy aside a history that was verified."""
        if self.kept is None:
            return
        try:
            copy_history(self.store, self.kept, stamps)
        except Exception as error:
            log.warning("the history that serves could not be copied aside: %s", error)

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
