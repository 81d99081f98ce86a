"""Large JSON in slices: where the elements of a list or the members of an object begin and end.

A decoder written in C holds Python's lock from the first byte to the last, and every other call of the server waits. So
a large body is cut, and each slice is decoded on its own. numpy finds the places to cut, and releases the lock after
each piece.

What belongs here: bytes and brackets. What a row is belongs in `rows`.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np

SLICE_BYTES = 65_536
"""Bytes that are decoded in one go: a millisecond."""
_SPACE = b" \t\r\n"
_QUOTE, _COMMA = b'",'
_OPEN, _CLOSE = b"[{", b"]}"
_MARKS = np.zeros(256, np.bool_)
_MARKS[list(b'",[]{}')] = True
_CLOSING = dict(zip(_OPEN, _CLOSE, strict=True))
_STEP = np.zeros(256, np.int8)
_STEP[list(_OPEN)] = 1
_STEP[list(_CLOSE)] = -1
_MEMBER = re.compile(rb'[ \t\r\n]{0,1000}("(?:[^"\\]|\\.){0,1000}")[ \t\r\n]{0,1000}:', re.DOTALL)


class NotJsonError(ValueError):
    """What cannot be cut: it is no list or object from its first byte to its last."""


@dataclass(frozen=True)
class Parts:
    """A list's elements, or an object's members, within a body.

    Attributes:
        body: in which they are.
        count: of them all.
        edges: where they begin and end: part i is between `edges[i]` and `edges[i + 1] - 1`. No more than were asked
            for, though `count` may be larger.
    """

    body: bytes
    count: int
    edges: tuple[int, ...]

    def slices(self, most: int) -> Iterator[tuple[int, int, int]]:
        """The parts, many small ones together: first, last + 1, and bytes. A part larger than `most` bytes is alone.

        Args:
            most: bytes of a slice.
        """
        begin, count = 0, len(self.edges) - 1
        while begin < count:
            end = begin + 1
            while end < count and self.edges[end + 1] - self.edges[begin] <= most:
                end += 1
            yield begin, end, self.edges[end] - 1 - self.edges[begin]
            begin = end

    def text(self, begin: int, end: int) -> bytes:
        """Parts `begin` to `end - 1` with the commas between them."""
        return self.body[self.edges[begin] : self.edges[end] - 1]


def kind_of_json(body: bytes) -> str:
    """The first character of a body that is no space; empty if there is none."""
    at = _after_space(body, 0)
    return body[at : at + 1].decode("latin-1")


def find_parts(body: bytes, most: int) -> Parts:
    """The parts of a body that is one list or object.

    Args:
        body: JSON, of which nothing but its brackets, commas and quotes is looked at.
        most: parts whose edges are wanted; the others are counted.

    Raises:
        NotJsonError: it does not begin with a bracket, or does not end with the one that closes it.
    """
    begin = _after_space(body, 0)
    if body[begin : begin + 1] not in (b"[", b"{"):
        raise NotJsonError("it is no list and no object")
    edges, count, depth, inside, at, end = [begin + 1], 0, 0, 0, begin, -1
    while at < len(body) and end < 0:
        piece = _piece(body, at)
        bytes_ = np.frombuffer(_without_escapes(piece), np.uint8)
        where = np.flatnonzero(_MARKS[bytes_])
        marks = bytes_[where]
        quoted = (inside + np.cumsum(marks == _QUOTE)) & 1
        depths = depth + np.cumsum(np.where(quoted, 0, _STEP[marks]))
        closed = np.flatnonzero(depths == 0)
        if len(closed):
            end = at + int(where[closed[0]])
            where, marks, quoted, depths = (a[: closed[0]] for a in (where, marks, quoted, depths))
        commas = where[(marks == _COMMA) & (depths == 1) & (quoted == 0)]
        edges += (commas[: max(0, most - len(edges))] + at + 1).tolist()
        count += len(commas)
        if len(where):
            depth, inside = int(depths[-1]), int(quoted[-1])
        at += len(piece)
    if end < 0:
        raise NotJsonError("it ends within a list, an object or a text")
    if body[end] != _CLOSING[body[begin]]:
        raise NotJsonError("it ends with another bracket than the one that closes it")
    if _after_space(body, end + 1) < len(body):
        raise NotJsonError("something follows its end")
    if not count and _after_space(body, begin + 1) == end:
        return Parts(body, 0, ())
    if count + 1 == len(edges):
        edges.append(end + 1)
    return Parts(body, count + 1, tuple(edges))


def guess_slices(body: bytes) -> Iterator[bytes]:
    """Slices of a list of flat objects, each a list of its own, cut after a `}`: at a hundredth of the cost.

    A cut may be wrong, in a text or in an object within an object. Then its slice is no JSON; if every slice is, then
    every cut was right, since a slice that is JSON ends where an element ends.

    Raises:
        NotJsonError: no cut is found.
    """
    begin, first = 0, True
    while True:
        cut = body.find(b"}", begin + SLICE_BYTES, begin + 2 * SLICE_BYTES) + 1
        rest = not cut
        if rest and len(body) - begin > 2 * SLICE_BYTES:
            raise NotJsonError("it has no place to cut")
        part = body[begin : cut or len(body)].strip(_SPACE)
        if not first:
            if rest and part == b"]":
                return
            if not part.startswith(b",") or part[1:].strip(_SPACE) == b"]":
                raise NotJsonError("a cut was wrong")
            part = b"[" + part[1:]
        yield part if rest else part + b"]"
        if rest:
            return
        begin, first = cut, False


def members(body: bytes) -> dict[str, bytes]:
    """The members of an object: the JSON of each value by its key.

    Raises:
        NotJsonError: it is no object, or has more than a thousand members, or a key twice.
    """
    parts = find_parts(body, 1_001)
    if kind_of_json(body) != "{" or parts.count > 1_000:
        raise NotJsonError("it is no object of at most 1,000 members")
    by_key: dict[str, bytes] = {}
    for i in range(parts.count):
        text = parts.text(i, i + 1)
        key = _MEMBER.match(text)
        if not key:
            raise NotJsonError("a member has no key")
        name = msgspec.json.decode(key[1], type=str)
        if name in by_key:
            raise NotJsonError(f"the key {name[:100]!r} is there twice: send it once")
        by_key[name] = text[key.end() :]
    return by_key


def give_way() -> None:
    """Let the event loop have its turn, between two slices.

    A thread that waits for Python's lock asks for it after 5 ms in which nobody gave it up (`sys.getswitchinterval`).
    numpy gives it up and takes it back within microseconds, which begins that wait anew: without this the loop stood
    still for the whole of a body.
    """
    time.sleep(0)


def _after_space(body: bytes, at: int) -> int:
    """Where the first byte from `at` on is that is no space; the end if there is none."""
    while at < len(body):
        piece = body[at : at + SLICE_BYTES]
        if rest := piece.lstrip(_SPACE):
            return at + len(piece) - len(rest)
        at += len(piece)
    return at


def _piece(body: bytes, at: int) -> bytes:
    """The next bytes, not ending between a backslash and what it escapes."""
    piece = body[at : at + SLICE_BYTES]
    odd = (len(piece) - len(piece.rstrip(b"\\"))) % 2
    return body[at : at + len(piece) + 1] if odd else piece


def _without_escapes(piece: bytes) -> bytes:
    """The same length, with what is escaped made harmless."""
    return piece.replace(b"\\\\", b"__").replace(b'\\"', b"__") if b"\\" in piece else piece
