"""What an archive's manifests hold against, and that no admitted import makes a sink miss a record or take two for one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.clickhouse.archive.admission import Admission, Place
from connectors.clickhouse.archive.layout import (
    MANIFEST,
    Archive,
    ArchiveError,
    ArchiveManifest,
    DayFile,
    Span,
    Spans,
    TableManifest,
    Whole,
    sha256_of,
    write,
)
from connectors.kafka.logs import Bounds

DAYS = [f"2026-01-{day:02d}" for day in range(1, 7)]
OFFSETS = st.sets(st.integers(0, 40), min_size=1)


def spans(offsets: set[int]) -> Spans:
    return {0: Span(rows=len(offsets), first=min(offsets), last=max(offsets), mark="")} if offsets else {}


@st.composite
def archives(draw: st.DrawFn) -> tuple[dict[str, set[int]], set[str]]:
    """Days of a table's offsets in order, and the days that are chosen."""
    offsets = sorted(draw(OFFSETS))
    cuts = sorted(draw(st.lists(st.integers(0, len(offsets)), min_size=len(DAYS) - 1, max_size=len(DAYS) - 1)))
    edges = [0, *cuts, len(offsets)]
    days = {day: set(offsets[edges[n] : edges[n + 1]]) for n, day in enumerate(DAYS)}
    days = {day: held for day, held in days.items() if held}
    return days, draw(st.sets(st.sampled_from(sorted(days))))


def consider(end: int, bounds: Bounds, same: bool, days: dict[str, set[int]], chosen: set[str]) -> Admission:
    admission = Admission()
    admission.consider(Place("t", "topic", 0, end, bounds, same), {day: spans(held) for day, held in days.items()}, chosen)
    return admission


def at_rest(table: set[int], records: set[int]) -> set[int]:
    """What a table has after a sink has carried all that it thinks it lacks."""
    return table | {offset for offset in records if offset > max(table, default=-1)}


@given(archive=archives(), carried=st.integers(0, 42), later=st.integers(0, 10), begin=st.integers(0, 42))
def test_rows_of_the_same_topic_leave_no_hole(archive: tuple[dict[str, set[int]], set[str]], carried: int, later: int, begin: int) -> None:
    days, chosen = archive
    log = {offset for held in days.values() for offset in held} | {max(max(held) for held in days.values()) + 1 + n for n in range(later)}
    bounds = Bounds(min(begin, max(log) + 1), max(log) + 1)
    table = {offset for offset in log if offset < carried}  # what the home's table has still
    admission = consider(max(table, default=-1), bounds, True, days, chosen)
    assert not admission.advance
    if not admission.barred:
        after = at_rest(table.union(*(days[day] for day in chosen)), {offset for offset in log if offset >= bounds.begin})
        assert {offset for offset in log if offset >= bounds.begin} <= after
    if chosen == set(days):
        assert not admission.barred


@given(archive=archives(), own=st.sets(st.integers(0, 60)), expired=st.integers(0, 60))
def test_rows_of_another_topic_never_stand_before_records_to_come(
    archive: tuple[dict[str, set[int]], set[str]], own: set[int], expired: int
) -> None:
    days, chosen = archive
    end = max(own, default=-1) + 1
    bounds = Bounds(min(expired, end), end)
    records = {offset for offset in own if offset >= bounds.begin}
    bounds = Bounds(min(records, default=end), end)
    admission = consider(-1, bounds, False, days, chosen)
    if admission.barred:
        return
    rows = set[int]().union(*(days[day] for day in chosen))
    first = admission.advance.get(("topic", 0), bounds.begin)
    assert not records or not admission.advance
    coming = {first + n if not records else offset for n, offset in enumerate(sorted(records) or [0])}
    assert coming.isdisjoint(rows)
    assert coming <= at_rest(rows, coming)


def test_a_topic_without_the_partition_bars_and_a_raised_end_is_told() -> None:
    admission = Admission()
    admission.consider(Place("t", "topic", 0, -1, None, False), {DAYS[0]: spans({1, 2})}, {DAYS[0]})
    assert "QUANTUM_PARTITIONS" in admission.barred[0]
    assert admission.raises == {"t"}


def made(folder: Path) -> Archive:
    archive = Archive(folder)
    path = archive.file("ticks", DAYS[0])
    path.parent.mkdir(parents=True)
    path.write_bytes(b"rows")
    held = spans({1, 2})
    entry = DayFile(bytes=4, sha256=sha256_of(path), spans=held)
    table = TableManifest(
        table="ticks", topic="t", cluster="c", topic_id="i", columns={"a": "Int32"}, days={DAYS[0]: held}, files={DAYS[0]: entry}
    )
    whole = Whole(sha256=write(archive.table_file("ticks"), table), rows=2, files=1, bytes=4)
    write(folder / MANIFEST, ArchiveManifest(format=1, revision="r", migrations=[], created="now", tables={"ticks": whole}))
    return archive


def test_a_whole_archive_is_taken_and_its_manifests_come_back(tmp_path: Path) -> None:
    archive = made(tmp_path)
    archive.verify()
    assert archive.table("ticks", archive.manifest().tables["ticks"]).files[DAYS[0]].spans == spans({1, 2})


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        (f"ticks/{DAYS[0]}.parquet", "rowz", "SHA-256"),
        (f"ticks/{DAYS[0]}.parquet", "row", "3 bytes, the manifest says 4"),
        (f"ticks/{DAYS[0]}.parquet", None, "No such file"),
        (f"ticks/{MANIFEST}", "{}", "changed since the export ended"),
        (MANIFEST, '{"format": 1', "damaged"),
        (MANIFEST, None, "no finished export"),
    ],
)
def test_what_is_damaged_is_named(tmp_path: Path, file: str, text: str | None, says: str) -> None:
    archive = made(tmp_path)
    if text is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_text(text)
    with pytest.raises(ArchiveError, match=says) as caught:
        archive.verify()
    assert str(tmp_path if file == MANIFEST and text is None else tmp_path / file) in str(caught.value)


@pytest.mark.parametrize(("table", "day"), [("../t", DAYS[0]), ("t", "../../x")])
def test_no_name_leads_out_of_an_archive(tmp_path: Path, table: str, day: str) -> None:
    with pytest.raises(ArchiveError):
        Archive(tmp_path).file(table, day)
