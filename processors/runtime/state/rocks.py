"""The committed bytes of a shard on disk, in RocksDB."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec
from rocksdict import BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, Options, Rdict, WriteBatch

from processors.runtime.state.store import Change, Encode, Mark
from quantum.errors import DependencyError

log = logging.getLogger(__name__)

#: What is kept beside the values; a folder of another format is restored from the changelog.
FORMAT: Final = 1
_ABOUT: Final = b"\x00"
_VALUE: Final = b"\x01"
_CHUNK: Final = 1_000
_DAMAGED: Final = "DAMAGED"
#: What RocksDB says when its files are not what it wrote, and a new folder would do; other errors are the disk's.
_DAMAGE: Final = ("Corruption", "No such file or directory", "Invalid argument", "Not implemented")


class _About(msgspec.Struct, frozen=True):
    topic_id: str
    position: int
    since: float
    format: int = FORMAT


def options(cache_bytes: int = 32 << 20) -> Options:
    """Return RocksDB's options, for all stores of a worker.

    A worker has a store for every table and partition, often dozens, so each is kept small: two write buffers of 4 MiB; indexes,
    filters and blocks in one cache that all share; few open files, two background threads for all. Blocks are compressed with lz4,
    which costs less than reading what it saves.
    Every write goes to the log, without fsync: a killed process loses nothing of it, a power failure the last batches as a whole, and
    the mark with them, so that the changelog has the rest.
    """
    chosen = Options(raw_mode=True)
    chosen.create_if_missing(True)
    chosen.set_write_buffer_size(4 << 20)
    chosen.set_max_write_buffer_number(2)
    chosen.set_max_background_jobs(2)
    chosen.set_max_open_files(128)
    chosen.set_compression_type(DBCompressionType.lz4())
    chosen.set_wal_recovery_mode(DBRecoveryMode.point_in_time())
    chosen.set_keep_log_file_num(2)
    chosen.set_max_log_file_size(1 << 20)
    chosen.set_stats_dump_period_sec(0)
    blocks = BlockBasedOptions()
    blocks.set_block_cache(Cache(cache_bytes))
    blocks.set_cache_index_and_filter_blocks(True)
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(True)
    blocks.set_bloom_filter(10, False)
    chosen.set_block_based_table_factory(blocks)
    return chosen


class RocksStore:
    """Committed bytes in a folder of their own, by the changelog's keys.

    A folder that RocksDB cannot read is wiped: the changelog has everything.

    Parameters
    ----------
    path
        The folder; nothing else may be in it.
    encode_key, decode_key
        The table's key to the changelog's bytes and back.
    chosen
        RocksDB's options, see :func:`options`.

    Raises
    ------
    DependencyError
        The disk does not do what is asked of it.
    """

    durable = True
    most_decoded: float = 10_000

    def __init__(self, path: Path, encode_key: Encode, decode_key: Callable[[bytes], Any], chosen: Options) -> None:
        self._path = path
        self._encode_key = encode_key
        self._decode_key = decode_key
        self._options = chosen
        self._count: int | None = None
        self._read: dict[Any, bytes | None] = {}
        self._mark: Mark | None = None
        self._db: Rdict = self._open()

    def _open(self) -> Rdict:
        if (self._path / _DAMAGED).exists():
            log.warning("the store %s was found damaged: it is restored from its changelog", self._path)
            self._remove()
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            try:
                return self._look_into(Rdict(str(self._path), self._options))
            except Exception as error:  # rocksdict raises plain Exceptions
                if not any(word in str(error) for word in _DAMAGE):
                    raise
                log.warning("the store %s cannot be read and is restored from its changelog: %s", self._path, error)
            self._remove()
            self._path.mkdir(parents=True)
            return self._look_into(Rdict(str(self._path), self._options))
        except DependencyError:
            raise
        except Exception as error:  # noqa: BLE001  # rocksdict raises plain Exceptions
            self._raise(error, "opened")

    def _look_into(self, db: Rdict) -> Rdict:
        try:
            about = db.get(_ABOUT)
        except Exception:
            db.close()
            raise
        if about is not None:
            with suppress(msgspec.DecodeError):
                found = msgspec.json.decode(about, type=_About)
                self._mark = Mark(found.topic_id, found.position, found.since) if found.format == FORMAT else None
        return db

    @property
    def mark(self) -> Mark | None:
        """What it covers, None for nothing that is known."""
        return self._mark

    def get(self, key: Any) -> bytes | None:
        """Return the committed bytes of a key; remembered until the next write, since an epoch asks again for what it changed."""
        read = self._read
        if key in read:
            return read[key]
        name = _VALUE + (self._encode_key(key) or b"")
        try:
            found: bytes | None = self._db.get(name)
        except Exception as error:  # noqa: BLE001  # rocksdict raises plain Exceptions
            self._raise(error, "read")
        if len(read) >= self.most_decoded:
            read.clear()
        read[key] = found
        return found

    def __contains__(self, key: Any) -> bool:
        return self.get(key) is not None

    def __len__(self) -> int:
        """Return the number of keys; the first time it reads them all, from then on it counts along."""
        if self._count is None:
            self._count = sum(1 for _ in self._names())
        return self._count

    def __iter__(self) -> Iterator[Any]:
        """Yield the keys in the order of their bytes; the store may be changed meanwhile."""
        decode = self._decode_key
        return (decode(name) for name in self._names())

    def _names(self) -> Iterator[bytes]:
        """Yield the changelog's keys, read in pieces: an iterator of RocksDB's would keep files, and the folder's lock, while it lives."""
        start = _VALUE
        while True:
            try:
                piece: list[Any] = list(islice(self._db.keys(from_key=start), _CHUNK))
                if len(piece) < _CHUNK:
                    self._check_end(piece[-1] if piece else start)
            except Exception as error:  # noqa: BLE001  # rocksdict raises plain Exceptions
                self._raise(error, "read")
            for name in piece:
                yield name[1:]
            if len(piece) < _CHUNK:
                return
            start = piece[-1] + b"\x00"

    def _check_end(self, last: bytes) -> None:
        """Raise where iteration ended at a block that cannot be read: Python's iterators over RocksDB end there without a word."""
        after = self._db.iter()
        after.seek(last)
        while after.valid() and after.key() <= last:
            after.next()
        after.status()

    def apply(self, changes: Iterable[Change]) -> None:
        """Take an epoch's changes, all or none."""
        encode = self._encode_key
        self._write([(_VALUE + (encode(key) or b""), data) for key, data in changes], None)

    def load(self, records: Iterable[tuple[bytes, bytes | None]], mark: Mark) -> None:
        """Take records of the changelog, all or none, and how far they go."""
        changed = [(_VALUE + key, data) for key, data in records]
        if changed:
            self._count = None
        self._write(changed, mark)

    def _write(self, records: list[tuple[bytes, bytes | None]], mark: Mark | None) -> None:
        batch = WriteBatch(raw_mode=True)
        for name, data in records:
            if data is None:
                batch.delete(name)
            else:
                batch.put(name, data)
        if mark is not None:
            batch.put(_ABOUT, msgspec.json.encode(_About(mark.topic_id, mark.position, mark.since)))
        try:
            if self._count is not None:
                self._count += self._growth(records)
            self._db.write(batch)
        except Exception as error:  # noqa: BLE001  # rocksdict raises plain Exceptions
            self._raise(error, "written")
        if records:
            self._read.clear()
        self._mark = mark or self._mark

    def _growth(self, records: list[tuple[bytes, bytes | None]]) -> int:
        return sum((data is not None) - (self._db.get(name) is not None) for name, data in records)

    def wipe(self) -> None:
        """Forget everything."""
        try:
            self._db.close()
        except Exception as error:  # noqa: BLE001  # rocksdict raises plain Exceptions; what is thrown away need not be whole
            log.warning("the store %s, which is wiped, does not close: %s", self._path, error)
        self._mark, self._count = None, None
        self._read.clear()
        self._remove()
        self._db = self._open()

    def _remove(self) -> None:
        """Remove the folder; at once, so that a kill does not leave half of it."""
        waste = self._path.with_name(f"{self._path.name}.waste")
        try:
            if waste.exists():
                shutil.rmtree(waste)
            self._path.rename(waste)
            shutil.rmtree(waste)
        except OSError as error:
            self._raise(error, "removed")

    def close(self) -> None:
        """Close the folder, so that it can be opened again; what was written is in its log already, whatever becomes of this."""
        try:
            self._db.close()
        except Exception as error:  # noqa: BLE001  # rocksdict raises plain Exceptions
            log.warning("the store %s does not close cleanly, its log has the rest: %s", self._path, error)

    def _raise(self, error: Exception, done: str) -> NoReturn:
        if "Corruption" in str(error):
            with suppress(OSError):
                (self._path / _DAMAGED).touch()
            remedy = "start the worker again: it restores the store from its changelog; if that happens again, look at the disk"
        else:
            remedy = "make room on its disk and the folder writable, then start the worker again: the changelog has what is missing"
        raise DependencyError(f"the store {self._path} cannot be {done}: {error}", remedy) from error
