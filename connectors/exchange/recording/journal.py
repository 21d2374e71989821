"""How far a recording has come: which offsets its files hold, and how long the files are that it goes on with.

The journal is the truth about the recording. It is replaced as a whole, after everything that it speaks of is on disk:

1. files that are to be begun are named in it, beside the old offsets;
2. the lines are appended to their files, and these brought to disk;
3. the journal with the new offsets and lengths replaces the old one.

Whenever the recorder ends, by whatever means, the next one finds a journal, removes the files that were to be begun, cuts those that it
names back to the length that it says, and reads on at its offsets: what was written after it is written again, and nothing else is touched.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from quantum.errors import ConfigurationError, DependencyError

NAME = "recording.json"
FORMAT = 1


class Growing(msgspec.Struct):
    """The file that a symbol's frames are appended to.

    Attributes
    ----------
    slot : str
        Hour or day that it began with, UTC: ``20240808T23`` or ``20240808``.
    part : int
        Which file of the slot it is, from 0.
    length : int
        Bytes that are recorded; what a file has behind them is not part of the recording.
    """

    slot: str
    part: int = 0
    length: int = 0


class Hole(msgspec.Struct, frozen=True):
    """Offsets of a partition, from the first to before the second, that Kafka had deleted before they were recorded."""

    partition: int
    first: int
    after: int


class Imported(msgspec.Struct, frozen=True):
    """How much of an archive is recorded: rows, the first time of the day after its last, nanoseconds, and whether that is all."""

    rows: int
    end_ns: int
    whole: bool


class Journal(msgspec.Struct, kw_only=True):
    """The state of a recording.

    Attributes
    ----------
    format : int
        Version of this layout.
    cluster, topic, topic_id : str
        What is recorded; empty where archives are.
    offsets : dict
        Next offset to be recorded, by partition.
    files : dict
        What is written to, by path of the series within the folder, without slot and suffix: ``usdm/btcusdt``.
    begun : list
        Paths within the folder of files that may have been begun since.
    archives : dict
        Archives that the files are made of, instead of a topic, by series and name: ``usdm/btcusdt/BTCUSDT-trades-2024-08-08``.
    frames : int
        Frames in the files so far.
    holes : list
        What is missing.
    """

    format: int = FORMAT
    cluster: str
    topic: str
    topic_id: str
    offsets: dict[int, int] = {}
    files: dict[str, Growing] = {}
    begun: list[str] = []
    archives: dict[str, Imported] = {}
    frames: int = 0
    holes: list[Hole] = []


def file_of(folder: Path, series: str, growing: Growing) -> Path:
    """Return where a file is: ``usdm/btcusdt_20240808T23.gz``, further ones of the slot with ``_001`` and so on."""
    part = f"_{growing.part:03}" if growing.part else ""
    return folder / f"{series}_{growing.slot}{part}.gz"


def read_journal(folder: Path) -> Journal | None:
    """Return the journal of a recording; None where there is none yet.

    Raises
    ------
    DependencyError
        It cannot be read.
    """
    path = folder / NAME
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Journal)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise DependencyError(f"{path} cannot be read: {error}", "record into another folder; this one's files stay as they are") from error
    if found.format > FORMAT:
        raise ConfigurationError(f"{path} has format {found.format}, this program writes up to {FORMAT}", "use the version that wrote it")
    return found


def write_journal(folder: Path, journal: Journal) -> None:
    """Replace the journal; it is on disk when this returns."""
    path = folder / NAME
    aside = path.with_name(f".{NAME}.new")
    with aside.open("wb") as file:
        file.write(msgspec.json.encode(journal))
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def cut_back(folder: Path, journal: Journal) -> int:
    """Cut the files that a journal names back to what it says; returns the bytes that were behind it.

    Raises
    ------
    DependencyError
        A file is shorter than the journal says, or gone.
    """
    cut = 0
    for name in journal.begun:
        path = folder / name
        if path.exists():
            cut += path.stat().st_size
            path.unlink()
    for series, growing in journal.files.items():
        path = file_of(folder, series, growing)
        size = path.stat().st_size if path.exists() else 0
        if size < growing.length:
            raise DependencyError(
                f"{path} has {size} bytes, {folder / NAME} says {growing.length}", "put it back, or record into another folder"
            )
        if size > growing.length:
            os.truncate(path, growing.length)
            cut += size - growing.length
    return cut
