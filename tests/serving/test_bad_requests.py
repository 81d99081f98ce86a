"""Bad requests: the right status at once, every row and field named, never a 500."""

import json
import re

import pytest

GOOD = {"date": "2020-03-31", "zipcode": "02139", "city_full": "Boston", "price": 500_000}


def post(client, body: bytes | str, kind: str = "application/json", path: str = "/predict", **headers):
    return client.post(path, content=body, headers={"content-type": kind, **headers})


def errors(answer) -> dict[tuple[int, str], str]:
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == answer.status_code
    return {(e["row"], e["field"]): e["message"] for e in told["errors"]}


NOT_JSON = {
    "empty": b"", "spaces": b"  ", "half": b'[{"date": ', "trailing": b"[] []", "a byte order mark": b"\xef\xbb\xbf[]",
    "invalid UTF-8": b'[{"date": "\xff"}]', "a lone surrogate": b'[{"\\ud800": 1}]', "NaN": b'[{"price": NaN}]',
    "Infinity": b'[{"price": Infinity}]', "1e400": b'[{"price": 1e400}]', "nested": b"[" * 100_000,
    "nested objects": b'{"a":' * 100_000, "the same key twice": b'[{"date": "2020-03-31", "date": "2020-03-31"}]',
    "a null and a value": b'[{"date": "2020-03-31", "zipcode": "02139", "price": null, "price" : 5000}]',
    "an escaped key twice": b'[{"date": "2020-03-31", "zipcode": "02139", "bus": 1, "b\\u0075s": 2}]',
    "single quotes": b"[{'date': 1}]",
}  # fmt: skip


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
def test_what_is_no_json_is_a_400(client, body):
    answer = post(client, body)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_integer_of_5000_digits_is_refused(client):
    answer = post(client, b'[{"date": "2020-03-31", "zipcode": "02139", "price": ' + b"9" * 5_000 + b"}]")
    assert answer.status_code in (400, 422)


FIELDS = {
    "no date": ({"date": None}, "date", "is null: it is required"),
    "an impossible date": ({"date": "2023-02-30"}, "date", "'2023-02-30' is no date: write YYYY-MM-DD"),
    "a zip of letters": ({"zipcode": "ABCDE"}, "zipcode", "'ABCDE' is no zip code"),
    "a zip as number": ({"zipcode": 2139}, "zipcode", "2139 is no zip code: write 5 digits as a string"),
    "a negative count": ({"homes_sold": -1}, "homes_sold", "-1 is outside 0 to 100000"),
    "beyond float32": ({"median_list_price": 1e39}, "median_list_price", "1e+39 is outside 0 to 1e+09"),
    "beyond float64": ({"inventory": 10**400}, "inventory", "more than 308 digits is outside 0 to 1e+06"),
    "a share above one": ({"sold_above_list": 1.5}, "sold_above_list", "1.5 is outside 0 to 1"),
    "text": ({"price": "NaN"}, "price", "is text: Expected `float | null`, got `str`"),
    "a boolean": ({"price": True}, "price", "is true or false"),
    "a list": ({"inventory": [1]}, "inventory", "is a list"),
    "an object": ({"inventory": {}}, "inventory", "is an object"),
    "a number for text": ({"city_full": 7}, "city_full", "is a number"),
    "a misspelled column": ({"median_lst_price": 1}, "median_lst_price", "did you mean 'median_list_price'?"),
    "an unknown column": ({"foo": 1}, "foo", "is no column"),
    "a price of cents": ({"price": 12}, "price", "12 is outside 0 for a gap, or 1000 to 1e+09"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "field", "told"), FIELDS.values(), ids=FIELDS)
@pytest.mark.parametrize("path", ["/predict", "/explain"])
def test_a_wrong_field_is_named_with_its_row(client, change, field, told, path):
    answer = post(client, json.dumps([GOOD, {**GOOD, **change}]), path=path)
    assert answer.status_code == 422
    assert told in errors(answer)[1, field]


def test_all_that_is_wrong_is_listed(client):
    answer = post(client, json.dumps([{"zipcode": "1", "prise": 1}, GOOD, 7, {**GOOD, "date": 3}]))
    assert answer.status_code == 422
    assert set(errors(answer)) == {(0, "date"), (0, "zipcode"), (0, "prise"), (2, ""), (3, "date")}


@pytest.mark.parametrize("body", ["{}", "[]", "7", '"text"', "null", "[[]]"])
def test_what_is_no_list_of_rows_is_a_422(client, body):
    assert post(client, body).status_code == 422


def test_rows_up_to_the_limit(made):
    from serving_fixtures import open_client, wait_ready

    with open_client(made.folder, max_rows=3) as client:
        wait_ready(client)
        assert [post(client, json.dumps([GOOD] * n)).status_code for n in (0, 1, 3, 4)] == [422, 200, 200, 422]
        told = post(client, json.dumps([GOOD] * 4)).json()["detail"]
        assert told == "4 rows are more than 3: send them in several calls"


def test_a_body_beyond_the_limit_is_not_read(made):
    from serving_fixtures import open_client, wait_ready

    with open_client(made.folder, max_body_mb=0.001) as client:
        wait_ready(client)
        assert post(client, json.dumps([GOOD] * 2)).status_code == 200
        answer = post(client, b" " * 1_001)
        assert (answer.status_code, answer.json()["title"]) == (413, "The body is too large")
        chunked = client.post("/predict", content=iter([b" " * 600] * 3), headers={"content-type": "application/json"})
        assert chunked.status_code == 413


@pytest.mark.parametrize(
    ("kind", "headers"),
    [
        ("text/csv", {}),
        ("", {}),
        ("application/x-www-form-urlencoded", {}),
        ("application/json", {"content-encoding": "gzip"}),
    ],
)
def test_what_is_not_plain_json_is_a_415(client, kind, headers):
    answer = post(client, json.dumps([GOOD]), kind, **headers)
    assert answer.status_code == 415
    assert answer.headers["content-type"] == "application/problem+json"


def test_json_with_a_charset_is_json(client):
    assert post(client, json.dumps([GOOD]), "application/json; charset=utf-8").status_code == 200


def test_another_method_is_a_405_that_says_which(client):
    answer = client.get("/predict")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert client.get("/nothing").status_code == 404


def test_every_answer_has_a_request_id(client):
    assert client.get("/health", headers={"x-request-id": "abc123"}).headers["x-request-id"] == "abc123"
    made = [client.get(path).headers["x-request-id"] for path in ("/health", "/nothing", "/health")]
    assert len(set(made)) == 3


@pytest.mark.parametrize(
    "ident",
    ["2f1c1d4e-8f0a-4c3b-9d53-0d6f3a1b2c3d", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "Root=1-67891233-abcdef012345678912345678",
     "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "web/host.example:7@2", "x" * 128],
)  # fmt: skip
def test_a_request_id_comes_back_as_it_was_sent(client, ident):
    assert client.get("/health", headers={"x-request-id": ident}).headers["x-request-id"] == ident


@pytest.mark.parametrize("ident", ["", "a b", "a\tb", "x" * 129, '"id"', "<b>", "a\\b", "é".encode()])
def test_what_a_log_could_misread_is_replaced(client, ident):
    assert re.fullmatch("[0-9a-f]{32}", client.get("/health", headers={"x-request-id": ident}).headers["x-request-id"])
