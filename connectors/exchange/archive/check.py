"""What is wrong with an archive: its bytes, its rows, their order, and what is missing between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Literal

import msgspec

from connectors.exchange.archive.names import ArchiveFile, ArchiveKind, day_ns
from connectors.exchange.archive.rows import ArchiveRows, checksum

_CHECKSUMS: dict[bool | None, Literal["right", "WRONG", "none"]] = {True: "right", False: "WRONG", None: "none"}
_MICROSECONDS = 1_000_000
TELL_ROWS = 20_000
"""Rows between two words of how far it is."""


class Checked(msgspec.Struct, kw_only=True):
    """What was found of an archive.

    Attributes
    ----------
    path : str
        The file.
    rows : int
        Rows that are as documented.
    checksum : str
        Whether its bytes are those that the ``.CHECKSUM`` beside it says: right, WRONG, or none where there is no such file.
    first, last : str
        Times of its first and last row, ISO 8601, UTC; empty without rows.
    faults : list
        What is wrong, in words.
    """

    path: str
    rows: int
    checksum: Literal["right", "WRONG", "none"]
    first: str
    last: str
    faults: list[str]

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults and self.checksum != "WRONG"


class _Steps:
    """What is seen of numbers that should go up in even steps."""

    def __init__(self) -> None:
        self.gaps = self.missing = self.back = 0
        self.after_gap: int | None = None
        self.after_back: int | None = None
        self._last: int | None = None

    def see(self, number: int, step: int) -> None:
        last, self._last = self._last, number
        if last is None:
            return
        if number <= last:
            self.back += 1
            self.after_back = last if self.after_back is None else self.after_back
        elif number > last + step:
            self.gaps += 1
            self.missing += (number - last - 1) // step
            self.after_gap = last if self.after_gap is None else self.after_gap


def check(file: ArchiveFile, tell: Callable[[int], None]) -> Checked:
    """Read an archive and say what is wrong with it; told now and then how many of its bytes are read."""
    right = checksum(file)
    rows = ArchiveRows(file)
    faults: list[str] = []
    ids = _Steps()
    count = elsewhere = early = 0
    first = last = before = -1
    start, end = day_ns(file.start) // 1_000, day_ns(file.end) // 1_000
    for number, step, ts in _marks(file, rows):
        count += 1
        if count % TELL_ROWS == 0:
            tell(rows.position)
        ids.see(number, step)
        early += ts < before  # several trades may have one time
        before = ts
        elsewhere += not start <= ts < end
        first = ts if first < 0 else min(first, ts)
        last = max(last, ts)
    if rows.damage:
        faults.append(rows.damage)
    if rows.bad:
        faults.append(f"{rows.bad} rows are not as documented")
    faults += _order(file.kind, ids)
    if early and file.kind is not ArchiveKind.KLINES:
        faults.append(f"{early} steps back of the time")
    if elsewhere:
        faults.append(f"{elsewhere} rows of other days")
    return Checked(path=str(file.path), rows=count, checksum=_CHECKSUMS[right], first=_time(first), last=_time(last), faults=faults)


def _marks(file: ArchiveFile, rows: ArchiveRows) -> Iterator[tuple[int, int, int]]:
    """Give of each row the number that goes up, by how much it does, and the row's time in microseconds."""
    if file.kind is ArchiveKind.KLINES:
        for kline in rows.klines():
            yield kline.open_ts, kline.close_ts - kline.open_ts, kline.open_ts
    else:
        for trade in rows.trades():
            yield trade.id, 1, trade.ts


def _order(kind: ArchiveKind, ids: _Steps) -> Iterator[str]:
    if kind is ArchiveKind.KLINES:
        if ids.gaps:
            yield f"{ids.gaps} gaps, {ids.missing} klines missing, the first after {_time(ids.after_gap or 0)}"
        if ids.back:
            yield f"{ids.back} klines twice or out of order, the first after {_time(ids.after_back or 0)}"
        return
    if ids.gaps:
        yield f"{ids.gaps} gaps in the ids, {ids.missing} missing, the first after {ids.after_gap}"
    if ids.back:
        yield f"{ids.back} steps back of the ids, the first after {ids.after_back}"


def _time(ts: int) -> str:
    return "" if ts < 0 else datetime.fromtimestamp(ts // _MICROSECONDS, UTC).strftime("%Y-%m-%dT%H:%M:%S")
