"""Vintages: what was published is kept as it was, whole or not at all."""

import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from housing_assets.core.errors import DamagedError, StoreError
from housing_assets.core.months import add_months, month_end
from housing_assets.store.layout import Store
from housing_assets.store.vintages import (
    Origin,
    PublishedFile,
    Vintage,
    available_months,
    iterate,
    list_vintages,
    newest,
    newest_sound,
    paired_months,
    publish,
    read,
    sources,
    verify,
)

NOON = datetime(2024, 3, 15, 12, tzinfo=UTC)


def panel(zips: int = 3, months: int = 4, factor: float = 1.0) -> pl.DataFrame:
    """Prices of some zips from 2023-01, by zip, as a wide file is read."""
    rows = [
        {
            "date": month_end(add_months("2023-01", month)),
            "zipcode": f"{place:05d}",
            "price": 100_000.0 * (place + 1) * factor + month if place + month else None,
            "city_full": "Urban Honolulu" if place else None,
        }
        for place in range(zips)
        for month in range(months)
    ]
    schema = {"date": pl.Date, "zipcode": pl.String, "price": pl.Float64, "city_full": pl.String}
    return pl.DataFrame(rows, schema=schema)


def origin(**changes) -> Origin:
    files = [PublishedFile("zhvi.csv", 12, "ab" * 32, '"1"', "Fri, 15 Mar 2024 09:00:00 GMT")]
    told = {"publisher": "Zillow Research", "address": "https://example.org/zhvi.csv?token=secret", "files": files}
    return Origin(**{**told, "fetched_at": NOON, "notes": [("3 zips of no metro", 3)], **changes})


def keep(store: Store, frame: pl.DataFrame, now: datetime = NOON, **changes) -> Vintage:
    return publish(store, "zillow", [frame], lambda: origin(fetched_at=now, **changes), now=now)


def flip(store: Store, key: str) -> None:
    data = bytearray(store.blobs.read(key))
    data[len(data) // 2] ^= 1
    store.blobs.write(key, bytes(data))


def test_rows_come_back_by_month_and_zip_with_what_is_told_of_them(store: Store):
    frame = panel()
    vintage = keep(store, frame, attribution="Data: Zillow", rolling=True)

    assert vintage == newest(store, "zillow") == list_vintages(store, "zillow")[0]
    assert (vintage.time, vintage.first_month, vintage.last_month) == ("2024-03-15T12-00-00Z", "2023-01", "2023-04")
    assert (vintage.rows, vintage.zips, vintage.rolling) == (12, 3, True)
    assert vintage.notes == (("3 zips of no metro", 3),)
    assert vintage.files[0].etag == '"1"'
    assert "secret" not in store.blobs.read(f"{vintage.key}/vintage.json").decode()
    assert_frame_equal(read(store, vintage), frame.sort("date", "zipcode"))
    assert available_months(store, vintage) == {f"2023-0{n}": 3 for n in (1, 2, 3, 4)}
    assert sources(store) == ["zillow"]
    verify(store, vintage)


def test_months_and_columns_are_read_alone(store: Store):
    vintage = keep(store, panel())
    some = read(store, vintage, ["2023-03", "2030-01"], ["price", "zipcode"])
    assert some.columns == ["price", "zipcode"]
    assert some["price"].to_list() == [100_002.0, 200_002.0, 300_002.0]
    assert read(store, vintage, []).schema == panel().schema
    assert [month for month, _ in iterate(store, vintage, ["2023-04", "2023-02"])] == ["2023-02", "2023-04"]
    with pytest.raises(DamagedError, match="no column rent"):
        read(store, vintage, columns=["rent"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 60), max_size=4), order=st.randoms(use_true_random=False))
def test_neither_the_order_of_rows_nor_how_they_are_cut_changes_a_vintage(tmp_path, cuts, order):
    store = Store.open(str(tmp_path))
    frame = panel(zips=5, months=12)
    vintage = keep(store, frame)
    rows = list(range(frame.height))
    order.shuffle(rows)
    edges = [0, *sorted(cuts), frame.height]
    pieces = [frame[rows][a:b] for a, b in pairwise(edges)]
    assert publish(store, "zillow", pieces, origin, now=NOON + timedelta(days=1)) == vintage
    assert len(list_vintages(store, "zillow")) == 1


