"""Recorded files: their lines one after another, and what can be read off their beginning.

A line is ``<receive time, ns> <JSON frame>``. A line that is not, or a file that ends in the middle of its compression,
is counted and costs nothing else.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from io import BufferedReader
from itertools import islice
from pathlib import Path
from statistics import median
from typing import NamedTuple

from connectors.exchange.frames import FrameReader
from connectors.exchange.replay.rules import Observed
from connectors.exchange.venues import FOLDERS, Channel, Venue
from quantum.errors import DependencyError

_NAME = re.compile(r"(?P<symbol>[a-z0-9_]+?)(?:_\d{8}.*)?", re.IGNORECASE)
_SUFFIXES = (".gz", ".txt", ".json", ".jsonl", ".log", ".raw", ".dat")


class Line(NamedTuple):
    """A recorded frame: time of receipt in nanoseconds, the number of its file, its JSON text."""

    receive_ns: int
    file: int
    text: bytes


class RecordedFile:
    """One recorded file.

    Parameters
    ----------
    path
        The file, plain or gzip.
    venue
        Venue that it was recorded at.
    number
        Its place among the files of the recording; breaks ties of the time of receipt.

    Attributes
    ----------
    bad_lines : int
        Lines without a time of receipt or without a frame.
    damage : str
        Why reading ended before the end of the file; empty where it did not.
    """

    def __init__(self, path: Path, venue: Venue, number: int) -> None:
        self.path = path
        self.venue = venue
        self.number = number
        self.bad_lines = 0
        self.damage = ""

    def lines(self) -> Iterator[Line]:
        """Yield the lines of the file, in their order."""
        self.bad_lines, self.damage = 0, ""
        with self._open() as stream:
            try:
                for raw in stream:
                    time, _, text = raw.rstrip(b"\r\n").partition(b" ")
                    if time.isdigit() and text:
                        yield Line(int(time), self.number, text)
                    elif raw.strip():
                        self.bad_lines += 1
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                self.damage = f"{self.path}: {error}"

    def _open(self) -> gzip.GzipFile | BufferedReader:
        try:
            with self.path.open("rb") as head:
                compressed = head.read(2) == b"\x1f\x8b"
            return gzip.open(self.path) if compressed else self.path.open("rb")
        except OSError as error:
            raise DependencyError(f"{self.path} cannot be read: {error.strerror}", "check the file's permissions") from error


class Beginning(NamedTuple):
    """What the first lines of a file say.

    Attributes
    ----------
    symbol
        Symbol of a frame that does not name its own.
    first_ns
        Time of receipt of the first line; None for a file without any.
    offset_us
        Venue's clock minus the recorder's, microseconds, over the frames that say their own time; None without any.
    observed
        Prices and quantities by symbol.
    """

    symbol: str
    first_ns: int | None
    offset_us: int | None
    observed: dict[str, Observed]


def beginning(file: RecordedFile, sample: int) -> Beginning:
    """Read the first lines of a file."""
    reader = FrameReader(file.venue, "beginning")
    symbols: Counter[str] = Counter()
    offsets: list[int] = []
    observed: dict[str, Observed] = {}
    first_ns = None
    for line in islice(file.lines(), sample):
        first_ns = line.receive_ns if first_ns is None else first_ns
        receive_us = line.receive_ns // 1_000
        frame = reader.read(line.text, receive_us)
        if frame is None:
            continue
        symbols[frame.symbol] += 1
        if frame.event_ts != receive_us:  # the reader knows no offset yet: equal times mean that the frame has none of its own
            offsets.append(frame.event_ts - receive_us)
        if frame.channel in (Channel.TRADE, Channel.QUOTE):
            observed.setdefault(frame.symbol, Observed()).see(frame.payload)
    name = _NAME.fullmatch(file.path.name.split(".")[0])
    named = name["symbol"].upper() if name is not None else ""
    symbol = symbols.most_common(1)[0][0] if symbols else named
    return Beginning(symbol, first_ns, round(median(offsets)) if offsets else None, observed)


def recorded_files(folder: Path) -> list[RecordedFile]:
    """Return the recorded files below a folder, in the order of their paths.

    Raises
    ------
    DependencyError
        There is no such folder, or no recording in it.
    """
    if not folder.is_dir():
        raise DependencyError(f"there is no folder {folder}", "give the folder of a recording, with folders spot, usdm or cm in it")
    found: list[RecordedFile] = []
    for path in sorted(folder.rglob("*")):
        venue = _venue_of(path, folder)
        if venue is not None and path.is_file() and path.suffix.lower() in _SUFFIXES and path.stem.upper() != "README":
            found.append(RecordedFile(path, venue, len(found)))
    if not found:
        raise DependencyError(
            f"no recorded file is in {folder}", f"its files ({', '.join(_SUFFIXES)}) belong into folders {', '.join(FOLDERS)}, one a venue"
        )
    return found


def _venue_of(path: Path, folder: Path) -> Venue | None:
    names = [*path.relative_to(folder).parts[:-1][::-1], *folder.absolute().parts[::-1]]
    return next((FOLDERS[name.lower()] for name in names if name.lower() in FOLDERS), None)
