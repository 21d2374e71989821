"""What stands where in a backup, whether it is whole, and the same as one file."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from connectors.clickhouse.archive.layout import ArchiveError, damaged, read, sha256_of, write

FORMAT = 1
MANIFEST = "manifest.json"
HISTORY = "history"
RECORDS = "records"
REGISTRY = "registry.zip"
LISTING = "registry.json"
TOPICS = "topics.json"
MODELS = "models"
SECRETS = "secrets"
PACKED = ".tar"
_MINE = frozenset({MANIFEST, HISTORY, RECORDS, REGISTRY, LISTING, TOPICS, MODELS, SECRETS})


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """A topic: its number of partitions, and what it has set itself."""

    partitions: int
    settings: dict[str, str]


class Topics(msgspec.Struct, frozen=True, kw_only=True):
    """The topics of the platform, by name."""

    topics: dict[str, Topic]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup is; there only once it is whole.

    Attributes
    ----------
    format : int
        Version of this layout.
    revision : str
        Git revision of the code that wrote it.
    created : str
        When, ISO 8601, UTC.
    cluster : str
        Id of the Kafka cluster.
    partitions : int
        QUANTUM_PARTITIONS of the platform.
    running : list of str
        Consumer groups that were at work meanwhile; empty for a platform that stood still.
    files : dict of str to str
        SHA-256 of every other file, by its path within the backup.
    """

    format: int
    revision: str
    created: str
    cluster: str
    partitions: int
    running: list[str]
    files: dict[str, str]


def begin(folder: Path, cluster: str) -> None:
    """Make a folder ready to be written: what it holds of a backup before is kept, and is not whole any more.

    Parameters
    ----------
    folder
        The folder.
    cluster
        Id of the Kafka cluster that is backed up.

    Raises
    ------
    ArchiveError
        It holds something else, or a backup of another platform.
    """
    folder.mkdir(parents=True, exist_ok=True)
    strange = sorted(path.name for path in folder.iterdir() if path.name not in _MINE)
    if strange:
        raise ArchiveError(f"{folder} holds what is no backup: {', '.join(strange[:5])}", "name an empty folder, or one with a backup")
    before = folder / MANIFEST
    if before.exists() and read(before, Manifest).cluster != cluster:
        raise ArchiveError(f"{folder} holds a backup of another platform", "name another folder")
    before.unlink(missing_ok=True)
    for name in (RECORDS, MODELS, SECRETS):  # small, and made anew
        shutil.rmtree(folder / name, ignore_errors=True)


def end(folder: Path, manifest: Manifest) -> Manifest:
    """Write the manifest over what a folder holds, and return it."""
    files = {str(path.relative_to(folder)): sha256_of(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    whole = msgspec.structs.replace(manifest, files=files)
    write(folder / MANIFEST, whole)
    return whole


def check(folder: Path) -> Manifest:
    """Return the manifest of a backup of which every file is what it was.

    Raises
    ------
    ArchiveError
        A file is missing, damaged, or not of the backup.
    """
    path = folder / MANIFEST
    if not path.exists():
        raise ArchiveError(f"{folder} is no finished backup: it has no {MANIFEST}", "take another, or repeat quantum backup")
    found = read(path, Manifest)
    if found.format > FORMAT:
        raise ArchiveError(f"{path} has format {found.format}, this program reads up to {FORMAT}", "use the version that wrote it")
    for name, digest in found.files.items():
        file = folder / name
        if not file.resolve().is_relative_to(folder.resolve()):
            raise damaged(path, f"it names {name}, which is outside")
        if sha256_of(file) != digest:
            raise damaged(file, "its SHA-256 is not the manifest's")
    missing = {f"{HISTORY}/{MANIFEST}", REGISTRY, LISTING, TOPICS} - found.files.keys()
    if missing:
        raise damaged(path, f"it lacks {', '.join(sorted(missing))}")
    return found


@contextmanager
def writing(target: Path) -> Iterator[Path]:
    """Give the folder that a backup is written to; where the target is one file, it is there whole or not at all.

    A folder beside it takes the files first, and is left where the block fails, so that repeating it goes on.
    """
    if target.suffix != PACKED:
        yield target
        return
    folder = target.with_name(f".{target.name}.parts")
    yield folder
    aside = target.with_name(f".{target.name}.aside")
    try:
        with tarfile.open(aside, "w") as packed:
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    packed.add(path, str(path.relative_to(folder)))
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
    shutil.rmtree(folder)


@contextmanager
def reading(source: Path) -> Iterator[Path]:
    """Give the folder of a backup; one file is unpacked for the length of the block, beside it.

    Raises
    ------
    ArchiveError
        There is no backup there, or the file is damaged.
    """
    if source.is_dir():
        yield source
        return
    if not source.exists():
        raise ArchiveError(f"{source} is not there", "name the folder or file that quantum backup wrote")
    with tempfile.TemporaryDirectory(prefix=f".{source.name}.", dir=source.absolute().parent) as folder:
        try:
            with tarfile.open(source, "r:") as packed:
                packed.extractall(folder, filter="data")
        except (tarfile.TarError, OSError) as error:
            raise damaged(source, str(error)) from error
        yield Path(folder)
