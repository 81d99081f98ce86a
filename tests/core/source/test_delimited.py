"""Rows that are passed over without being parsed are those that would have been dropped, whatever the text is like."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from housing_assets.core.source.content import look
from housing_assets.core.source.delimited import RawBlock, read_blocks

COLUMNS = {0: "zipcode", 1: "kind", 2: "price"}
ALL = "all residential"
PLAIN = ("02139\tAll Residential\t900000", "02139\tCondo/Co-op\t800000", "96813\tAll Residential\t700000")
TEXTS = {
    "plain": "\n".join(("zip\tkind\tprice", *PLAIN)) + "\n",
    "no newline at the end": "\n".join(("zip\tkind\tprice", *PLAIN)),
    "ends of lines of Windows": "\r\n".join(("zip\tkind\tprice", *PLAIN)) + "\r\n",
    "a blank line": "\n".join(("zip\tkind\tprice", PLAIN[0], "", *PLAIN[1:])) + "\n",
    "quoted": '"zip"\t"kind"\t"price"\n"02139"\t"ALL RESIDENTIAL"\t"1"\n"02139"\t"Townhouse"\t"2"\n',
    "a tab inside quotes": 'zip\tkind\tprice\n"02\t139"\tAll Residential\t1\n02139\tCondo/Co-op\t2\n',
    "a newline inside quotes": 'zip\tkind\tprice\n02139\t"Condo\nCo-op"\t1\n02139\tall residential\t2\n',
    "the text in a header": "zip\tall residential\tprice\n02139\tCondo/Co-op\t1\n02139\tAll residential\t2\n",
    "the text in another column": "zip\tkind\tprice\nAll Residential\tCondo/Co-op\t1\n02139\tAll Residential\t2\n",
    "no row that holds it": "zip\tkind\tprice\n02139\tCondo/Co-op\t1\n02139\tTownhouse\t2\n",
    "all rows hold it": "zip\tkind\tprice\n02139\tAll Residential\t1\n02140\tAll Residential\t2\n",
    "a newline inside quotes and as many tabs": (
        'zip\tkind\tprice\n1\tAll Residential\t"2\n3"\n4\tAll Residential\t5\n"6\t6"\t"Town\thouse"\t7\n'
    ),
    "a row of two lines that look like rows": (
        'zip\tkind\tprice\n1\tAll Residential\t"2\n3\tTownhouse\t4"\n5\tCondo\t6\n'
    ),
    "quotes around lines that look like rows": (
        'zip\tkind\tprice\n1\tTownhouse\t"2\n3\tAll Residential\t4\n5\tCondo\t6"\n'
    ),
    "carriage returns alone": "zip\tkind\tprice\n1\tAll Residential\t2\r3\tall residential\t4\n\n5\tTownhouse\t6\n",
    "a number written in another way": 'zip\tkind\tprice\n1\tAll Residential\t"$1,000"\n2\tTownhouse\t$2\n',
}


def kept_of(path: Path, holding: str) -> tuple[int, list[tuple[str, ...]]]:
    """Rows of all blocks, and those of all residential property with their position."""

    def kept(block: RawBlock) -> tuple[int, list[tuple[str, ...]]]:
        rows = block.numbered().rows()
        return block.rows, [tuple(map(str, row)) for row in rows if str(row[2]).strip().lower() == ALL]

    blocks = list(read_blocks(look(path, path.name), COLUMNS, ["price"], kept, holding=holding))
    return sum(rows for rows, _ in blocks), [row for _, rows in blocks for row in rows]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_rows_passed_over_are_those_that_would_be_dropped(tmp_path, text):
    (path := tmp_path / "t.tsv").write_text(text, newline="")
    assert kept_of(path, ALL) == kept_of(path, "")


VALUES = ["", "1", "All Residential", "ALL residential ", "Condo", '"a\tb"', '"All Residential"', '"a\nb"']


@given(st.data(), st.booleans(), st.sampled_from(["\n", "\r\n"]))
def test_rows_passed_over_of_any_text(tmp_path_factory, data, newlines_in_values, newline):
    value = st.sampled_from(VALUES if newlines_in_values else VALUES[:-1])
    rows = data.draw(st.lists(st.tuples(st.just("1"), value, value), min_size=1))
    path = tmp_path_factory.mktemp("any") / "t.tsv"
    path.write_text(newline.join("\t".join(row) for row in (("zip", "kind", "price"), *rows)), newline="")
    (count, kept), (all_count, all_kept) = kept_of(path, ALL), kept_of(path, "")
    assert [row[1:] for row in kept] == [row[1:] for row in all_kept]
    if not newlines_in_values:
        assert (count, kept) == (all_count, all_kept)


def test_only_rows_that_hold_the_text_are_parsed(tmp_path):
    (path := tmp_path / "t.tsv").write_text(TEXTS["plain"])
    (block,) = read_blocks(look(path, path.name), COLUMNS, ["price"], lambda block: block, holding=ALL)
    assert block.rows == 3
    assert block.numbered().rows() == [(0, "02139", "All Residential", 900000.0), (2, "96813", "All Residential", 7e5)]


@pytest.mark.parametrize(
    "rows",
    [
        ["02139\tCondo/Co-op"],
        ["02139\tAll Residential"],
        ["1\tTownhouse\t2\t3"],
        ["1\tTownhouse\t2\t3", "1\tTownhouse"],
        ['"1\t2"\tTownhouse\t2', "1\tTownhouse"],
        ["1\rTownhouse\t2\t3"],
    ],
)
def test_a_row_of_another_width_is_an_error_though_it_does_not_count(tmp_path, rows):
    (path := tmp_path / "t.tsv").write_text("\n".join(("zip\tkind\tprice", PLAIN[0], *rows)), newline="")
    with pytest.raises(pa.ArrowInvalid):
        kept_of(path, ALL)
