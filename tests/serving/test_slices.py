"""Large JSON in slices: cut where its elements end, whatever stands in its texts."""

import asyncio
import contextlib
import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from housing_assets.core.sample.spec import SampleSpec
from housing_assets.core.sample.writers import sample_frame
from housing_serving import slices
from housing_serving.json_rows import decode_rows
from housing_serving.rows import BadRowsError
from housing_serving.slices import NotJsonError, find_parts, members

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('ab",[]{}\\ é', max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('a",{\\', max_size=3), inner, max_size=4),
    max_leaves=12,
)
ROW = {"date": "2020-03-31", "zipcode": "02139", "city_full": 'Bo"},{"ston \\', "price": 500_000}


@given(st.lists(VALUES, max_size=8), st.sampled_from([None, 1]), st.integers(1, 20))
def test_a_list_is_cut_into_its_elements(values, indent, step):
    body = json.dumps(values, indent=indent, ensure_ascii=False).encode()
    before, slices.SLICE_BYTES = slices.SLICE_BYTES, step
    try:
        parts = find_parts(body, 100)
    finally:
        slices.SLICE_BYTES = before
    assert parts.count == len(values)
    assert [json.loads(parts.text(i, i + 1)) for i in range(parts.count)] == values
    together = [json.loads(b"[" + parts.text(a, b) + b"]") for a, b, _ in parts.slices(10)]
    assert [value for some in together for value in some] == values


@given(st.dictionaries(st.text('ab",:{}\\', max_size=6), VALUES, max_size=6))
def test_an_object_is_cut_into_its_members(value):
    found = {name: json.loads(text) for name, text in members(json.dumps(value).encode()).items()}
    assert found == value


@pytest.mark.parametrize("body", [b"", b" ", b"7", b"[", b'["]', b"[1] 2", b"[]]", b'{"a": 1', b'["\\"]'])
def test_what_has_no_end_is_not_cut(body):
    with pytest.raises(NotJsonError):
        find_parts(body, 9)


@pytest.mark.parametrize("body", [b"{1: 2}", b'{"a"}', b'{"a": 1, "a": 2}', b"[1]", b'{"a": 1,}'])
def test_what_is_no_object_has_no_members(body):
    with pytest.raises(NotJsonError):
        members(body)


def large(rows: list) -> bytes:
    body = json.dumps(rows).encode()
    assert len(body) > 4 * slices.SLICE_BYTES
    return body


@pytest.mark.parametrize("cities", [["Boston"], ["Bo}ston"], ["}, {"], ['"},{"', "\\"], ["é", "x" * 9_000]])
def test_large_bodies_have_the_rows_of_small_ones(cities):
    sent = [{**ROW, "city_full": cities[i % len(cities)], "inventory": i % 90} for i in range(4_000)]
    found = decode_rows(large(sent), 10_000)
    one_by_one = [decode_rows(json.dumps([row]).encode(), 10) for row in sent[:50]]
    assert (found.zipcodes, found.cities) == ([r["zipcode"] for r in sent], [r["city_full"] for r in sent])
    np.testing.assert_array_equal(found.numbers[:50], np.concatenate([r.numbers for r in one_by_one]))


def refused(body: bytes, most: int = 10_000) -> BadRowsError:
    with pytest.raises(BadRowsError) as found:
        decode_rows(body, most)
    return found.value


def test_in_a_large_body_all_that_is_wrong_is_listed_with_its_row():
    sent: list = [ROW] * 9_000
    sent[0], sent[4_321], sent[8_999] = {**ROW, "price": 1}, 7, {**ROW, "prise": 1, "zipcode": "x"}
    told = {(e.row, e.field) for e in refused(large(sent)).errors}
    assert told == {(0, "price"), (4_321, ""), (8_999, "prise"), (8_999, "zipcode")}
    assert len(refused(large([{**ROW, "price": 1}] * 9_000)).errors) == 50
    assert len(refused(json.dumps([{f"x{i}": 1 for i in range(90_000)}]).encode()).errors) == 1
    assert str(refused(large([ROW] * 9_000), 8_999)) == "9000 rows are more than 8999: send them in several calls"


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (large([ROW] * 5_000)[:-1], 400, "it ends within a list"),
        (large([ROW] * 5_000)[:-1] + b",]", 400, "no JSON"),
        (large([ROW] * 5_000) + b"x", 400, "something follows its end"),
        (large([ROW] * 5_000).replace(b"}, {", b"}  {", 1), 400, "no JSON"),
        (large([ROW] * 5_000).replace(b"}, {", b"},, {", 1), 400, "no JSON"),
        (large([ROW] * 5_000).replace(b'"price": 500000}', b'"price": 1, "price": 500000}', 1), 400, "is there twice"),
        (b" " * 300_000, 400, "no JSON"),
        (b"[" + b" " * 300_000 + b"]", 422, "no rows"),
        (b'"' + b"x" * 300_000 + b'"', 422, "is text: send a list of rows"),
        (b"9" * 300_000, 422, "is a number: send a list of rows"),
        (json.dumps({"x": [ROW] * 5_000}).encode(), 422, "is an object: send a list of rows"),
        (json.dumps([{**ROW, "city_full": "x" * 300_000}]).encode(), 422, "has 300,"),
    ],
)
def test_what_is_wrong_with_a_large_body_is_told(body, status, told):
    error = refused(body)
    assert (error.status, told in str(error)) == (status, True), str(error)


@pytest.mark.parametrize("body", [b"[1, 2}", b"[   }", b'{"a": 1]'])
def test_a_bracket_is_closed_by_its_own_kind(body):
    with pytest.raises(NotJsonError, match="another bracket"):
        find_parts(body, 10)


@pytest.mark.parametrize("price", [500_000, -1], ids=["valid", "invalid"])
def test_the_event_loop_has_its_turns_while_a_large_body_is_decoded(price):
    panel = sample_frame(SampleSpec(zips=100, start="2020-01", end="2020-10"))
    rows = panel.with_columns(pl.col("date").cast(pl.String)).to_dicts() * 10
    body = json.dumps([*rows, {**rows[-1], "price": price}]).encode()

    async def turns() -> int:
        decoding = asyncio.create_task(asyncio.to_thread(decoded, body))
        found = 0
        while not decoding.done():
            await asyncio.sleep(0.001)
            found += 1
        return found

    # Of some 140 slices, at each of which there may be one; there were ten when the loop had to wait for the lock.
    assert max(asyncio.run(turns()) for _ in range(3)) >= 25


def decoded(body: bytes) -> None:
    with contextlib.suppress(BadRowsError):
        decode_rows(body, 100_000)
