"""Stores on disk: what a new process finds, what it must not rely on, and whose a folder is."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from yarl import URL

from processors.runtime import App
from processors.runtime.state.disk import DiskStores, is_on_disk
from processors.runtime.state.rocks import RocksStore, options
from processors.runtime.state.store import Mark
from processors.runtime.state.survey import Facts, distrust
from quantum.errors import ConfigurationError, DependencyError, RetryError

_OPTIONS = options()
_MARK = Mark("topic", 7, 1000.0)
_ROWS: list[tuple[bytes, bytes | None]] = [(b"key%05d" % number, b"value%d" % number) for number in range(5_000)]

#: Writes batches of a hundred keys beneath a limit on the size of files until the store refuses; argv: the store's folder.
_FILL = """
import resource, signal, sys
from pathlib import Path
from processors.runtime.state.rocks import RocksStore, options
from quantum.errors import DependencyError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
store = RocksStore(Path(sys.argv[1]), str.encode, bytes.decode, options())
written = 0
try:
    while True:
        store.apply([(f"{written}-{number}", b"x" * 100) for number in range(100)])
        written += 1
except DependencyError as error:
    print(error)
store.close()
print(written)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that is not there yet."""
    return tmp_path / "worker" / "table" / "0"


def opened(folder: Path) -> RocksStore:
    return RocksStore(folder, str.encode, bytes.decode, _OPTIONS)


@pytest.fixture
def filled(folder: Path) -> Path:
    """A store with 5,000 keys in files, not only in its log."""
    store = opened(folder)
    store.load(_ROWS, _MARK)
    store._db.flush()
    store.close()
    return folder


def test_values_and_mark_outlive_the_process(filled: Path) -> None:
    store = opened(filled)
    assert store.mark == _MARK
    assert len(store) == 5_000
    assert list(store) == [key.decode() for key, _ in _ROWS]
    store.apply([("key00001", None), ("another", b"1")])
    assert (len(store), store.get("key00001"), store.get("another")) == (5_000, None, b"1")
    store.wipe()
    assert list(store) == []
    assert len(store) == 0
    store.close()
    again = opened(filled)
    assert again.mark is None
    again.close()


def test_keys_are_read_in_pieces_that_may_be_changed_meanwhile(filled: Path) -> None:
    store = opened(filled)
    seen = []
    for key in store:
        seen.append(key)
        store.apply([(key, None)])
    assert seen == [key.decode() for key, _ in _ROWS]
    assert len(store) == 0
    store.close()


def _lose(name: str) -> Callable[[Path], None]:
    def lose(folder: Path) -> None:
        for path in folder.glob(name):
            path.unlink()

    return lose


def _overwrite(name: str) -> Callable[[Path], None]:
    def overwrite(folder: Path) -> None:
        for path in folder.glob(name):
            path.write_bytes(b"\xff" * path.stat().st_size)

    return overwrite


@pytest.mark.parametrize(
    "harm", [_lose("CURRENT"), _lose("MANIFEST-*"), _lose("*.sst"), _overwrite("MANIFEST-*"), _overwrite("*.sst"), _overwrite("CURRENT")]
)
def test_a_folder_that_cannot_be_read_is_begun_anew(filled: Path, harm: Callable[[Path], None], caplog: pytest.LogCaptureFixture) -> None:
    harm(filled)
    with caplog.at_level(logging.WARNING):
        store = opened(filled)
    assert (store.mark, list(store)) == (None, [])
    assert str(filled) in caplog.text
    store.load(_ROWS, _MARK)
    assert len(store) == 5_000
    store.close()


def test_damage_that_is_found_later_ends_the_worker_and_the_next_begins_anew(filled: Path) -> None:
    for path in filled.glob("*.sst"):
        with path.open("r+b") as file:
            file.seek(2_000)
            file.write(b"\xff" * 200)
    store = opened(filled)
    with pytest.raises(DependencyError, match=r"(?s)Corruption.*restores the store from its changelog"):
        len(store)
    with pytest.raises(DependencyError, match="Corruption"):
        [store.get(key.decode()) for key, _ in _ROWS]
    store.close()
    again = opened(filled)
    assert (again.mark, list(again)) == (None, [])
    again.close()


def test_a_store_of_another_format_has_no_mark(filled: Path) -> None:
    store = opened(filled)
    store._db[b"\x00"] = b'{"topic_id": "topic", "position": 7, "since": 1000.0, "format": 2}'
    store.close()
    other = opened(filled)
    assert other.mark is None
    other._db[b"\x00"] = b"no JSON"
    other.close()
    torn = opened(filled)
    assert torn.mark is None
    torn.close()


def test_a_disk_that_takes_no_more_is_named_and_loses_whole_batches_only(folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _FILL, str(folder)], capture_output=True, text=True, timeout=60, check=True)
    *error, written = done.stdout.splitlines()
    assert str(folder) in error[0]
    assert "File too large" in error[0]
    assert "make room" in error[-1]
    store = opened(folder)
    names = set(store)
    store.close()
    assert int(written) > 10
    assert names == {f"{batch}-{number}" for batch in range(int(written)) for number in range(100)}


def test_a_place_that_cannot_be_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    with pytest.raises(DependencyError, match=str(tmp_path / "file")):
        opened(tmp_path / "file")
    with pytest.raises(DependencyError, match="datadir"):
        DiskStores(tmp_path / "file").acquire(lambda: False)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[DiskStores]:
    """A worker's folder that a process has."""
    first = DiskStores(tmp_path / "worker")
    first.acquire(lambda: False)
    yield first
    first.release()