def test_a_changed_value_a_null_and_a_renamed_column_are_other_rows(store: Store):
    frames = [
        panel(),
        panel(factor=1.001),
        panel().with_columns(pl.when(pl.col("zipcode") != "00002").then(pl.col("price"))),
        panel().rename({"price": "median_sale_price"}),
        panel().with_columns(city_full=pl.lit("")),
    ]
    for day, frame in enumerate(frames):
        keep(store, frame, NOON + timedelta(days=day))
    assert len({v.rows_sha256 for v in list_vintages(store, "zillow")}) == len(frames)


def test_months_of_two_vintages_are_given_side_by_side(store: Store):
    """A month with the same digest in both has one frame; without digests, as in early vintages, it has two alike."""
    first = keep(store, panel(months=3))
    february = pl.col("date") == month_end("2023-02")
    revised = panel().with_columns(price=pl.when(february).then(pl.col("price") * 2).otherwise("price"))
    second = keep(store, revised.filter(pl.col("date") > month_end("2023-01")), NOON + timedelta(days=1))
    pairs = {month: (old, new) for month, old, new in paired_months(store, first, second, ["zipcode", "price"])}
    assert list(pairs) == ["2023-01", "2023-02", "2023-03", "2023-04"]
    assert pairs["2023-01"][1] is None
    assert pairs["2023-03"][0] is pairs["2023-03"][1]
    assert pairs["2023-04"][0] is None
    without = paired_months(store, replace(first, digests={}), second, ["zipcode", "price"])
    for month, old, new in without:
        for had, has in zip(pairs[month], (old, new), strict=True):
            assert (had is None) == (has is None)
            if had is not None:
                assert_frame_equal(had, has)
    old, new = pairs["2023-02"]
    assert (new["price"] / old["price"]).drop_nulls().to_list() == [2.0, 2.0, 2.0]


def test_as_of_gives_what_was_known_on_that_day(store: Store):
    april = keep(store, panel(factor=2.0), datetime(2024, 4, 20, tzinfo=UTC))
    # An older file that is added later was known when its publisher wrote it.
    march = keep(store, panel(), datetime(2024, 5, 1, tzinfo=UTC), published_at=datetime(2024, 3, 16, tzinfo=UTC))

    assert list_vintages(store, "zillow") == [march, april]
    assert newest(store, "zillow") == april
    assert newest(store, "zillow", date(2024, 4, 19)) == march
    assert newest(store, "zillow", date(2024, 3, 16)) == march
    assert newest(store, "zillow", date(2024, 3, 15)) is None
    assert newest_sound(store, "zillow", date(2024, 4, 20)).vintage == april
    assert newest_sound(store, "zillow", date(2024, 4, 19)).vintage == march
    assert newest_sound(store, "zillow", date(2024, 3, 16)).vintage == march
    with pytest.raises(StoreError, match=r"HOUSING_AS_OF=2024-03-15.*Set HOUSING_AS_OF to 2024-03-16"):
        newest_sound(store, "zillow", date(2024, 3, 15))
    with pytest.raises(StoreError, match="no vintage of redfin: run sources_job"):
        newest_sound(store, "redfin")


def test_the_newest_is_looked_for_between_two_times(store: Store):
    first, second, third = (keep(store, panel(factor=1 + n / 100), NOON + timedelta(days=n)) for n in range(3))
    assert newest_sound(store, "zillow", until=second.time).vintage == second
    assert newest_sound(store, "zillow", until="gone").vintage == third
    flip(store, f"{second.key}/data.parquet")
    assert newest_sound(store, "zillow", until=second.time).vintage == first
    with pytest.raises(StoreError, match="no sound vintage of zillow"):
        newest_sound(store, "zillow", since=second.time, until=second.time)


