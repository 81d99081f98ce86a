"""What a look at the store takes, tells and reads: one thing that is refused keeps nothing else back."""

import shutil
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from serving_fixtures import CountedBlobs, open_client, publish_history, rows_of, vouch, wait_for, wait_ready

from housing_assets.core.months import month_end
from housing_assets.store.blobs import FolderBlobs
from housing_assets.store.bundles import list_versions
from housing_assets.store.histories import ASSET
from housing_assets.store.layout import Store
from housing_assets.store.pointers import POINTER, champion_version, point_to
from housing_assets.store.verdicts import State, Verdict, data_stamps, write_verdicts
from housing_serving.model_holder import ModelHolder

NEWEST = "2020-06"
"""The last month of the history, and of the calibrations."""
INTERVALS = "interval_calibration"


@pytest.fixture
def folder(grown, tmp_path) -> Path:
    """A copy of what serving reads, to change."""
    for name in ("models", INTERVALS, f"checks/{INTERVALS}", "monthly_predictions"):
        shutil.copytree(grown.folder / name, tmp_path / "store" / name)
    publish_history(Store.open(str(tmp_path / "store")), grown.store.read_table(ASSET))
    return tmp_path / "store"


@pytest.fixture
def row(grown) -> dict:
    """A raw row that is predicted from its history."""
    raw = grown.read("raw_splits", NEWEST)
    return rows_of(raw.filter(pl.col("date") == month_end(NEWEST)).sort("zipcode"))[0]


def other_version(store: Store) -> str:
    """Of a price model that is not the holder."""
    found = (v for v in list_versions(store) if not v.startswith("forecast"))
    return next(v for v in found if v != champion_version(store))


def point_to_damaged(folder: Path) -> str:
    """Make a champion of a bundle that is damaged; gives its version."""
    store = Store.open(str(folder))
    version = other_version(store)
    path = folder / "models" / version / "model.ubj"
    path.write_bytes(path.read_bytes()[:-9])
    store.write_json(POINTER, {"version": version})
    return version


def damage_intervals(folder: Path) -> None:
    """Cut the newest calibration short, as it was when it was checked."""
    newest = max((folder / INTERVALS).iterdir())
    newest.write_bytes(newest.read_bytes()[:-9])
    vouch(Store.open(str(folder)), INTERVALS)


def calibration_of(holder: ModelHolder) -> pl.DataFrame:
    """The calibration that serves."""
    assert holder.predictor is not None
    assert holder.predictor.calibration is not None
    return holder.predictor.calibration


def leave_unsound(folder: Path, what: str) -> None:
    """Make the newest calibration one that its checks do not vouch for."""
    store, newest = Store.open(str(folder)), max((folder / INTERVALS).iterdir())
    if what == "red":
        stamp = data_stamps(store, INTERVALS)[NEWEST]
        write_verdicts(store, [Verdict(INTERVALS, NEWEST, State.RED, stamp, 1)])
    elif what == "never checked":
        (folder / "checks" / INTERVALS / f"{NEWEST}.json").unlink()
    elif what == "damaged after its check":
        newest.write_bytes(newest.read_bytes()[:-9])
    else:
        store.months(INTERVALS).write(NEWEST, wider(store))


def wider(store: Store) -> pl.DataFrame:
    """The newest calibration as it might be calibrated again."""
    return store.months(INTERVALS).read(NEWEST).with_columns(pl.col("log_low") * 2)


def looks(holder: ModelHolder, blobs: CountedBlobs, times: int = 3) -> Counter:
    """What so many looks read and list, by call and key."""
    blobs.calls.clear()
    for _ in range(times):
        assert holder.look().outcome == "unchanged"
    return Counter(blobs.calls)


# ---------------------------------------------------------------- one is refused, the others are taken


def test_while_the_newest_champion_is_refused_new_histories_are_taken_and_both_are_told(folder, grown, row):
    store, table = Store.open(str(folder)), grown.store.read_table(ASSET)
    before = champion_version(store)
    with open_client(folder) as client:

        def price() -> float:
            return client.post("/predict", json=[row]).json()["predictions"][0]

        def reason() -> str:
            return client.get("/health").json()["reason"]

        wait_ready(client)
        once = price()
        point_to_damaged(folder)
        wait_for(client, lambda: "the newest champion is refused" in reason(), "not refused")
        publish_history(store, table.with_columns(pl.col("price") * 2))
        wait_for(client, lambda: price() == pytest.approx(2 * once, rel=1e-6), "the history is not taken")
        assert "model.ubj" in reason()
        assert f"{before} goes on with the newest price history, to {NEWEST}" in reason()
        publish_history(store, table.with_columns(pl.col("price") * 3), State.RED)
        wait_for(client, lambda: "the newest price history is not taken" in reason(), "not told")
        assert "the newest champion is refused" in reason()
        assert "goes on with the newest" not in reason()
        assert price() == pytest.approx(2 * once, rel=1e-6)
        store.write_json(POINTER, {"version": before})
        publish_history(store, table)
        wait_for(client, lambda: reason() == "", "not well again")
        assert price() == once


