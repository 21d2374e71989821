"""Files that the recorder has written, one behind another; what comes before the wanted time is not unpacked."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from connectors.exchange.recording.line import note_of
from connectors.exchange.recording.member import INSTRUMENT, SNAPSHOT, Member, members, unpacked
from connectors.exchange.replay.readers import is_instrument
from connectors.exchange.replay.span import Line, Span
from connectors.exchange.venues import DEPTH_CHANNELS, Venue

_NAME = re.compile(r"(?P<series>.+)_(?P<slot>\d{8}(?:T\d{2})?)(?:_(?P<part>\d{3,}))?\.gz")
_EVERYTHING = Span()
SETTLE_NS = 10_000_000_000
"""The changes of a book that join a snapshot may have been received before it, but hardly longer before."""


def place_of(path: Path) -> tuple[str, str, int]:
    """Return the series that a file belongs to, and its slot and part in it."""
    name = _NAME.fullmatch(path.name)
    if name is None:
        return path.name, "", 0
    return name["series"], name["slot"], int(name["part"] or 0)


class RecordedSeries:
    """The files of one symbol; see `Recorded`.

    Parameters
    ----------
    paths
        The files, in the order in which they were written.
    venue
        Venue that they were recorded at.
    number
        Place among the files of the recording.
    """

    def __init__(self, paths: Sequence[Path], venue: Venue, number: int) -> None:
        self.path = paths[0]
        self.venue = venue
        self.number = number
        self.bad_lines = 0
        self.damage = ""
        self._paths = paths

    def lines(self, span: Span = _EVERYTHING) -> Iterator[Line]:
        """Yield the lines of a span; see `Recorded`."""
        self.bad_lines, self.damage = 0, ""
        depth_ns = span.from_ns
        if span.from_ns:
            instrument = self._instrument(span.from_ns)
            if instrument is not None:
                yield instrument
            depth_ns = self._depth_from(span)
        for path in self._paths:
            found = list(members(path))
            end = found[-1].start + found[-1].size if found else 0
            if end < path.stat().st_size:
                self.damage = f"{path}: what follows byte {end} is not whole"
            for line in self._read(path, [each for each in found if each.last_ns >= depth_ns and each.first_ns < span.to_ns]):
                if span.from_ns <= line.receive_ns < span.to_ns or (depth_ns <= line.receive_ns < span.from_ns and _is_depth(line)):
                    yield line

    def _depth_from(self, span: Span) -> int:
        """Return where the book's frames begin: at its newest snapshot before the span, or with the span."""
        earliest = span.from_ns - span.look_back_ns
        for path in reversed(self._paths):
            for member in reversed(list(members(path))):
                if member.last_ns < earliest:
                    return span.from_ns
                if member.first_ns < span.from_ns and member.holds & SNAPSHOT:
                    return max(earliest, member.first_ns - SETTLE_NS)
        return span.from_ns

    def _instrument(self, before_ns: int) -> Line | None:
        """Return the newest instrument before a time."""
        for path in reversed(self._paths):
            for member in reversed(list(members(path))):
                if member.first_ns < before_ns and member.holds & INSTRUMENT:
                    found = [line for line in self._read(path, [member]) if line.receive_ns < before_ns and is_instrument(_text(line))]
                    if found:
                        return found[-1]
        return None

    def _read(self, path: Path, wanted: Sequence[Member]) -> Iterator[Line]:
        if not wanted:
            return
        with path.open("rb") as file:
            for member in wanted:
                try:
                    lines = unpacked(file, member)
                except zlib.error as error:
                    self.damage = f"{path}: {member.lines} lines from byte {member.start} on: {error}"
                    continue
                for raw in lines:
                    time, _, text = raw.partition(b" ")
                    if time.isdigit() and text:
                        yield Line(int(time), self.number, text)
                    else:
                        self.bad_lines += 1


def _text(line: Line) -> bytes:
    assert isinstance(line.said, bytes)
    return line.said


def _is_depth(line: Line) -> bool:
    note = note_of(_text(line))
    return note is not None and note.channel in DEPTH_CHANNELS
