"""Recorded files: their lines one after another, and what can be read off their beginning.

A line is ``<receive time, ns> <JSON frame>``. A line that is not, or a file that ends in the middle of its compression,
is counted and costs nothing else. Files that the recorder has written, and Binance's archives, are read by `series` and
`connectors.exchange.archive`.
"""

from __future__ import annotations

import gzip
import logging
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from io import BufferedReader
from itertools import islice
from pathlib import Path
from statistics import median
from typing import NamedTuple

from connectors.exchange.archive.names import ArchiveFile, archive_at, tradings, venue_of
from connectors.exchange.archive.played import PlayedArchives
from connectors.exchange.recording import journal
from connectors.exchange.recording.line import Noted, noted
from connectors.exchange.recording.member import is_indexed
from connectors.exchange.replay.readers import is_depth, is_instrument, may_be_snapshot, reader_of
from connectors.exchange.replay.rules import Observed
from connectors.exchange.replay.series import SETTLE_NS, RecordedSeries, place_of
from connectors.exchange.replay.span import STRAGGLE_NS, Line, Recorded, Span
from connectors.exchange.venues import BINANCE_VENUES, FOLDERS, Channel, Venue
from quantum.errors import DependencyError
from schemas.common import FrameKind

log = logging.getLogger(__name__)

_NAME = re.compile(r"(?P<symbol>[a-z0-9_]+?)(?:_\d{8}.*)?", re.IGNORECASE)
_SUFFIXES = (".gz", ".txt", ".json", ".jsonl", ".log", ".raw", ".dat")
_EVERYTHING = Span()
_ENOUGH = 200
"""Clock offsets that a median is taken of."""


