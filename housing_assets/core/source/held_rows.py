"""Rows of delimited text that hold a text, found without parsing: a file may have five rows for each that counts."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_WIDEST = 256
"""Most values of a row whose delimiters are counted in a byte."""


@dataclass(frozen=True)
class HeldRows:
    """The rows of a block that hold a text.

    Attributes:
        text: of these rows, one after the other.
        rows: number of rows of the block.
        positions: of these rows among them, from 0.
    """

    text: pa.Buffer
    rows: int
    positions: np.ndarray


def rows_holding(block: bytearray, first: bool, text: str, delimiter: str, width: int) -> HeldRows | None:
    """The rows that hold a text, in whatever case; None where lines may be something else than rows.

    Args:
        block: whole rows.
        first: True if the first one is the header, which never counts.
        text: to look for.
        delimiter: between values.
        width: values of a row.
    """
    data = np.frombuffer(block, np.uint8)
    marks = np.empty(data.size, np.bool_)  # one for all: to touch new memory costs more than to compare
    ends = np.flatnonzero(np.equal(data, ord("\n"), out=marks)) + 1
    if not ends.size or ends[-1] < data.size:
        ends = np.append(ends, data.size)
    offsets = np.concatenate([[0], ends]).astype(np.int32)

    def per_line(mark: str) -> np.ndarray:
        # Sums of bytes are by far the quickest; they wrap at 256.
        np.equal(data, ord(mark), out=marks)
        return np.add.reduceat(marks.view(np.uint8), offsets[:-1], dtype=np.uint8)

    delimiters = per_line(delimiter)
    is_plain = (
        width <= _WIDEST
        and (delimiters == width - 1).all()
        and np.count_nonzero(marks) == ends.size * (width - 1)  # no line has 256 more
        and not (b'"' in block and (per_line('"') & 1).any())
        and not (b"\r" in block and np.count_nonzero(data == ord("\r")) != block.count(b"\r\n"))
    )
    if not is_plain:  # blank lines, rows of another width, newlines inside quotes, or lines that end otherwise
        return None
    offsets = offsets[int(first) :]
    lines = pa.Array.from_buffers(pa.binary(), offsets.size - 1, [None, pa.py_buffer(offsets), pa.py_buffer(block)])
    holds = pc.call_function("match_substring", [lines], pc.MatchSubstringOptions(text, ignore_case=True))
    positions = np.flatnonzero(holds.to_numpy(zero_copy_only=False))
    return HeldRows(lines.filter(holds).buffers()[2], len(lines), positions)
