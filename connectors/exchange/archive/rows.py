"""Rows of archives as they are documented: https://github.com/binance/binance-public-data.

Futures' files have a line of names at their beginning, older ones and spot's have none. Times are milliseconds, in spot's files since
January 2025 microseconds; prices and quantities are the venue's decimal text.
"""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from typing import NamedTuple, TypeVar

from connectors.exchange.archive.names import ArchiveFile, ArchiveKind
from quantum.errors import DependencyError

_MILLISECOND = 1_000
_MICROSECONDS_FROM = 100_000_000_000_000
"""As milliseconds it would be the year 5138, as microseconds it is 1973."""
_BOOLEANS = {"true": True, "True": True, "false": False, "False": False}
_COLUMNS = {ArchiveKind.TRADES: (6, 7), ArchiveKind.AGG_TRADES: (7, 8), ArchiveKind.KLINES: (12,)}
_NAMES = {
    ArchiveKind.TRADES: {1: "price", 2: "qty", 4: "time"},
    ArchiveKind.AGG_TRADES: {1: "price", 2: "quantity", 3: "first_trade_id", 4: "last_trade_id", 5: "transact_time"},
    ArchiveKind.KLINES: {0: "open_time", 1: "open", 2: "high", 3: "low", 4: "close", 5: "volume", 6: "close_time"},
}
"""Names that a line of names must have, by column."""
RowT = TypeVar("RowT")


class ArchivedTrade(NamedTuple):
    """A trade, or trades of one taker's order at one price that are one row of ``aggTrades``.

    Attributes
    ----------
    id
        Its id; of an aggregate its own, which counts up by one like trades' ids do.
    price, quantity
        Decimal text.
    ts
        When it happened, microseconds.
    buyer_is_maker
        Whether the taker sold.
    first_id, last_id
        Ids of the trades that it is made of.
    """

    id: int
    price: str
    quantity: str
    ts: int
    buyer_is_maker: bool
    first_id: int
    last_id: int


class ArchivedKline(NamedTuple):
    """A kline: times in microseconds, ``close_ts`` exclusive; the rest decimal text, volumes in what the venue counts in."""

    open_ts: int
    close_ts: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    quote_volume: str
    trades: int
    taker_buy_volume: str


class ArchiveRows:
    """The rows of an archive.

    Parameters
    ----------
    file
        The archive.

    Attributes
    ----------
    bad : int
        Rows that are not as documented; they are left out.
    damage : str
        Why reading ended before the end; empty where it did not.
    """

    def __init__(self, file: ArchiveFile) -> None:
        self.bad = 0
        self.damage = ""
        self._file = file
        self._raw: BufferedReader | None = None

    @property
    def position(self) -> int:
        """How many bytes of the file have been read, while rows are given."""
        return 0 if self._raw is None else self._raw.tell()

    def trades(self) -> Iterator[ArchivedTrade]:
        """Yield the trades or aggregate trades, in the order of the file."""
        aggregate = self._file.kind is ArchiveKind.AGG_TRADES
        for row in self._rows():
            try:
                number, price, quantity = int(row[0]), row[1], row[2]
                float(price), float(quantity)
                if aggregate:
                    found = ArchivedTrade(number, price, quantity, _ts(row[5]), _BOOLEANS[row[6]], int(row[3]), int(row[4]))
                else:
                    found = ArchivedTrade(number, price, quantity, _ts(row[4]), _BOOLEANS[row[5]], number, number)
            except (ValueError, KeyError):
                self.bad += 1
            else:
                yield found

    def klines(self) -> Iterator[ArchivedKline]:
        """Yield the klines, in the order of the file."""
        for row in self._rows():
            try:
                for text in (*row[1:6], row[7], row[9]):
                    float(text)
                # the venue names the last instant of a kline, which is one millisecond or microsecond before the end
                found = ArchivedKline(
                    _ts(row[0]), _ts(str(int(row[6]) + 1)), row[1], row[2], row[3], row[4], row[5], row[7], int(row[8]), row[9]
                )
            except ValueError:
                self.bad += 1
            else:
                yield found

    def _rows(self) -> Iterator[list[str]]:
        self.bad, self.damage = 0, ""
        widths, names = _COLUMNS[self._file.kind], _NAMES[self._file.kind]
        try:
            with self._open() as stream:
                for number, row in enumerate(csv.reader(stream)):
                    if number == 0 and row and not row[0].strip().isdigit():
                        if any(column >= len(row) or row[column].strip().lower() != name for column, name in names.items()):
                            self.damage = f"{self._file.path}: its columns are {', '.join(row)}, which is not what is documented"
                            return
                    elif len(row) in widths:
                        yield row
                    elif row:
                        self.bad += 1
        except (zipfile.BadZipFile, zlib.error, EOFError, UnicodeDecodeError, csv.Error) as error:
            self.damage = f"{self._file.path}: {error}"

    @contextmanager
    def _open(self) -> Iterator[io.TextIOBase]:
        path = self._file.path
        try:
            with path.open("rb") as self._raw:
                if path.suffix != ".zip":
                    yield io.TextIOWrapper(self._raw, encoding="ascii", newline="")
                    return
                with zipfile.ZipFile(self._raw) as packed:
                    inside = [name for name in packed.namelist() if name.endswith(".csv")]
                    if len(inside) != 1:
                        raise zipfile.BadZipFile(f"it has {len(inside)} CSV files inside, not one")
                    with packed.open(inside[0]) as stream, io.TextIOWrapper(stream, encoding="ascii", newline="") as text:
                        yield text
        except OSError as error:
            raise DependencyError(f"{path} cannot be read: {error.strerror or error}", "check the file's permissions") from error
        finally:
            self._raw = None


def checksum(file: ArchiveFile) -> bool | None:
    """Return whether a file is what its ``.CHECKSUM`` beside it says; None where there is none."""
    beside = file.path.with_name(f"{file.path.name}.CHECKSUM")
    if not beside.exists():
        return None
    with file.path.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest() == beside.read_text().split(maxsplit=1)[0].lower()


def _ts(text: str) -> int:
    """Return a time in microseconds."""
    number = int(text)
    return number if number >= _MICROSECONDS_FROM else number * _MILLISECOND