def test_a_damaged_vintage_is_named_and_the_one_before_it_is_used(store: Store):
    first, second, third = (keep(store, panel(factor=1 + n / 100), NOON + timedelta(days=n)) for n in range(3))
    assert newest_sound(store, "zillow").passed_over == ()
    flip(store, f"{third.key}/data.parquet")
    flip(store, f"{second.key}/vintage.json")

    sound = newest_sound(store, "zillow")
    assert sound.vintage == first
    assert any(second.time in told for told in sound.passed_over)
    assert any(third.time in told and "is damaged" in told for told in sound.passed_over)
    with pytest.raises(DamagedError, match=third.time):
        verify(store, third)

    # The same rows again replace the damaged one.
    again = keep(store, panel(factor=1.02), NOON + timedelta(days=5))
    assert again.time != third.time
    assert newest_sound(store, "zillow").vintage == again

    store.blobs.delete(f"{again.key}/data.parquet")
    store.blobs.delete(f"{first.key}/data.parquet")
    with pytest.raises(StoreError, match="no sound vintage of zillow"):
        newest_sound(store, "zillow")
    with pytest.raises(DamagedError, match="lacks data.parquet"):
        read(store, first)


def test_a_refused_vintage_can_be_looked_at_and_leaves_nothing(store: Store):
    before = keep(store, panel())

    def refuse(candidate: Vintage) -> None:
        assert read(store, candidate, ["2023-02"])["price"].to_list() == [1e8 + 1, 2e8 + 1, 3e8 + 1]
        assert newest(store, "zillow") == before
        raise StoreError("all prices times 1,000")

    with pytest.raises(StoreError, match="times 1,000"):
        publish(store, "zillow", [panel(factor=1_000)], origin, refuse, NOON + timedelta(days=1))
    assert list_vintages(store, "zillow") == [before]
    assert all(before.time in key for key in store.blobs.keys("vintages/"))


def test_two_publications_at_once_do_not_mix(store: Store):
    kept: list[Vintage] = []
    start = threading.Barrier(4)

    def work(factor: float) -> None:
        start.wait()
        kept.append(keep(store, panel(factor=factor)))

    threads = [threading.Thread(target=work, args=(1 + n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(list_vintages(store, "zillow"), key=lambda v: v.time) == sorted(kept, key=lambda v: v.time)
    assert len({v.time for v in kept}) == 4
    for vintage in kept:
        verify(store, vintage)


def test_what_a_killed_publication_left_is_never_listed_and_goes_in_time(store: Store):
    long_ago, lately = "2020-01-01T00-00-00Z", "2024-03-15T11-55-00Z"
    for time in (long_ago, lately):
        store.blobs.write(f"vintages/zillow/{time}/claim", b"")
        store.blobs.write(f"vintages/zillow/{time}/data.parquet", b"half")
    assert list_vintages(store, "zillow") == []
    assert sources(store) == []
    vintage = keep(store, panel())
    assert list_vintages(store, "zillow") == [vintage]
    assert not store.blobs.keys(f"vintages/zillow/{long_ago}")
    assert store.blobs.keys(f"vintages/zillow/{lately}")


def test_a_full_disk_keeps_the_vintage_before_it(store: Store, monkeypatch):
    before = keep(store, panel())

    def no_room(*_):
        raise StoreError("no space left on device")

    monkeypatch.setattr(type(store.blobs), "writing", no_room)
    with pytest.raises(StoreError, match="no space"):
        keep(store, panel(factor=2), NOON + timedelta(days=1))
    assert list_vintages(store, "zillow") == [before]


def test_what_is_no_vintage_is_refused(store: Store):
    with pytest.raises(StoreError, match="no rows"):
        keep(store, panel().clear())
    with pytest.raises(StoreError, match="no rows"):
        publish(store, "zillow", [], origin)
    with pytest.raises(StoreError, match="1 rows of zillow have no zipcode"):
        keep(store, panel(1, 1).with_columns(zipcode=pl.lit(None, pl.String)))
    with pytest.raises(StoreError, match="same columns.*city_full"):
        publish(store, "zillow", [panel(), panel().drop("city_full")], origin)
    with pytest.raises(StoreError, match="lower case"):
        publish(store, "../zillow", [panel()], origin)
    assert store.blobs.keys("") == []
