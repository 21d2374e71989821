"""Recorded lines as members of a gzip file, each of which says in its header what it holds.

A gzip file may be many members, one behind another; every reader of gzip takes them for one. The header of each has an extra field (RFC
1952, subfield ``QT``) with the member's length, the bounds of its lines' times, and what of them a replay from the middle looks
for. So a time is found by going from header to header, and what comes before it is not unpacked.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

_START = b"\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff"  # deflate, an extra field, no time, no system
_SUBFIELD = b"QT"
_FIELDS = struct.Struct("<QqqIB")
_EXTRA = struct.Struct("<H2sH")
_HEADER = len(_START) + _EXTRA.size + _FIELDS.size
_TRAILER = struct.Struct("<II")
_LEVEL = 6
INSTRUMENT = 1
"""A line of it is an instrument."""
SNAPSHOT = 2
"""A line of it may be a snapshot of a book."""


class Member(NamedTuple):
    """A member of a file.

    Attributes
    ----------
    start, size
        Where it begins, and how long it is, bytes.
    first_ns, last_ns
        Least and greatest time of receipt of its lines, nanoseconds.
    lines
        How many lines it has.
    holds
        INSTRUMENT and SNAPSHOT, or'ed.
    """

    start: int
    size: int
    first_ns: int
    last_ns: int
    lines: int
    holds: int


def packed(lines: Sequence[bytes], times_ns: Sequence[int], holds: int) -> bytes:
    """Return lines as one member; at least one, each with its line break."""
    text = b"".join(lines)
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflate.compress(text) + deflate.flush()
    size = _HEADER + len(body) + _TRAILER.size
    fields = _FIELDS.pack(size, min(times_ns), max(times_ns), len(lines), holds)
    extra = _EXTRA.pack(4 + len(fields), _SUBFIELD, len(fields))
    return b"".join((_START, extra, fields, body, _TRAILER.pack(zlib.crc32(text), len(text) & 0xFFFFFFFF)))


def members(path: Path) -> Iterator[Member]:
    """Give the whole members of a file, by their headers alone, up to the first that is not of this kind or is cut off.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    length = path.stat().st_size
    start = 0
    with path.open("rb") as file:
        while (found := _member(file, start)) is not None and found.start + found.size <= length:
            yield found
            start += found.size


def is_indexed(path: Path) -> bool:
    """Return whether a file begins with a member of this kind."""
    with path.open("rb") as file:
        return _member(file, 0) is not None


def unpacked(file: BufferedReader, member: Member) -> list[bytes]:
    """Return the lines of a member, without their line breaks; raises zlib.error where it is damaged."""
    file.seek(member.start)
    return zlib.decompress(file.read(member.size), zlib.MAX_WBITS | 16).split(b"\n")[:-1]


def _member(file: BufferedReader, start: int) -> Member | None:
    file.seek(start)
    head = file.read(_HEADER)
    if len(head) < _HEADER or not head.startswith(_START):
        return None
    _, name, length = _EXTRA.unpack_from(head, len(_START))
    if name != _SUBFIELD or length != _FIELDS.size:
        return None
    size, first_ns, last_ns, lines, holds = _FIELDS.unpack_from(head, len(_START) + _EXTRA.size)
    return Member(start, size, first_ns, last_ns, lines, holds) if size > _HEADER else None
