"""Which files are archives, what their names say, and which of several that overlap are used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from connectors.exchange.venues import BINANCE_VENUES, FOLDERS, Venue
from quantum.errors import DependencyError

_NAME = re.compile(
    r"(?P<symbol>[^-/]+)-(?:(?P<kind>trades|aggTrades)|(?P<interval>\d+(?:s|m|h|d|w|mo)))-(?P<period>\d{4}-\d{2}(?:-\d{2})?)\.(?:zip|csv)"
)


class ArchiveKind(StrEnum):
    """What an archive has rows of."""

    TRADES = "trades"
    AGG_TRADES = "aggTrades"
    KLINES = "klines"


class ArchiveFile(NamedTuple):
    """An archive.

    Attributes
    ----------
    path
        The file.
    venue
        Venue of its rows.
    symbol
        Symbol of its rows.
    kind
        What they are.
    interval
        Length of a kline; empty for trades.
    start, end
        Days that it covers, the second one exclusive.
    """

    path: Path
    venue: Venue
    symbol: str
    kind: ArchiveKind
    interval: str
    start: date
    end: date


def archive_at(path: Path, root: Path) -> ArchiveFile | None:
    """Return what the name of a file says, as ``BTCUSDT-trades-2024-08-08.zip``; None where it is no archive's.

    The venue is that of the nearest folder called ``spot``, ``um`` or ``usdm``, ``cm`` or ``coinm``, below ``root`` or above.
    """
    name = _NAME.fullmatch(path.name)
    venue = venue_of(path, root)
    if name is None or venue not in BINANCE_VENUES:
        return None
    kind = ArchiveKind(name["kind"]) if name["kind"] else ArchiveKind.KLINES
    try:
        start, end = _period(name["period"])
    except ValueError:
        return None
    return ArchiveFile(path, venue, name["symbol"].upper(), kind, name["interval"] or "", start, end)


def venue_of(path: Path, root: Path) -> Venue | None:
    """Return the venue that the nearest folder of a file names, below ``root`` first, then ``root`` itself and what is above it."""
    names = [*path.relative_to(root).parts[:-1][::-1], *root.absolute().parts[::-1]]
    return next((FOLDERS[name.lower()] for name in names if name.lower() in FOLDERS), None)


def archives(paths: Iterable[Path]) -> list[ArchiveFile]:
    """Return the archives among files and below folders, each once, by venue, symbol, kind and day.

    Raises
    ------
    DependencyError
        A file or folder is not there, a file is no archive, or there is none at all.
    """
    found: dict[Path, ArchiveFile] = {}
    for given in paths:
        if not given.exists():
            raise DependencyError(f"there is no {given}", "give archives or folders that have some")
        for path in [given] if given.is_file() else sorted(given.rglob("*")):
            file = archive_at(path, given.parent if given.is_file() else given)
            if file is not None:
                found[path.absolute().with_suffix("")] = file  # the zip comes after the CSV that was unpacked beside it
            elif given.is_file():
                raise DependencyError(
                    f"{path} is no archive of a known venue",
                    "archives are called as they were downloaded, BTCUSDT-trades-2024-08-08.zip, in a folder spot, um or cm",
                )
    if not found:
        raise DependencyError("there is no archive", "archives are called as they were downloaded, BTCUSDT-1m-2024-08.zip")
    return sorted(found.values(), key=lambda file: (file.venue.name, file.symbol, file.kind, file.interval, file.start, file.end))


def without_overlaps(files: Sequence[ArchiveFile]) -> tuple[list[ArchiveFile], list[ArchiveFile]]:
    """Return the files of one kind whose days follow one another, and those whose days others have: a month's before its days'."""
    used: list[ArchiveFile] = []
    left_out: list[ArchiveFile] = []
    for file in sorted(files, key=lambda file: (file.start, -file.end.toordinal())):
        (left_out if used and file.start < used[-1].end else used).append(file)
    return used, left_out


def tradings(files: Sequence[ArchiveFile]) -> tuple[list[list[ArchiveFile]], list[ArchiveFile]]:
    """Return the files that trades are played from, a list for each symbol by day, and those that are left out.

    Aggregate trades are used where a symbol has no trades themselves. The two are never mixed, for each counts its own ids.
    """
    kept, left_out = [], []
    for key in dict.fromkeys((file.venue, file.symbol) for file in files if file.kind is not ArchiveKind.KLINES):
        own = [file for file in files if (file.venue, file.symbol) == key]
        trades = [file for file in own if file.kind is ArchiveKind.TRADES]
        aggregates = [file for file in own if file.kind is ArchiveKind.AGG_TRADES]
        used, doubled = without_overlaps(trades or aggregates)
        kept.append(used)
        left_out += [*doubled, *(aggregates if trades else [])]
    return kept, left_out


def day_ns(day: date) -> int:
    """Return the beginning of a day, UTC, nanoseconds since the epoch."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000_000


def _period(text: str) -> tuple[date, date]:
    if len(text) == len("2024-08"):
        start = date.fromisoformat(f"{text}-01")
        return start, (start + timedelta(days=31)).replace(day=1)
    start = date.fromisoformat(text)
    return start, start + timedelta(days=1)
