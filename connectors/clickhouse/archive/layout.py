"""What stands where in an archive of the history, and whether it is whole."""

from __future__ import annotations

import hashlib
import os
import re
from datetime import date
from pathlib import Path
from typing import TypeVar

import msgspec

from quantum.errors import DependencyError

FORMAT = 1
MANIFEST = "manifest.json"
_CHUNK = 1_048_576
_NAME = re.compile(r"[A-Za-z0-9_]+")
StructT = TypeVar("StructT", bound=msgspec.Struct)


class ArchiveError(DependencyError):
    """Files of an archive are missing, damaged, or of another make."""


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one partition on one day.

    Attributes
    ----------
    rows : int
        How many.
    first, last : int
        Least and greatest offset.
    mark : str
        Hash of the rows' places, times and trace contexts, decimal: the same rows have the same, in any order.
    """

    rows: int
    first: int
    last: int
    mark: str


Spans = dict[int, Span]
"""By partition."""


class DayFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of one table and day.

    Attributes
    ----------
    bytes : int
        Its length.
    sha256 : str
        Hash of its bytes, hexadecimal.
    spans : dict of int to Span
        Its rows by partition.
    """

    bytes: int
    sha256: str
    spans: Spans

    @property
    def rows(self) -> int:
        """Its rows."""
        return sum(span.rows for span in self.spans.values())


class TableManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive has of one table.

    Attributes
    ----------
    table, topic : str
        Name of the table, and of the topic that it keeps.
    cluster, topic_id : str
        Ids of the Kafka cluster and of the topic that the rows' offsets belong to.
    columns : dict of str to str
        ClickHouse's types of its columns, in order.
    days : dict of str to dict of int to Span
        What the table had on every day, exported or not.
    files : dict of str to DayFile
        The files, by day.
    """

    table: str
    topic: str
    cluster: str
    topic_id: str
    columns: dict[str, str]
    days: dict[str, Spans]
    files: dict[str, DayFile]


class Whole(msgspec.Struct, frozen=True, kw_only=True):
    """A table's part of an archive.

    Attributes
    ----------
    sha256 : str
        Hash of its manifest, hexadecimal.
    rows, files, bytes : int
        What it comes to.
    """

    sha256: str
    rows: int
    files: int
    bytes: int


class ArchiveManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive is; there only once an export has ended.

    Attributes
    ----------
    format : int
        Version of this layout.
    revision : str
        Git revision of the code that wrote it.
    migrations : list of str
        Migrations that the store had.
    created : str
        When, ISO 8601, UTC.
    tables : dict of str to Whole
        The tables.
    """

    format: int
    revision: str
    migrations: list[str]
    created: str
    tables: dict[str, Whole]


class Archive:
    """An archive in a folder.

    Parameters
    ----------
    folder
        The folder; it need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, table: str, day: str) -> Path:
        """Return where the rows of a day are."""
        try:
            return self.folder / _plain(table) / f"{date.fromisoformat(day)}.parquet"
        except ValueError as error:
            raise ArchiveError(f"{day!r} is no day", "the manifest has been tampered with: take another copy") from error

    def table_file(self, table: str) -> Path:
        """Return where a table's manifest is."""
        return self.folder / _plain(table) / MANIFEST

    def manifest(self) -> ArchiveManifest:
        """Return what the archive is.

        Raises
        ------
        ArchiveError
            It is not there, was never finished, is damaged, or of a later format.
        """
        path = self.folder / MANIFEST
        if not path.exists():
            raise ArchiveError(f"{self.folder} is no finished export: it has no {MANIFEST}", "repeat the export into it, or name another")
        found = read(path, ArchiveManifest)
        if found.format > FORMAT:
            raise ArchiveError(f"{path} has format {found.format}, this program reads up to {FORMAT}", "use the version that wrote it")
        return found

    def table(self, name: str, whole: Whole) -> TableManifest:
        """Return the manifest of a table; raises ArchiveError where it is not the one that the archive was finished with."""
        path = self.table_file(name)
        if sha256_of(path) != whole.sha256:
            raise damaged(path, "it has been changed since the export ended")
        return read(path, TableManifest)

    def check(self, table: str, day: str, entry: DayFile) -> None:
        """Compare a file with its checksum; raises ArchiveError where they differ."""
        path = self.file(table, day)
        try:
            size = path.stat().st_size
        except OSError as error:
            raise damaged(path, error.strerror or str(error)) from error
        if size != entry.bytes:
            raise damaged(path, f"it has {size} bytes, the manifest says {entry.bytes}")
        if sha256_of(path) != entry.sha256:
            raise damaged(path, "its SHA-256 is not the manifest's")

    def verify(self) -> None:
        """Compare every file with its checksum; raises ArchiveError where one differs."""
        for name, whole in self.manifest().tables.items():
            for day, entry in self.table(name, whole).files.items():
                self.check(name, day, entry)


def read(path: Path, kind: type[StructT]) -> StructT:
    """Return what a file says; raises ArchiveError where it cannot be read as that."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise damaged(path, error.strerror or str(error)) from error
    except msgspec.DecodeError as error:
        raise damaged(path, str(error)) from error


def write(path: Path, value: msgspec.Struct) -> str:
    """Write a file whole or not at all; returns the SHA-256 of its bytes."""
    data = msgspec.json.format(msgspec.json.encode(value), indent=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    return hashlib.sha256(data).hexdigest()


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, read piece by piece; raises ArchiveError where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(_CHUNK):
                digest.update(piece)
    except OSError as error:
        raise damaged(path, error.strerror or str(error)) from error
    return digest.hexdigest()


def damaged(path: Path, why: str) -> ArchiveError:
    """Return the error of a file that cannot be used."""
    return ArchiveError(f"{path} is damaged or missing: {why}", "take another copy of the archive; nothing of it has been imported")


def _plain(table: str) -> str:
    """Return a table's name, which is a folder's as well; raises ArchiveError for one that could lead out of the archive."""
    if not _NAME.fullmatch(table):
        raise ArchiveError(f"{table!r} cannot be the name of a table", "the manifest has been tampered with: take another copy")
    return table