class RecordedFile:
    """One recorded file of whatever recorder; see `Recorded`.

    Parameters
    ----------
    path
        The file, plain or gzip.
    venue
        Venue that it was recorded at.
    number
        Its place among the files of the recording.
    """

    def __init__(self, path: Path, venue: Venue, number: int) -> None:
        self.path = path
        self.venue = venue
        self.number = number
        self.bad_lines = 0
        self.damage = ""

    def lines(self, span: Span = _EVERYTHING) -> Iterator[Line]:
        """Yield the lines of a span, in their order; those before it are unpacked and, but for the book's, not decoded."""
        if not span.from_ns:
            yield from (line for line in self._all(span.to_ns) if line.receive_ns < span.to_ns)
            return
        depth_ns, instrument = self._before(span)
        if instrument is not None:
            yield instrument
        peek, symbol = reader_of(self.venue, "peek"), named_symbol(self.path)
        for line in self._all(span.to_ns):
            if line.receive_ns >= span.from_ns:
                if line.receive_ns < span.to_ns:
                    yield line
            elif line.receive_ns >= depth_ns and is_depth(peek, line.said, line.receive_ns // 1_000, symbol):
                yield line

    def _before(self, span: Span) -> tuple[int, Line | None]:
        """Return where the book's frames begin, and the newest instrument before the span."""
        earliest, depth_ns, instrument = span.from_ns - span.look_back_ns, span.from_ns, None
        for line in self._all(span.from_ns):
            if line.receive_ns < span.from_ns:
                assert isinstance(line.said, bytes)
                if is_instrument(line.said):
                    instrument = line
                elif line.receive_ns >= earliest and may_be_snapshot(line.said):
                    depth_ns = max(earliest, line.receive_ns - SETTLE_NS)
        return depth_ns, instrument

    def _all(self, to_ns: int) -> Iterator[Line]:
        """Yield lines up to where none before a time can come any more."""
        self.bad_lines, self.damage = 0, ""
        end = to_ns + STRAGGLE_NS
        with self._open() as stream:
            try:
                for raw in stream:
                    time, _, text = raw.rstrip(b"\r\n").partition(b" ")
                    if time.isdigit() and text:
                        at = int(time)
                        if at >= end:
                            return
                        yield Line(at, self.number, text)
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
    instruments
        Symbols whose instruments are recorded.
    """

    symbol: str
    first_ns: int | None
    offset_us: int | None
    observed: dict[str, Observed]
    instruments: set[str]


def beginning(file: Recorded, sample: int) -> Beginning:
    """Read the first lines of a file."""
    reader = reader_of(file.venue, "beginning")
    symbols: Counter[str] = Counter()
    offsets: list[int] = []
    observed: dict[str, Observed] = {}
    instruments: set[str] = set()
    first_ns = None
    for line in islice(file.lines(), sample):
        first_ns = line.receive_ns if first_ns is None else first_ns
        receive_us = line.receive_ns // 1_000
        known = line.said if isinstance(line.said, Noted) else noted(line.said)
        if known is None:
            assert isinstance(line.said, bytes)
            frame = reader.read(line.said, receive_us)
            if frame is None:
                continue
            known = Noted(frame.symbol, frame.channel, frame.kind, frame.event_ts, frame.payload)
        symbols[known.symbol] += 1
        if known.kind is FrameKind.STREAM and known.event_us != receive_us:  # equal where the frame has no time of its own
            offsets.append(known.event_us - receive_us)
        if known.channel == Channel.INSTRUMENT:
            instruments.add(known.symbol)
        elif known.channel in (Channel.TRADE, Channel.QUOTE) and file.venue in BINANCE_VENUES:
            observed.setdefault(known.symbol, Observed()).see(known.payload)
        if known.numbers is not None and known.symbol in instruments and len(offsets) >= _ENOUGH:
            break  # a file of the recorder, whose instrument need not be made out of what is observed
    symbol = symbols.most_common(1)[0][0] if symbols else named_symbol(file.path)
    return Beginning(symbol, first_ns, round(median(offsets)) if offsets else None, observed, instruments)


def named_symbol(path: Path) -> str:
    """Return the symbol that a file is called after; empty where it is called otherwise."""
    name = _NAME.fullmatch(path.name.split(".")[0])
    return name["symbol"].upper() if name is not None else ""


def recorded_files(folder: Path) -> list[Recorded]:
    """Return what is recorded below a folder, in the order of its paths.

    Raises
    ------
    DependencyError
        There is no such folder, or no recording in it.
    """
    if not folder.is_dir():
        raise DependencyError(f"there is no folder {folder}", "give the folder of a recording, with folders spot, usdm or cm in it")
    plain: list[tuple[Path, Venue]] = []
    series: dict[tuple[Path, str], list[Path]] = {}
    stored: dict[Path, ArchiveFile] = {}
    for path in sorted(folder.rglob("*")):
        venue = venue_of(path, folder)
        if venue is None or not path.is_file() or path.stem.upper() == "README" or path.name == journal.NAME:
            continue
        archive = archive_at(path, folder)
        if archive is not None:
            stored[path.with_suffix("")] = archive  # the zip comes after the CSV that was unpacked beside it
        elif path.suffix.lower() == ".gz" and is_indexed(path):
            series.setdefault((path.parent, place_of(path)[0]), []).append(path)
        elif path.suffix.lower() in _SUFFIXES:
            plain.append((path, venue))
    found: list[Recorded] = []
    for path, venue in plain:
        found.append(RecordedFile(path, venue, len(found)))
    for (parent, _), paths in series.items():
        venue = venue_of(paths[0], folder)
        assert venue is not None, parent
        found.append(RecordedSeries(sorted(paths, key=place_of), venue, len(found)))
    played, left_out = tradings(list(stored.values()))
    found.extend(PlayedArchives(files, number) for number, files in enumerate(played, len(found)))
    if left_out:
        log.warning("%d archives are left out, others have their days: %s", len(left_out), ", ".join(file.path.name for file in left_out))
    if not found:
        raise DependencyError(
            f"no recorded file is in {folder}",
            f"recordings ({', '.join(_SUFFIXES)}) and archives of trades belong into folders {', '.join(FOLDERS)}, one a venue",
        )
    return found
