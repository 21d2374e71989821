"""Frames to the files of a recording, all of them or none at a time; see `journal` for why that holds."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Literal
from urllib.parse import quote

from msgspec.structs import replace

from connectors.exchange.recording.journal import Growing, Hole, Imported, Journal, file_of, sync_folder, write_journal
from connectors.exchange.recording.line import NANOSECONDS, line_of
from connectors.exchange.recording.member import INSTRUMENT, SNAPSHOT, packed
from connectors.exchange.venues import VENUES, Channel
from schemas.exchange.records import ExchangeFrame

_SLOTS = {"hour": "%Y%m%dT%H", "day": "%Y%m%d"}
_SNAPSHOT = '"snapshot"'
_HOUR_US = 3_600_000_000


class _Pending:
    """Lines that wait for one file."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.times_ns: list[int] = []
        self.holds = 0

    def add(self, frame: ExchangeFrame, line: bytes) -> None:
        self.lines.append(line)
        self.times_ns.append(frame.ingest_ts * NANOSECONDS)
        if frame.channel == Channel.INSTRUMENT:
            self.holds |= INSTRUMENT
        elif frame.channel == Channel.DEPTH_SNAPSHOT or (frame.channel == Channel.DEPTH and _SNAPSHOT in frame.payload):
            self.holds |= SNAPSHOT


def series_of(venue: str, symbol: str) -> str:
    """Return the series of a symbol: the path of its files within the folder, without slot and suffix."""
    return f"{VENUES[venue].folder}/{quote(symbol.lower(), safe='')}"


class RecordingWriter:
    """Appends frames to the files of a recording.

    Parameters
    ----------
    folder
        Folder of the recording.
    journal
        Its journal, whose files have been cut back.
    rotate
        What a file holds.
    max_bytes
        Length from which on a file is followed by another one.

    Attributes
    ----------
    journal : Journal
        The journal as it is on disk.
    pending_bytes : int
        Length of the lines that wait to be written.
    """

    def __init__(self, folder: Path, journal: Journal, rotate: Literal["hour", "day"], max_bytes: float) -> None:
        self.journal = journal
        self.pending_bytes = 0
        self._folder = folder
        self._format = _SLOTS[rotate]
        self._max_bytes = max_bytes
        self._pending: dict[tuple[str, str], _Pending] = {}
        self._reached = {series: file.slot for series, file in journal.files.items()}
        self._hour = (-1, "")

    def add(self, frame: ExchangeFrame) -> None:
        """Take a frame of a known venue; `commit` writes it.

        A file is never gone back to: a frame that was received in the hour before is in the file of the present one, so that the frames
        of a symbol keep their order.
        """
        series = series_of(frame.venue, frame.symbol)
        slot = self._reached[series] = max(self._slot(frame.ingest_ts), self._reached.get(series, ""))
        pending = self._pending.setdefault((series, slot), _Pending())
        line = line_of(frame)
        pending.add(frame, line)
        self.pending_bytes += len(line)

    def commit(
        self, offsets: Mapping[int, int], holes: Sequence[Hole] = (), archives: Mapping[str, Imported] = MappingProxyType({})
    ) -> int:
        """Write what waits, and how far the recording has come with that; returns how many compressed bytes that came to.

        Parameters
        ----------
        offsets
            Next offset of every partition.
        holes
            What has turned out to be missing since the last commit.
        archives
            What of archives has been recorded since then.

        Raises
        ------
        OSError
            The disk does not take it. What was written is cut back by the next start.
        """
        before = self.journal
        chosen = self._choose()
        begun = [path for path, growing in chosen.values() if not growing.length]
        if begun:
            for path in begun:
                path.parent.mkdir(parents=True, exist_ok=True)
            write_journal(self._folder, replace(before, begun=[str(path.relative_to(self._folder)) for path in begun]))
        files, written = dict(before.files), 0
        for (series, slot), (path, growing) in chosen.items():
            pending = self._pending[series, slot]
            data = packed(pending.lines, pending.times_ns, pending.holds)
            _append(path, growing.length, data)
            files[series] = replace(growing, length=growing.length + len(data))
            written += len(data)
        for folder in {path.parent for path in begun}:
            sync_folder(folder)
        frames = before.frames + sum(len(pending.lines) for pending in self._pending.values())
        self.journal = replace(
            before, offsets=dict(offsets), files=files, begun=[], frames=frames, holes=[*before.holes, *holes],
            archives=before.archives | dict(archives),
        )  # fmt: skip
        write_journal(self._folder, self.journal)
        self._pending.clear()
        self.pending_bytes = 0
        return written

    def _choose(self) -> dict[tuple[str, str], tuple[Path, Growing]]:
        """Return which file each series' lines go to."""
        chosen = {}
        for series, slot in self._pending:  # a series' slots in their order
            growing = self.journal.files.get(series)
            if growing is None or slot > growing.slot:
                growing = Growing(slot)
            elif growing.length >= self._max_bytes:
                growing = Growing(growing.slot, growing.part + 1)
            path = file_of(self._folder, series, growing)
            while not growing.length and path.exists():  # of a recording that was here before
                growing = Growing(growing.slot, growing.part + 1)
                path = file_of(self._folder, series, growing)
            chosen[series, slot] = path, growing
        return chosen

    def _slot(self, receive_us: int) -> str:
        hour = receive_us // _HOUR_US
        if self._hour[0] != hour:
            self._hour = hour, datetime.fromtimestamp(hour * 3_600, UTC).strftime(self._format)
        return self._hour[1]


def _append(path: Path, at: int, data: bytes) -> None:
    """Write data to a file from a place on; they are on disk when this returns."""
    with path.open("r+b" if at else "xb") as file:
        file.seek(at)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
