"""Reading delimited text block by block, unpacked ahead on one thread and parsed on others.

What belongs here: cutting a stream at row ends and parsing it. What does not: what columns mean, and which rows need no
parsing (`held_rows`).
"""

import csv
import io
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar, cast

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv

from housing_assets.core.prefetch import prefetch_map, read_ahead
from housing_assets.core.source.containers import damage_errors
from housing_assets.core.source.content import Content
from housing_assets.core.source.held_rows import rows_holding
from housing_assets.core.source.parsing import FAST_NULLS

BLOCK_BYTES = 16 << 20

_PARSE_BYTES = 2 << 20

_READ_BYTES = 1 << 20

_LONGEST_ROW_BYTES = 64 << 20

Parsed = TypeVar("Parsed")


@dataclass(frozen=True)
class RawBlock:
    """Rows of one block as they are written.

    Attributes:
        frame: the wanted columns of the rows that were parsed.
        rows: number of rows of the block, parsed or not.
        positions: of the parsed rows among them, from 0; None if all were parsed.
    """

    frame: pl.DataFrame
    rows: int
    positions: np.ndarray | None = None

    def numbered(self) -> pl.DataFrame:
        """The frame with the position of each row as `row`."""
        if self.positions is None:
            return self.frame.with_row_index("row")
        return self.frame.select(pl.Series("row", self.positions), pl.all())


def read_blocks(
    content: Content,
    columns: Mapping[int, str],
    numbers: Collection[str],
    function: Callable[[RawBlock], Parsed],
    nulls: Collection[str] = FAST_NULLS,
    holding: str = "",
) -> Iterator[Parsed]:
    """What a function makes of each block of rows, in order.

    Args:
        content: of the file.
        columns: names of the wanted columns, by position.
        numbers: names of those to hold as numbers. A block in which one of them is written in another way has all its
            columns as text.
        function: of a block; it is called from other threads.
        nulls: texts that stand for no value.
        holding: rows without this text, in whatever case, are not wanted. They are parsed all the same in a block
            whose rows cannot be told apart without parsing them.

    Raises:
        pa.ArrowException: a row has another number of values.
        csv.Error: quotes do not pair.
        SourceError: the file is damaged or cut off.
    """
    names = [columns.get(i, f"unread {i}") for i in range(len(content.header))]
    wanted = list(columns.values())

    def parse(text: bytearray | pa.Buffer, header: bool, newlines: bool) -> pl.DataFrame:
        if numbers:
            try:
                return _parse(text, header, newlines, names, wanted, numbers, content.delimiter, nulls)
            except pa.ArrowInvalid:
                pass
        return _parse(text, header, newlines, names, wanted, (), content.delimiter, nulls)

    def raw(block: bytearray, first: bool) -> RawBlock:
        held = rows_holding(block, first, holding, content.delimiter, len(names)) if holding else None
        if held is not None and not held.text.size:
            return RawBlock(pl.DataFrame(schema=dict.fromkeys(wanted, pl.String)), held.rows, held.positions)
        if held is not None:
            with suppress(pa.ArrowInvalid):
                frame = parse(held.text, False, newlines=False)
                if frame.height == held.positions.size:  # quotes of these rows pair
                    return RawBlock(frame, held.rows, held.positions)
        frame = parse(block, first, newlines=b'"' in block)
        return RawBlock(frame, frame.height)

    with content.open() as stream:
        blocks = read_ahead(_undamaged(_blocks(stream), content.name), "unpack")
        yield from prefetch_map(lambda item: function(raw(item[1], item[0] == 0)), enumerate(blocks), "parse")


def _parse(
    text: bytearray | pa.Buffer,
    header: bool,
    newlines: bool,
    names: list[str],
    wanted: list[str],
    numbers: Collection[str],
    delimiter: str,
    nulls: Collection[str],
) -> pl.DataFrame:
    table = pa_csv.read_csv(
        pa.BufferReader(text),
        read_options=pa_csv.ReadOptions(
            column_names=names,
            skip_rows_after_names=int(header),
            block_size=max(_PARSE_BYTES, memoryview(text).nbytes // 8),
        ),
        parse_options=pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=newlines),
        convert_options=pa_csv.ConvertOptions(
            column_types={name: pa.float64() if name in numbers else pa.string() for name in wanted},
            include_columns=wanted,
            null_values=list(nulls),
            strings_can_be_null=True,
        ),
    )
    return cast(pl.DataFrame, pl.from_arrow(table))


def _undamaged(blocks: Iterator[bytearray], name: str) -> Iterator[bytearray]:
    while True:
        with damage_errors(name):
            block = next(blocks, None)
        if block is None:
            return
        yield block


def _blocks(stream: io.BufferedReader) -> Iterator[bytearray]:
    """Pieces that end where a row ends, each parsed on all cores.

    pyarrow's own streaming reader converts on one core and takes about twice as long.

    Raises:
        csv.Error: quotes do not pair.
    """
    rest = bytearray()
    while True:
        block = bytearray(len(rest) + BLOCK_BYTES)
        block[: len(rest)] = rest
        size = _fill(stream, memoryview(block), len(rest))
        del block[size:]
        if size == len(rest):
            break
        cut = _row_end(block)
        rest = block[cut:]
        if cut:
            del block[cut:]
            yield block
        elif len(rest) > _LONGEST_ROW_BYTES:
            raise csv.Error(f"no row ends within {_LONGEST_ROW_BYTES >> 20} MB: mend its quotes and line ends")
    if rest.count(b'"') % 2:  # pyarrow would take all that follows for one value
        raise csv.Error("a double quote is never closed")
    if rest.strip():
        yield rest


def _fill(stream: io.BufferedReader, block: memoryview, size: int) -> int:
    """Read into a block from a position on, until it is full or the stream ends; the position after what was read."""
    with block:
        while size < len(block) and (count := stream.readinto(block[size : size + _READ_BYTES])):
            size += count
    return size


def _row_end(data: bytearray) -> int:
    """Length of the whole rows in `data`: up to the last newline that is not inside quotes; 0 if none."""
    cut = data.rfind(b"\n") + 1
    # Where values are quoted, `bytearray.count` is several times slower.
    quotes = int(np.count_nonzero(np.frombuffer(data, np.uint8, cut) == ord('"')))
    while cut and quotes % 2:
        before = data.rfind(b"\n", 0, cut - 1) + 1
        quotes -= data.count(b'"', before, cut)
        cut = before
    return cut
