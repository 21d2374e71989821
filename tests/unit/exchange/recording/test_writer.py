"""A recording that is interrupted at any step holds every frame once after the next run."""

from __future__ import annotations

import gzip
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.exchange.recording import writer as module
from connectors.exchange.recording.journal import NAME, Journal, cut_back, read_journal, write_journal
from connectors.exchange.recording.line import line_of
from connectors.exchange.recording.member import INSTRUMENT, SNAPSHOT, is_indexed, members
from connectors.exchange.recording.writer import RecordingWriter
from quantum.errors import ConfigurationError, DependencyError
from schemas.exchange.records import ExchangeFrame
from tests.unit.exchange.recording.frames import story

FRAMES = story(15)


class Killed(BaseException):
    """The process ends here."""


class Disk:
    """Does what the writer does to the disk, up to the moment at which the process is killed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = -1
        append, write = module._append, write_journal

        def torn_append(path: Path, at: int, data: bytes) -> None:
            if self.ends():
                append(path, at, data[: len(data) // 2])
                raise Killed
            append(path, at, data)

        def lost_journal(folder: Path, journal: Journal) -> None:
            if self.ends():
                raise Killed
            write(folder, journal)

        monkeypatch.setattr("os.fsync", lambda _: None)  # a process is killed here, not a machine
        monkeypatch.setattr(module, "_append", torn_append)
        monkeypatch.setattr(module, "write_journal", lost_journal)

    def ends(self) -> bool:
        self.left -= 1
        return self.left == -1


def opened(folder: Path, max_bytes: float = 1e9) -> RecordingWriter:
    """Begin or go on with a recording, as the recorder does."""
    journal = read_journal(folder) or Journal(cluster="c", topic="exchange.raw", topic_id="t")
    cut_back(folder, journal)
    return RecordingWriter(folder, journal, "hour", max_bytes)


def record(folder: Path, frames: Sequence[ExchangeFrame], commits: Sequence[int], max_bytes: float = 1e9) -> None:
    """Record frames, whose offsets are their places, from where the recording is; after so many frames each commit."""
    writer = opened(folder, max_bytes)
    at = writer.journal.offsets.get(0, 0)
    for size in [*commits, len(frames)]:
        for frame in frames[at : at + size]:
            writer.add(frame)
        at = min(at + size, len(frames))
        writer.commit({0: at})


def lines_in(folder: Path) -> dict[str, list[bytes]]:
    """Return the lines of every series, file after file."""
    found: dict[str, list[bytes]] = defaultdict(list)
    for path in sorted(folder.rglob("*.gz"), key=written_order):
        with gzip.open(path) as file:
            found[path.name.partition("_")[0]].extend(file)
    return found


def written_order(path: Path) -> tuple[str, int]:
    """Return slot and part of a file."""
    slot, _, part = path.name.removesuffix(".gz").partition("_")[2].partition("_")
    return slot, int(part or 0)


def expected(frames: Sequence[ExchangeFrame]) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = defaultdict(list)
    for frame in frames:
        found[frame.symbol.lower()].append(line_of(frame))
    return found


@pytest.fixture(scope="module")
def disk() -> Iterator[Disk]:
    with pytest.MonkeyPatch.context() as patch:
        yield Disk(patch)


@settings(max_examples=40, deadline=None)
@given(kills=st.lists(st.tuples(st.integers(0, 12), st.lists(st.integers(1, 300), max_size=4)), max_size=5), small=st.booleans())
def test_killed_at_any_step_it_neither_loses_nor_doubles(disk: Disk, kills: list[tuple[int, list[int]]], small: bool) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        for step, commits in kills:
            disk.left = step
            try:
                record(folder, FRAMES, commits, 2_000 if small else 1e9)
            except Killed:
                continue
        disk.left = -1
        record(folder, FRAMES, [], 2_000 if small else 1e9)
        assert lines_in(folder) == expected(FRAMES)
        journal = read_journal(folder)
        assert journal is not None
        assert (journal.frames, journal.offsets, journal.begun) == (len(FRAMES), {0: len(FRAMES)}, [])


def test_hours_and_sizes_begin_files_and_nothing_goes_back(tmp_path: Path) -> None:
    record(tmp_path, FRAMES, [100, 100], max_bytes=2_000)
    names = sorted(path.name for path in (tmp_path / "spot").iterdir() if path.name.startswith("btc"))
    assert names[0] == "btcusdt_20240808T23.gz"
    assert "btcusdt_20240808T23_001.gz" in names
    assert "btcusdt_20240809T00.gz" in names
    late = FRAMES[5]
    writer = opened(tmp_path)
    writer.add(late)
    writer.commit({0: len(FRAMES) + 1})
    assert lines_in(tmp_path)[late.symbol.lower()][-1] == line_of(late)
    assert max((tmp_path / "spot").glob("*"), key=lambda path: path.stat().st_mtime_ns).name.split("_")[1].startswith("20240809T00")


def test_members_say_what_they_hold(tmp_path: Path) -> None:
    record(tmp_path, FRAMES, [5, 60, 60])
    path = tmp_path / "spot" / "btcusdt_20240808T23.gz"
    assert is_indexed(path)
    found = list(members(path))
    assert [member.holds for member in found] == [INSTRUMENT, SNAPSHOT, 0, 0][: len(found)]
    assert sum(member.size for member in found) == path.stat().st_size
    assert all(earlier.last_ns <= later.last_ns for earlier, later in pairwise(found))
    path.write_bytes(path.read_bytes()[:-1])
    assert list(members(path)) == found[:-1]


def test_a_recording_that_was_tampered_with_is_refused(tmp_path: Path) -> None:
    record(tmp_path, FRAMES, [])
    path = next((tmp_path / "spot").glob("ethusdt_20240809*"))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DependencyError, match="put it back"):
        opened(tmp_path)
    (tmp_path / NAME).write_text("{")
    with pytest.raises(DependencyError, match="cannot be read"):
        opened(tmp_path)
    (tmp_path / NAME).write_text('{"format": 99, "cluster": "", "topic": "", "topic_id": ""}')
    with pytest.raises(ConfigurationError, match="format 99"):
        opened(tmp_path)


def test_files_that_were_there_before_are_left_as_they_are(tmp_path: Path) -> None:
    other = tmp_path / "spot" / "btcusdt_20240808T23.gz"
    other.parent.mkdir()
    other.write_bytes(b"somebody's")
    record(tmp_path, FRAMES, [])
    assert other.read_bytes() == b"somebody's"
    assert (tmp_path / "spot" / "btcusdt_20240808T23_001.gz").exists()
