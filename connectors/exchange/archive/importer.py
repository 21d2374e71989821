"""Archives of trades into a recording: the same files as the recorder's, so that a replay finds any time in them without reading the rest.

What is written and how far the archives are read is committed together (see `connectors.exchange.recording.journal`): an import that ends
in the middle, by whatever means, goes on where it was when it is repeated, and no row is there twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from connectors.exchange.archive.check import TELL_ROWS, Checked, check
from connectors.exchange.archive.names import ArchiveFile, ArchiveKind, day_ns, tradings
from connectors.exchange.archive.played import payload_of
from connectors.exchange.archive.rows import ArchivedTrade, ArchiveRows
from connectors.exchange.recording.journal import Imported, Journal, cut_back, read_journal
from connectors.exchange.recording.writer import RecordingWriter, series_of
from connectors.exchange.venues import Channel
from quantum.errors import ConfigurationError, DependencyError
from schemas.common import FrameKind
from schemas.exchange.records import ExchangeFrame

Told = Callable[[str, int, int], None]
"""Told what is done, how much of it, and how much there is, kilobytes of archives."""
KILOBYTE = 1_000
COMMIT_BYTES = 16_000_000
MAX_BYTES = 512_000_000


class ImportSummary(msgspec.Struct, kw_only=True):
    """What an import did.

    Attributes
    ----------
    rows : int
        Rows recorded now.
    archives : int
        Archives that are in the recording.
    present : int
        Archives that were there before.
    left_out : list
        Archives whose days others have, and those of klines: bars are made from trades.
    faulty : list
        Archives with something wrong, and what.
    """

    rows: int
    archives: int
    present: int
    left_out: list[str]
    faulty: list[Checked]


class Progress:
    """How far archives are read, all together.

    Parameters
    ----------
    what
        What is done with them.
    files
        The archives.
    tell
        Told of it.
    """

    def __init__(self, what: str, files: Sequence[ArchiveFile], tell: Told) -> None:
        self._what = what
        self._total = sum(file.path.stat().st_size for file in files)
        self._done = 0
        self._tell = tell
        self.within(0)

    def within(self, read: int) -> None:
        """Take how many bytes of the present archive are read."""
        self._tell(f"{self._what}, kB", (self._done + read) // KILOBYTE, self._total // KILOBYTE)

    def ended(self, file: ArchiveFile) -> None:
        """Take that an archive is read."""
        self._done += file.path.stat().st_size
        self.within(0)


class ArchiveImporter:
    """Imports archives into the recording of a folder.

    Parameters
    ----------
    folder
        The folder.
    tell
        Told how far it is.

    Raises
    ------
    ConfigurationError
        The folder has the recording of a topic.
    DependencyError
        A file of the recording is shorter than its journal says, or cannot be written.
    """

    def __init__(self, folder: Path, tell: Told) -> None:
        self._tell = tell
        self._folder = folder
        with self._on_disk():
            folder.mkdir(parents=True, exist_ok=True)
            journal = read_journal(folder) or Journal(cluster="", topic="", topic_id="")
            if journal.topic:
                raise ConfigurationError(f"{folder} has a recording of {journal.topic}", "import archives into a folder of their own")
            cut_back(folder, journal)
        self._writer = RecordingWriter(folder, journal, "day", MAX_BYTES)

    def run(self, files: Sequence[ArchiveFile]) -> ImportSummary:
        """Check the archives, then record those that are not recorded yet.

        Raises
        ------
        DependencyError
            The bytes of an archive are not those of its checksum; nothing of it is recorded.
        ConfigurationError
            Days before those that are recorded.
        """
        kept, doubled = tradings(files)
        left_out = [*doubled, *(file for file in files if file.kind is ArchiveKind.KLINES)]
        wanted = [file for own in kept for file in own]
        known = self._writer.journal.archives
        fresh = [file for file in wanted if (found := known.get(_name(file))) is None or not found.whole]
        for file in fresh:
            self._follows(file)
        faulty = self._checked(fresh)
        told = Progress("recording", fresh, self._tell)
        rows = 0
        for file in fresh:
            rows += self._record(file, told)
            told.ended(file)
        return ImportSummary(
            rows=rows, archives=len(wanted), present=len(wanted) - len(fresh), left_out=[str(file.path) for file in left_out], faulty=faulty
        )

    def _follows(self, file: ArchiveFile) -> None:
        """Refuse an archive whose days are before the last that its symbol has, for files are never gone back to; and another kind."""
        series, name = _series(file), _name(file)
        for other, done in self._writer.journal.archives.items():
            if not other.startswith(f"{series}/") or other == name:
                continue
            called = other.rpartition("/")[2]
            if day_ns(file.start) < done.end_ns:
                raise ConfigurationError(
                    f"{file.path} begins before the end of {called}, which is recorded in {self._folder}",
                    "import earlier days into another folder, or all of them into an empty one",
                )
            if f"-{file.kind}-" not in called:
                raise ConfigurationError(
                    f"{file.path} has {file.kind}, and {called} is recorded in {self._folder}: each counts its own ids",
                    "import them into another folder",
                )

    def _checked(self, files: Sequence[ArchiveFile]) -> list[Checked]:
        faulty = []
        told = Progress("checking", files, self._tell)
        for file in files:
            found = check(file, told.within)
            told.ended(file)
            if found.checksum == "WRONG":
                raise DependencyError(f"{file.path} is not what its .CHECKSUM says", "download it again; nothing has been recorded")
            if not found.good:
                faulty.append(found)
        return faulty

    def _record(self, file: ArchiveFile, told: Progress) -> int:
        name, end_ns = _name(file), day_ns(file.end)
        known = self._writer.journal.archives.get(name)
        before = done = 0 if known is None else known.rows
        rows = ArchiveRows(file)
        for number, trade in enumerate(rows.trades()):
            if number % TELL_ROWS == 0:
                told.within(rows.position)
            if number < before:
                continue
            self._writer.add(_frame(file, trade))
            done = number + 1
            if self._writer.pending_bytes >= COMMIT_BYTES:
                self._commit(name, Imported(done, end_ns, whole=False))
        self._commit(name, Imported(done, end_ns, whole=True))
        return done - before

    def _commit(self, name: str, done: Imported) -> None:
        with self._on_disk():
            self._writer.commit({}, archives={name: done})

    @contextmanager
    def _on_disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DependencyError(f"{self._folder} cannot be written: {error}", "make room, or name another folder") from error


def _frame(file: ArchiveFile, trade: ArchivedTrade) -> ExchangeFrame:
    """Return a trade as a frame without numbers of its own."""
    return ExchangeFrame(
        event_id="", event_ts=trade.ts, ingest_ts=trade.ts, venue=file.venue.name, symbol=file.symbol, channel=Channel.TRADE,
        kind=FrameKind.REST, session="", sequence=0, payload=payload_of(trade),
    )  # fmt: skip


def _series(file: ArchiveFile) -> str:
    return series_of(file.venue.name, file.symbol)


def _name(file: ArchiveFile) -> str:
    return f"{_series(file)}/{file.path.stem}"
