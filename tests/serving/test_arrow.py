"""Arrow streams: the same numbers as JSON, and nothing a stream declares is believed before it is looked at."""

import io
import struct
from decimal import Decimal

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from platform_fixtures import HELD

from housing_assets.core.panel.schema import COLUMN_NAMES
from housing_assets.store.pointers import champion_version
from housing_serving.arrow import MOST_TEXT

KIND = "application/vnd.apache.arrow.stream"
DAY = pa.array(["2020-03-31"]).cast(pa.date32())


def stream(table: pa.Table, **options) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def one_row(**columns) -> pa.Table:
    return pa.table({"date": DAY, "zipcode": ["02139"], **columns})


def post(client, body: bytes, **headers):
    return client.post("/predict", content=body, headers={"content-type": KIND, **headers})


@pytest.fixture(scope="module")
def month(made) -> pl.DataFrame:
    return made.read("raw_splits", HELD[-1]).select(COLUMN_NAMES).unique("zipcode", maintain_order=True)


def test_an_arrow_body_gets_the_numbers_of_a_json_body(client, made, month):
    rows = month.with_columns(pl.col("date").cast(pl.String)).to_dicts()
    expected = client.post("/predict", json=rows).json()
    answer = post(client, stream(month.to_arrow(compat_level=pl.CompatLevel.oldest())))
    assert (answer.status_code, answer.headers["content-type"]) == (200, KIND)
    found = pa.ipc.open_stream(answer.content).read_all()
    assert found.schema.metadata == {b"model_version": champion_version(made.store).encode()}
    np.testing.assert_allclose(found["predicted_price"].to_numpy(), expected["predictions"], rtol=1e-4)
    ends = np.stack([found["predicted_low"].to_numpy(), found["predicted_high"].to_numpy()], axis=1)
    np.testing.assert_allclose(ends, expected["intervals"], rtol=1e-4)
    assert found["actual_price"].to_pylist() == expected["actuals"]
    assert found["warning"].null_count == month.height


def test_the_answer_is_of_the_type_that_is_accepted(client):
    as_json = post(client, stream(one_row()), accept="application/json").json()
    as_arrow = client.post("/predict", json=[{"date": "2020-03-31", "zipcode": "02139"}], headers={"accept": KIND})
    found = pa.ipc.open_stream(as_arrow.content).read_all()
    assert found["predicted_price"].to_pylist() == as_json["predictions"]
    assert found["warning"].to_pylist() == ["; ".join(w["message"] for w in as_json["warnings"])]


def test_columns_may_be_of_any_type_that_holds_them(client):
    expected = post(client, stream(one_row(inventory=[40.0], city_full=["Boston"])), accept="application/json").json()
    as_polars, as_text = io.BytesIO(), pa.table({"date": ["2020-03-31"], "zipcode": ["02139"]})
    frame = pl.DataFrame({"date": ["2020-03-31"], "zipcode": ["02139"], "inventory": [40], "city_full": ["Boston"]})
    frame.with_columns(pl.col("date").str.to_date(), pl.col("city_full").cast(pl.Categorical)).write_ipc_stream(
        as_polars
    )
    kinds = [as_polars.getvalue()]
    for inventory in (
        pa.array([40], pa.int8()),
        pa.array([40], pa.float32()),
        pa.array([Decimal(40)]),
    ):
        for city in (pa.array(["Boston"], pa.large_string()), pa.array(["Boston"]).dictionary_encode()):
            kinds.append(stream(as_text.append_column("inventory", inventory).append_column("city_full", city)))
    stamped = one_row(inventory=[40], city_full=["Boston"])
    kinds.append(stream(stamped.set_column(0, "date", DAY.cast(pa.timestamp("ns")))))
    for body in kinds:
        assert post(client, body, accept="application/json").json() == expected


def huge_batch(rows: int) -> bytes:
    """A stream whose one batch says it has so many rows of nulls, which take no room."""
    table = pa.table({"date": pa.nulls(7, pa.null()), "zipcode": pa.nulls(7, pa.null())})
    body = bytearray(stream(table))
    seven = struct.pack("<q", 7)
    at, changed = body.find(seven), 0
    while at >= 0:
        body[at : at + 8] = struct.pack("<q", rows)
        at, changed = body.find(seven, at + 8), changed + 1
    assert changed
    return bytes(body)


def parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(one_row(), sink)
    return sink.getvalue()


GOOD = stream(one_row(inventory=[40]))
UNREADABLE = {
    "empty": b"", "text": b"[]", "parquet": parquet(), "truncated in the schema": GOOD[:90],
    "truncated in the batch": GOOD[: len(GOOD) - 40], "zeros": b"\0" * 400, "ones": b"\xff" * 400,
}  # fmt: skip


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_no_arrow_stream_is_told(client, body):
    answer = post(client, body)
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("at", range(0, len(GOOD), 3))
def test_a_flipped_byte_is_never_a_failure(client, at):
    body = bytearray(GOOD)
    body[at] ^= 0xFF
    assert post(client, bytes(body)).status_code in (200, 400, 422)


def text_of(length: int) -> pa.Array:
    return pa.array(["x" * length])


WRONG = {
    "a billion rows": (huge_batch(10**9), "", "1000000000 rows are more than 10000"),
    "no rows": (stream(one_row().slice(0, 0)), "", "no rows"),
    "compressed": (stream(one_row(), compression="zstd"), "", "compressed"),
    "no zipcode": (stream(pa.table({"date": DAY})), "zipcode", "is missing: it is required"),
    "a misspelled column": (stream(one_row(invntory=[1])), "invntory", "did you mean 'inventory'?"),
    "a column twice": (
        stream(pa.Table.from_arrays([DAY, pa.array(["02139"]), pa.array([1]), pa.array([1])],
                                    ["date", "zipcode", "bus", "bus"])), "bus", "is there twice"),
    "text for a number": (stream(one_row(bus=["1"])), "bus", "is String: send numbers"),
    "a boolean": (stream(one_row(bus=[True])), "bus", "is Boolean: send numbers"),
    "a list": (stream(one_row(bus=[[1]])), "bus", "send numbers"),
    "NaN": (stream(one_row(bus=[float("nan")])), "bus", "is NaN"),
    "infinity": (stream(one_row(bus=[float("inf")])), "bus", "inf is outside 0 to 100000"),
    "a price of cents": (stream(one_row(price=[12])), "price", "12 is outside 0 for a gap, or 1000 to 1e+09"),
    "a null zipcode": (stream(pa.table({"date": DAY, "zipcode": pa.array([None], pa.string())})), "zipcode", "is null"),
    "a zip as number": (stream(pa.table({"date": DAY, "zipcode": [2139]})), "zipcode", "is Int64: send text"),
    "a zip of letters": (stream(pa.table({"date": DAY, "zipcode": ["ABCDE"]})), "zipcode", "'ABCDE' is no zip code"),
    "an impossible date": (stream(pa.table({"date": ["2023-02-30"], "zipcode": ["02139"]})), "date", "date32"),
    "a number for a date": (stream(pa.table({"date": [7], "zipcode": ["02139"]})), "date", "is Int64"),
    "a long text": (stream(one_row(city_full=text_of(MOST_TEXT + 1))), "city_full", "more than 200 bytes"),
    "a long text in a dictionary": (
        stream(one_row(city_full=text_of(MOST_TEXT + 1).dictionary_encode())), "city_full", "more than 200 bytes"),
    "a long text in a view": (
        stream(one_row(city_full=text_of(MOST_TEXT + 1).cast(pa.string_view()))), "city_full", "more than 200 bytes"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "field", "told"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named(client, body, field, told):
    answer = post(client, body)
    assert answer.status_code == 422, answer.text
    assert any(e["field"] == field and told in e["message"] for e in answer.json()["errors"]), answer.json()


def test_rows_that_are_wrong_are_named(client):
    table = pa.table({"date": [*DAY.to_pylist()] * 3, "zipcode": ["02139", "x", None], "bus": [-1, 1, 1]})
    assert {(e["row"], e["field"]) for e in post(client, stream(table)).json()["errors"]} == {
        (0, "bus"),
        (1, "zipcode"),
        (2, "zipcode"),
    }