def test_a_folder_has_one_process(tmp_path: Path, held: DiskStores) -> None:
    second = DiskStores(tmp_path / "worker")
    with pytest.raises(ConfigurationError, match="worker="):
        second.acquire(lambda: False, wait_s=0.1)
    with pytest.raises(RetryError):
        second.acquire(lambda: True)
    held.release()
    second.acquire(lambda: False, wait_s=0.0)
    second.release()


def test_a_process_that_is_about_to_end_is_waited_for(tmp_path: Path, held: DiskStores) -> None:
    looks: list[int] = []

    def stopping() -> bool:
        looks.append(1)
        if len(looks) == 3:
            held.release()
        return False

    second = DiskStores(tmp_path / "worker")
    second.acquire(stopping, wait_s=30.0)
    assert len(looks) >= 3
    second.release()


@pytest.mark.parametrize(
    ("mark", "facts", "now", "why"),
    [
        (None, Facts(10), 1000.0, "nothing is known"),
        (_MARK, Facts(10, 0, "topic", 86_400), 1000.0, ""),
        (_MARK, Facts(7, 7, "topic", 86_400), 1000.0 + 43_200, ""),
        (_MARK, Facts(10, 0, "another", 86_400), 1000.0, "created anew"),
        (_MARK, Facts(6, 0, "topic", 86_400), 1000.0, "records were lost"),
        (_MARK, Facts(10, 8, "topic", 86_400), 1000.0, "records were deleted"),
        (_MARK, Facts(10, 0, "topic", 86_400), 1001.0 + 43_200, "12.0 h old"),
        (_MARK, Facts(7, 0, "topic", 86_400), 1001.0 + 43_200, ""),
        (_MARK, Facts(10, 0, "topic", 3_600), 1000.0 + 3_600, "compacted away"),
        (_MARK, Facts(10, 0, "topic", 86_400), 900.0, "future"),
    ],
)
def test_when_a_store_is_not_relied_on(mark: Mark | None, facts: Facts, now: float, why: str) -> None:
    found = distrust(mark, facts, now)
    assert bool(found) == bool(why)
    assert why in found


@pytest.mark.parametrize(("url", "expected"), [("memory://", False), ("memory", False), ("rocksdb://", True), ("rocksdb:", True)])
def test_a_stores_url(url: str, expected: bool) -> None:
    assert is_on_disk(url, "App(store=...)") is expected


@pytest.mark.parametrize("url", ["aerospike://", "rocksdb:///var/data", "redis://localhost", "rocks://"])
def test_another_stores_url_is_refused_with_the_alternatives(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"(?s)App\(store=.*memory://.*rocksdb://"):
        is_on_disk(url, "App(store=...)")


def test_a_table_may_be_kept_elsewhere_than_the_others() -> None:
    app = App("mixed", store="rocksdb://")
    windowed = app.Table("windowed", default=int).tumbling(10.0, expires=60.0)
    chosen = [app.Table("one"), app.Table("two", store="memory://"), app.Table("three", store=URL("memory://")), windowed.table]
    assert [table.on_disk for table in chosen] == [True, False, False, True]
    assert not chosen[1].clone().on_disk
    assert not App("plain").Table("one").on_disk
    assert App("plain", store=URL("rocksdb://")).Table("one").on_disk
    with pytest.raises(ConfigurationError, match="redis"):
        app.Table("four", store="redis://localhost")
    with pytest.raises(ConfigurationError, match="options"):
        app.Table("five", options={"write_buffer_size": 1})