def test_while_the_newest_champion_is_refused_new_intervals_of_the_one_that_serves_are_taken(folder):
    store = Store.open(str(folder))
    holder = ModelHolder(store)
    holder.look()
    point_to_damaged(folder)
    assert holder.look().outcome == "refused"
    store.months(INTERVALS).write(NEWEST, again := wider(store))
    vouch(store, INTERVALS)
    assert holder.look().outcome == "loaded"
    assert calibration_of(holder).equals(again)


def test_while_the_newest_champion_is_refused_the_reason_of_the_one_that_serves_is_told(folder, tmp_path):
    store, kept = Store.open(str(folder)), Store.open(str(tmp_path / "kept"))
    point_to(store, champion_version(store) or "", "it did not beat metro_median")
    holder = ModelHolder(store, kept)
    holder.look()
    version = point_to_damaged(folder)
    store.write_json(POINTER, {"version": version, "provisional": "of another"})
    of_copy = ModelHolder(store, kept)
    for _ in range(2):
        holder.look()
        of_copy.look()
        assert holder.provisional == of_copy.provisional == "it did not beat metro_median"


def test_a_copy_that_serves_for_a_damaged_champion_takes_new_histories(folder, grown, tmp_path):
    store, kept = Store.open(str(folder)), Store.open(str(tmp_path / "kept"))
    assert ModelHolder(store, kept).look().outcome == "loaded"
    version = champion_version(store)
    point_to_damaged(folder)
    publish_history(store, grown.store.read_table(ASSET).filter(pl.col("date") < month_end(NEWEST)))
    holder = ModelHolder(store, kept)
    for _ in range(2):
        holder.look()
        assert holder.predictor is not None
        assert holder.predictor.history_prices is not None
        assert holder.predictor.version == version
        assert holder.predictor.history_prices.history.last_month == "2020-05"
        for told in ("from its copy", "the newest champion is refused", "model.ubj", "price history, to 2020-05"):
            assert told in holder.reason
        assert "cannot be read" not in holder.reason


def test_damaged_intervals_keep_neither_a_champion_nor_a_history_back(folder, grown):
    store = Store.open(str(folder))
    damage_intervals(folder)
    holder = ModelHolder(store)
    assert holder.look().outcome == "refused"
    assert holder.predictor is not None
    assert holder.predictor.version == champion_version(store)
    assert holder.predictor.history_prices is not None
    assert "the newest intervals are not taken, the model's own" in holder.reason
    assert str(folder) not in holder.reason
    with open_client(folder) as client:
        wait_ready(client)
        version = champion_version(store)
        told = f'housing_model_info{{version="{version}"}} 1.0'
        wait_for(client, lambda: told in client.get("/metrics").text, "the model is not shown")


def test_with_damaged_intervals_it_starts_from_the_copy_of_the_last_good_ones(folder, tmp_path):
    store, kept = Store.open(str(folder)), Store.open(str(tmp_path / "kept"))
    first = ModelHolder(store, kept)
    first.look()
    damage_intervals(folder)
    holder = ModelHolder(store, kept)
    holder.look()
    assert calibration_of(holder).equals(calibration_of(first))
    assert "the newest intervals are not taken, the last good ones serve" in holder.reason


UNSOUND = ["red", "never checked", "damaged after its check", "calibrated again after its check"]


@pytest.mark.parametrize("what", UNSOUND)
@pytest.mark.parametrize("when", ["at start", "later"])
def test_intervals_that_are_not_sound_are_passed_over_for_those_of_the_month_before(folder, what, when):
    blobs = CountedBlobs(folder)
    holder = ModelHolder(Store(blobs))
    if when == "later":
        holder.look()
    leave_unsound(folder, what)
    assert holder.look().outcome == "loaded"
    months = Store.open(str(folder)).months(INTERVALS)
    assert calibration_of(holder).equals(before := months.read("2020-05"))
    assert holder.reason == ""
    assert {key for call, key in looks(holder, blobs) if call == "read"} == {POINTER}
    vouch(Store.open(str(folder)), INTERVALS)
    damaged = what == "damaged after its check"
    assert holder.look().outcome == ("refused" if damaged else "loaded")
    assert calibration_of(holder).equals(before if damaged else months.read(NEWEST))
    assert ("the newest intervals are not taken, the last good ones serve" in holder.reason) == damaged


@pytest.mark.parametrize("what", UNSOUND)
def test_where_no_intervals_are_sound_any_more_the_last_good_ones_serve(folder, what):
    for path in (folder / INTERVALS).iterdir():
        if path.stem != NEWEST:
            path.unlink()
    blobs = CountedBlobs(folder)
    holder = ModelHolder(Store(blobs))
    holder.look()
    good = calibration_of(holder)
    leave_unsound(folder, what)
    assert holder.look().outcome == "unchanged"
    assert calibration_of(holder) is good
    assert "the last good one serves" in holder.reason
    assert {key for call, key in looks(holder, blobs) if call == "read"} == {POINTER}


# ---------------------------------------------------------------- what is read


