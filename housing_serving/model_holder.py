"""The model that serves: loaded, checked and warmed off the event loop, then swapped in by one assignment.

What belongs here: when to look at the store, what to take from it, and what to go on with where it cannot be trusted.
How a bundle predicts is in `predictor`.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from housing_assets.core.errors import DamagedError, HousingError, StoreError
from housing_assets.core.features.history import History
from housing_assets.store.bundles import load_bundle
from housing_assets.store.histories import Stamps, copy_history, history_stamps, read_sound_history
from housing_assets.store.layout import Store
from housing_assets.store.pointers import POINTER, champion_pointer, newest_intervals, pointer_to
from housing_assets.store.verdicts import State, UnsoundError, Verdict, data_stamps, write_verdicts
from housing_serving.mapped_history import with_mapped_signals
from housing_serving.memory import give_back
from housing_serving.predictor import Predictor

log = logging.getLogger("housing_serving")


@dataclass(frozen=True)
class Reload:
    """The result of a look at the store.

    Attributes:
        outcome: `unchanged`, `loaded`, `none`, `refused`, or `waiting`, which is for the checks of a history.
        error: the type of the error; empty if there was none.
    """

    outcome: str
    error: str = ""


def _load(store: Store, version: str) -> Predictor:
    """A predictor of a version, verified, checked on its golden rows, and warm."""
    predictor = Predictor(load_bundle(store, version), None)
    predictor.warm()
    return predictor


def _may_pass(error: Exception) -> bool:
    """True if the same files may be taken at the next look, since the store was away or memory was short."""
    return isinstance(error, StoreError | OSError | MemoryError) and not isinstance(error, DamagedError)


class ModelHolder:
    """Holds the predictor that serves now.

    A champion, calibration or history that cannot be trusted leaves the last good one in place. Each is looked for
    separately, so that one that is refused keeps none of the others from being taken.

    Attributes:
        predictor: that serves; None before the first one is loaded.
        provisional: why it serves although it did not pass its tests; empty if it did.
        leaving: the process was told to stop, and no longer says that it is ready.
        reason: why the newest of everything does not serve, in words; empty if it does.
    """

    def __init__(self, store: Store, kept: Store | None = None) -> None:
        """Begin without a model.

        Args:
            store: that the champion is read from.
            kept: where a copy of the last good one is kept, to start from while the store cannot be read. None keeps
                none.
        """
        self.store, self.kept = store, kept
        self._map_folder = kept.uri if kept and "://" not in kept.uri else ""
        self.predictor: Predictor | None = None
        self.provisional = ""
        self.leaving = False
        self.reason = "no champion was looked for yet"
        self._from_copy = False
        self._refused: tuple[object, ...] | None = None
        self._champion_problem = ""
        self._intervals_seen: tuple[object, ...] | None = None
        self._intervals_problem = ""
        self._history_seen: Stamps | None = None
        self._history_problem = ""
        self._looking, self._swapping = threading.Lock(), threading.Lock()

    def look(self) -> Reload:
        """Look for a champion, a calibration or a history that is not the one that serves, and load it."""
        # One at a time: a slow look that ended after a later one would bring back what that one replaced.
        with self._looking:
            return self._look()

    def _look(self) -> Reload:
        try:
            serving, provisional, champion_result = self._newest_champion()
            if serving is None:
                self._explain()
                return champion_result or Reload("unchanged")
            intervals, intervals_result = self._intervals_seen, None
            # Without a pointer the store is being emptied or filled: what is there is not all that belongs together.
            if champion_result is None or champion_result.outcome != "none":
                serving, intervals, intervals_result = self._with_newest_intervals(serving)
            loaded, history_result = self._with_newest_history(serving)
        except Exception as error:
            # Whatever is wrong with it, the last good one goes on. Paths and addresses stay in the log.
            log.warning("the champion is refused: %s", error)
            if (copied := self.start_from_copy()).outcome == "loaded":
                return copied
            self._explain(f"the newest champion is refused: {self._describe(error)}")
            return Reload("refused", type(error).__name__)
        with self._swapping:
            last, self.predictor, self._intervals_seen = self.predictor, loaded, intervals
            self._from_copy = self._from_copy and bool(self._champion_problem)
            self.provisional = provisional
        self._explain()
        if last is None or last.bundle is not loaded.bundle or last.calibration is not loaded.calibration:
            self._keep(loaded)
        changed = loaded is not last
        if changed:
            give_back()
        own_result = Reload("loaded" if changed else "unchanged")
        return champion_result or intervals_result or history_result or own_result

    def _newest_champion(self) -> tuple[Predictor | None, str, Reload | None]:
        """The newest champion.

        Returns:
            A predictor of the newest champion, or the one that serves if the newest is refused.
            Why it serves although it did not pass its tests; empty if it did.
            The result of the look; None if the newest is taken.

        Raises:
            StoreError: the store cannot be read.
        """
        files: tuple[object, ...] | None = None
        try:
            (version, provisional), serving = champion_pointer(self.store), self.predictor
            if version is None:
                self._champion_problem = f"{POINTER} does not exist: run training_job (or `housing run`) first"
                return serving, self.provisional, Reload("none")
            # A version is named after its contents: the copy of the same one is the same.
            if serving is None or serving.version != version:
                files = (version, *sorted(self.store.blobs.stamps(f"models/{version}/").items()))
                if files == self._refused:
                    return serving, self.provisional, None
                serving = _load(self.store, version)
        except Exception as error:
            if _may_pass(error):
                raise
            log.warning("the champion is refused: %s", error)
            # Not fetched again until its files are others.
            self._refused = files
            self._champion_problem = f"the newest champion is refused: {self._describe(error)}"
            copied = self.start_from_copy()
            result = copied if copied.outcome == "loaded" else Reload("refused", type(error).__name__)
            return self.predictor, self.provisional, result
        self._refused, self._champion_problem = None, ""
        return serving, provisional, None

    def _with_newest_intervals(self, serving: Predictor) -> tuple[Predictor, tuple[object, ...], Reload | None]:
        """The newest calibration of a predictor's version.

        Returns:
            The predictor with the newest calibration, or with the last good one if that cannot be taken.
            The stamps of the calibrations and of their verdicts.
            The result of the look if it was refused, else None.

        Raises:
            StoreError: the store cannot be read.
        """
        # By contents: a month may have been calibrated again, and an earlier one may be the newest that is sound.
        tables = sorted(self.store.blobs.stamps("interval_calibration/").items())
        # And their verdicts: one that is red or unchecked waits until it is not.
        checked = sorted(self.store.blobs.stamps("checks/interval_calibration/").items())
        stamps = (serving.version, *tables, *checked)
        if stamps == self._intervals_seen:
            return serving, stamps, None
        try:
            calibration = newest_intervals(self.store, serving.version)
            if calibration is None and serving.calibration is not None:
                self._intervals_problem = "no interval_calibration is sound any more, the last good one serves"
                return serving, stamps, None
            changed = serving.with_intervals(calibration)
        except Exception as error:
            if _may_pass(error):
                raise
            log.warning("the intervals are not taken: %s", error)
            changed = serving if serving.calibration is not None else self._with_kept_intervals(serving)
            instead = "the model's own from when it was made serve"
            if changed.calibration is not None:
                instead = "the last good ones serve"
            self._intervals_problem = f"the newest intervals are not taken, {instead}: {self._describe(error)}"
            return changed, stamps, Reload("refused", type(error).__name__)
        self._intervals_problem = ""
        return changed, stamps, None

    def _with_kept_intervals(self, serving: Predictor) -> Predictor:
        """A predictor with the copy of the last good calibration; as it is if there is none that is whole."""
        try:
            return serving.with_intervals(newest_intervals(self.kept, serving.version)) if self.kept else serving
        except Exception as error:
            log.warning("the copy of the last good intervals cannot be read: %s", error)
            return serving

    def _explain(self, problem: str = "") -> None:
        """Set `reason`: why the newest of everything does not serve, and what does.

        Args:
            problem: why nothing could be looked for; empty for the problems that the looks met.
        """
        with self._swapping:
            serving = self.predictor
            problems = [self._champion_problem, self._intervals_problem, self._history_problem]
            reasons = [part for part in ([problem] if problem else problems) if part]
            if serving and self._from_copy:
                reasons.insert(0, "the last good champion serves from its copy")
            tables = serving.history_prices if serving and self._champion_problem and not problem else None
            if serving and tables and not self._history_problem:
                last_month = tables.history.last_month
                reasons.append(f"{serving.version} goes on with the newest price history, to {last_month}")
            self.reason = "; ".join(reasons)

    def _with_newest_history(self, serving: Predictor) -> tuple[Predictor, Reload | None]:
        """The newest history.

        Returns:
            The predictor with the newest history, or with the last good one if that cannot be taken.
            The result of the look if it was refused, else None.

        Raises:
            StoreError: the store cannot be read.
        """
        if not serving.model.uses_history:
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
            changed = serving.with_history(with_mapped_signals(read_sound_history(self.store), self._map_folder))
        except Exception as error:
            log.warning("the history is not taken: %s", error)
            last = last or self._kept_history()
            instead = "the last good one serves" if last else "prices are from the rows' own figures"
            self._history_problem = f"the newest price history is not taken, {instead}: {self._describe(error)}"
            waits = isinstance(error, UnsoundError)
            # What cannot be trusted is not read again before it, or its verdict, is another.
            self._history_seen = None if _may_pass(error) else stamps
            return serving.with_history(last), Reload("waiting" if waits else "refused", type(error).__name__)
        self._copy_history(stamps)
        self._history_seen, self._history_problem = stamps, ""
        return changed, None

    def _last_history(self) -> History | None:
        tables = self.predictor.history_prices if self.predictor else None
        return tables.history if tables else None

    def _kept_history(self) -> History | None:
        """The copy of the last good history; None if there is none that is whole."""
        try:
            if self.kept is None or history_stamps(self.kept)[0] is None:
                return None
            return with_mapped_signals(read_sound_history(self.kept), self._map_folder)
        except Exception as error:
            log.warning("the copy of the last good history cannot be read: %s", error)
            return None

    def _describe(self, error: Exception) -> str:
        """The message of an error without the address of the store."""
        message = str(error) if isinstance(error, HousingError) else type(error).__name__
        return message.replace(self.store.uri, "the store")

    def start_from_copy(self) -> Reload:
        """Serve the copy of the last good champion, if there is one and nothing serves yet."""
        if self.kept is None or self.predictor is not None:
            return Reload("unchanged")
        try:
            version, provisional = champion_pointer(self.kept)
            if version is None:
                return Reload("none")
            copied = _load(self.kept, version).with_intervals(newest_intervals(self.kept, version))
            if copied.model.uses_history:
                copied = copied.with_history(self._kept_history())
        except Exception as error:
            log.warning("the copy of the last good champion cannot be read: %s", error)
            return Reload("refused", type(error).__name__)
        with self._swapping:
            # The store may have answered meanwhile.
            if self.predictor is not None:
                return Reload("unchanged")
            self.predictor, self._from_copy, self.provisional = copied, True, provisional
            self.reason = "the store cannot be read: the last good champion serves from its copy"
        return Reload("loaded")

    def _keep(self, serving: Predictor) -> None:
        """Keep a copy of what was verified and serves, the pointer to it last."""
        if self.kept is None:
            return
        try:
            folder = f"models/{serving.version}"
            for name, data in serving.bundle.files.items():
                self.kept.blobs.write(f"{folder}/{name}", data)
            self.kept.write_json(f"{folder}/manifest.json", serving.bundle.manifest)
            if serving.calibration is not None:
                month = serving.calibrated_month(serving.calibration)
                # One that served before may be red by now.
                for key in self.kept.blobs.keys("interval_calibration/"):
                    self.kept.blobs.delete(key)
                self.kept.months("interval_calibration").write(month, serving.calibration)
                stamp = data_stamps(self.kept, "interval_calibration")[month]
                rows = serving.calibration.height
                write_verdicts(self.kept, [Verdict("interval_calibration", month, State.GREEN, stamp, rows)])
            self.kept.write_json(POINTER, pointer_to(serving.version, self.provisional))
        except Exception as error:
            log.warning("the champion that serves could not be copied: %s", error)

    def _copy_history(self, stamps: Stamps) -> None:
        """Keep a copy of a history that was verified."""
        if self.kept is None:
            return
        try:
            copy_history(self.store, self.kept, stamps)
        except Exception as error:
            log.warning("the history that serves could not be copied: %s", error)

    async def follow(self, seconds: float, patience: float, report: Callable[[Reload], None]) -> None:
        """Look at the store again and again, off the event loop, for as long as the server runs.

        Args:
            seconds: between looks.
            patience: seconds that the first look may take before the copy serves.
            report: is called with the result of each look.
        """
        looking = asyncio.create_task(asyncio.to_thread(self.look))
        if not (await asyncio.wait({looking}, timeout=patience))[0]:
            report(await asyncio.to_thread(self.start_from_copy))
        report(await looking)
        while True:
            await asyncio.sleep(seconds)
            report(await asyncio.to_thread(self.look))