def test_a_look_that_finds_nothing_new_reads_the_pointer_and_lists_what_may_change(folder):
    blobs = CountedBlobs(folder)
    holder = ModelHolder(Store(blobs))
    holder.look()
    read = {("read", POINTER): 3, ("stamps", f"{INTERVALS}/"): 3, ("stamps", f"checks/{INTERVALS}/"): 3}
    read |= {("stamps", f"{ASSET}.parquet"): 3, ("stamps", f"checks/{ASSET}.json"): 3}
    assert looks(holder, blobs) == read


@pytest.mark.parametrize("refused", ["champion", "intervals", "history", "intervals of other columns"])
@pytest.mark.parametrize("when", ["at start", "later"])
def test_what_is_refused_is_not_read_again_until_it_changes(folder, refused, when):
    blobs = CountedBlobs(folder)
    holder = ModelHolder(Store(blobs))
    if when == "later":
        holder.look()
    if refused == "champion":
        point_to_damaged(folder)
    elif refused == "intervals":
        damage_intervals(folder)
    elif refused == "history":
        publish_history(Store.open(str(folder)), pl.DataFrame({"zipcode": ["02139"]}))
    else:
        months = Store.open(str(folder)).months(INTERVALS)
        months.write(NEWEST, months.read(NEWEST).drop("log_low"))
        vouch(Store.open(str(folder)), INTERVALS)
    assert holder.look().outcome == "refused"
    reason = holder.reason
    calls = looks(holder, blobs)
    assert {key for call, key in calls if call == "read"} == {POINTER}
    assert set(calls.values()) == {3}
    assert holder.reason == reason != ""


def test_intervals_that_are_mended_are_taken_without_the_bundle_being_read(folder):
    blobs = CountedBlobs(folder)
    holder = ModelHolder(Store(blobs))
    path = max((folder / INTERVALS).iterdir())
    whole = path.read_bytes()
    damage_intervals(folder)
    assert holder.look().outcome == "refused"
    path.write_bytes(whole)
    vouch(Store.open(str(folder)), INTERVALS)
    blobs.calls.clear()
    assert holder.look().outcome == "loaded"
    assert holder.reason == ""
    assert not [key for call, key in blobs.calls if call == "read" and key.startswith("models/") and key != POINTER]


# ---------------------------------------------------------------- at once


class Paused(ModelHolder):
    """Lets a look go on between the check of whether a copy is wanted and its taking."""

    copying: threading.Thread | None = None
    asked = 0

    def __init__(self, store: Store, kept: Store) -> None:
        super().__init__(store, kept)
        self.looked = threading.Event()

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name == "predictor" and threading.current_thread() is self.copying:
            self.asked += 1
            if self.asked == 2:
                threading.Thread(target=self.look_now).start()
                self.looked.wait(1)
        return found

    def look_now(self) -> None:
        self.look()
        self.looked.set()


def test_a_copy_never_takes_the_place_of_a_champion_that_the_store_gave_meanwhile(folder, tmp_path):
    store, kept = Store.open(str(folder)), Store.open(str(tmp_path / "kept"))
    ModelHolder(store, kept).look()
    point_to(store, fresh := other_version(store))
    holder = Paused(store, kept)
    holder.copying = threading.Thread(target=holder.start_from_copy)
    holder.copying.start()
    holder.copying.join()
    assert holder.looked.wait(60)
    assert holder.predictor is not None
    assert holder.predictor.version == fresh
    assert "copy" not in holder.reason


def test_a_slow_look_that_ends_after_a_later_one_brings_nothing_old_back(folder, tmp_path):
    reading, go_on = threading.Event(), threading.Event()

    class SlowBlobs(FolderBlobs):
        def read(self, key: str) -> bytes:
            if key.endswith("model.ubj") and threading.current_thread() is slow:
                reading.set()
                go_on.wait(20)
            return super().read(key)

    kept = Store.open(str(tmp_path / "kept"))
    holder = ModelHolder(Store(SlowBlobs(folder)), kept)
    slow = threading.Thread(target=holder.look)
    slow.start()
    assert reading.wait(60)
    point_to(store := Store.open(str(folder)), fresh := other_version(store))
    later = threading.Thread(target=holder.look)
    later.start()
    later.join(2)
    go_on.set()
    slow.join()
    later.join()
    assert holder.predictor is not None
    assert holder.predictor.version == fresh
    assert champion_version(kept) == fresh


# ---------------------------------------------------------------- calls about months


def test_a_call_lists_its_months_once_and_reads_a_file_once(grown, monkeypatch):
    zipcode = grown.read("monthly_forecasts", NEWEST)["zipcode"][0]
    blobs = CountedBlobs(grown.folder)
    monkeypatch.setattr(Store, "open", lambda _uri: Store(blobs))
    # The champion is looked for once.
    with open_client(grown.folder, reload_seconds=600) as client:
        wait_ready(client)
        for path, asset in ((f"/forecasts/{zipcode}", "monthly_forecasts"), ("/predictions", "monthly_predictions")):
            blobs.calls.clear()
            first, second = client.get(path), client.get(path)
            assert first.json() == second.json()
            assert first.status_code == 200
            about = Counter(call for call, key in blobs.calls if key.startswith(f"{asset}/"))
            assert about == {"stamps": 2, "read": 1}
