"""A platform backed up, and made again in an empty home on real servers: row by row the same, and going on."""

from __future__ import annotations

import json
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from confluent_kafka import OFFSET_BEGINNING
from msgspec.structs import replace

from connectors.clickhouse.archive.layout import MANIFEST, Archive, Spans, TableManifest, write
from connectors.clickhouse.archive.layout import sha256_of as sha256_of_file
from connectors.clickhouse.archive.load import Importer
from connectors.kafka.logs import Logs
from connectors.kafka.placement import Entry, LogWriter, entry_of
from connectors.kafka.topics import TopicSpec, apply
from connectors.registry.transfer import Transfer
from infra.backup.records import TOPICS as DECIDED
from infra.clickhouse.generate import carried
from infra.components.history import GROUP
from ml.artefacts import Artefact, ArtefactStore, Manifest, sha256_of
from processors.components import read_from
from processors.contracts import compare_topics
from processors.topology import TOPICS
from quantum.errors import DependencyError
from tests.integration.history_rows import Row, blank
from tests.integration.history_story import Story
from tests.integration.platforms import Platform, tables

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]
OPEN = {"QUANTUM_BACKUP_PASSPHRASE": "correct horse battery staple"}
YEAR_S = 366 * 86_400
SECRETS = "CLICKHOUSE_PASSWORD=hush\n"
MODEL = b"stands for a model's file"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform with a history, a policy and a model in force."""
    platform = Platform(tmp_path_factory.mktemp("source"))
    try:
        _fill(platform)
        yield platform
    finally:
        platform.down()


@pytest.fixture
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform with nothing in it."""
    platform = Platform(tmp_path_factory.mktemp("target"))
    try:
        yield platform
    finally:
        platform.down()


@pytest.mark.campaign
def test_a_platform_is_made_again_and_goes_on(source: Platform, target: Platform, tmp_path: Path) -> None:
    folder, env, made = tmp_path / "backup", tmp_path / "source.env", tmp_path / ".env"
    env.write_text(SECRETS)
    done = source.run("backup", str(folder), "--env", str(env), "--json", **OPEN)
    assert (done.exit_code, done.stderr) == (0, "")  # no bars where nobody looks
    summary = json.loads(done.stdout)
    assert summary["rows"] == sum(len(source.stored(table)) for table in tables())
    assert (summary["models"], summary["secrets"], summary["running"]) == (1, [".env"], [])
    assert SECRETS.encode() not in b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())

    _nothing_is_changed_by_what_is_broken_or_not_opened(target, folder, made)
    restore = ("restore", str(folder), "--env", str(made), "--json")
    done = target.run(*restore, **OPEN)
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == summary["rows"]
    _same(source, target)
    assert (made.read_text(), stat.S_IMODE(made.stat().st_mode)) == (SECRETS, 0o600)
    again = target.run(*restore, **OPEN)
    assert (again.exit_code, "is not empty" in again.stderr) == (1, True)

    # New records come, and a person changes the policy that was restored.
    before = {table: target.stored(table) for table in tables()}
    target.write(_records())
    target.write_letters()
    changed = target.run("policy", "set-mode", "REDUCE_ONLY", "--author", "bob", "--reason", "third")
    assert changed.exit_code == 0, changed.stderr
    target.carry()
    for table, places in target.places().items():
        now = target.stored(table)
        assert len(now) == len(set(now)), table
        assert set(now) == set(before[table]) | places, table
    assert len(target.stored("market_tick")) == 2 * len(before["market_tick"])
    assert target.rows("policy", "version")["version"].to_pylist() == [1, 2, 3]


def _nothing_is_changed_by_what_is_broken_or_not_opened(target: Platform, folder: Path, env: Path) -> None:
    wrong = target.run("restore", str(folder), "--env", str(env), QUANTUM_BACKUP_PASSPHRASE="another passphrase")
    assert (wrong.exit_code, "the passphrase is another one" in wrong.stderr) == (1, True), wrong.stderr
    none = target.run("restore", str(folder), "--env", str(env))
    assert (none.exit_code, "QUANTUM_BACKUP_PASSPHRASE" in none.stderr) == (1, True)
    broken = folder.with_name("broken")
    shutil.copytree(folder, broken)
    file = next((broken / "history" / "market_quote").glob("*.parquet"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    refused = target.run("restore", str(broken), "--env", str(env), **OPEN)
    assert (refused.exit_code, str(file) in refused.stderr) == (1, True), refused.stderr
    assert Logs(target.settings.kafka).partitions() == {}
    assert Transfer(target.settings.registry).subjects() == []
    assert not env.exists()


def test_an_export_is_imported_once_whatever_is_there_already(source: Platform, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    for written in (True, False):
        done = source.run("history", "export", str(folder), "--json")
        assert done.exit_code == 0, done.stderr
        assert (json.loads(done.stdout)["written"] > 0) is written
    before = {table: source.rows(table) for table in tables()}
    source.client.command("ALTER TABLE quantum.market_tick DELETE WHERE _offset % 3 = 1 OR _partition = 1", settings={"mutations_sync": 1})
    source.client.command("TRUNCATE TABLE quantum.market_quote")
    lost = sum(rows.num_rows - len(source.stored(table)) for table, rows in before.items())
    assert lost > before["market_quote"].num_rows

    with source.sink():
        while not Logs(source.settings.kafka).members(GROUP):
            time.sleep(0.02)
        barred = source.run("history", "import", str(folder), "--table", "market_quote")
    assert (barred.exit_code, "a sink is running" in barred.stderr) == (1, True), barred.stderr

    first = source.start("history", "import", str(folder))
    while first.poll() is None and not source.stored("market_quote"):
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    _, said = first.communicate()
    assert first.returncode == -signal.SIGKILL, said
    kept = sum(len(source.stored(table)) for table in tables())
    for stored in (sum(rows.num_rows for rows in before.values()) - kept, 0):
        done = source.run("history", "import", str(folder), "--json")
        assert done.exit_code == 0, done.stderr
        assert sum(json.loads(done.stdout)["rows"].values()) == stored
    assert all(source.rows(table).equals(rows) for table, rows in before.items())

    # What another home wrote stands at offsets where this home has, or will have, records of its own.
    other = tmp_path / "other"
    assert source.run("history", "export", str(other), "--table", "market_tick").exit_code == 0
    _of_another_home(other, "market_tick", before["market_tick"].num_rows)
    refused = source.run("history", "import", str(other))
    assert (refused.exit_code, "the sink would pass over those records" in refused.stderr) == (1, True), refused.stderr
    assert source.rows("market_tick").equals(before["market_tick"])


def test_columns_that_differ(source: Platform, tmp_path: Path) -> None:
    table = "model_retrain"
    folder = tmp_path / "files"
    assert source.run("history", "export", str(folder), "--table", table).exit_code == 0
    before = source.rows(table)
    source.client.command(f"TRUNCATE TABLE quantum.{table}")
    _rewrite(folder, table, lambda rows: rows.append_column("mood", pa.array(["good"] * rows.num_rows)))
    refused = source.run("history", "import", str(folder))
    assert refused.exit_code == 1
    assert f"has columns that {table} lacks: mood" in refused.stderr
    assert "quantum schemas apply" in refused.stderr
    assert source.stored(table) == []
    _rewrite(folder, table, lambda rows: rows.drop_columns(["mood", "event_id"]))  # as if it were older than the field
    importer = Importer(source.client, Archive(folder), Logs(source.settings.kafka), GROUP, now=lambda: time.time() + YEAR_S)
    late = importer.run(carried(), "", "", lambda *_: None)  # when the table would drop these rows at once
    assert (late.rows, late.expired) == ({table: 0}, {table: before.num_rows})
    done = source.run("history", "import", str(folder))
    assert done.exit_code == 0, done.stderr
    after = source.rows(table)
    assert after["event_id"].to_pylist() == [""] * before.num_rows
    assert after.drop_columns(["event_id"]).equals(before.drop_columns(["event_id"]))


def test_records_stand_at_the_offsets_that_they_had(source: Platform, unique: str) -> None:
    kafka = source.settings.kafka
    logs = Logs(kafka)
    compacted = {"cleanup.policy": "compact", "min.compaction.lag.ms": "604800000"}
    apply(kafka, [TopicSpec(unique, 3, 1, compacted)])
    writer = LogWriter(logs)
    offsets = (0, 1, 3, 6, 7, 30, 32)  # one after the other, and with gaps of one, two and more
    entries = {  # each with a key of its own: Kafka may compact at any time what is as old as this
        partition: [Entry(shift + offset, 1_700_000_000_000 + offset, b"%d" % offset, b"%d" % offset, (("h", b"x"),)) for offset in offsets]
        for partition, shift in enumerate((0, 1, 2_500_000))
    }
    for partition, each in entries.items():
        writer.write(unique, partition, each, each[-1].offset + 2)
    starts = {(unique, partition): OFFSET_BEGINNING for partition in entries}
    found: dict[int, list[Entry]] = {partition: [] for partition in entries}
    for message in read_from(kafka, starts):
        found[message.partition() or 0].append(entry_of(message))
    assert found == entries
    bounds = logs.bounds(starts)
    assert {place[1]: (each.begin, each.end) for place, each in bounds.items()} == {0: (0, 34), 1: (1, 35), 2: (2_500_000, 2_500_034)}
    assert logs.settings([unique]) == {unique: compacted}
    with pytest.raises(DependencyError, match="holds a record at offset 1"):
        writer.advance({(unique, 1): 100})


@pytest.mark.campaign
@pytest.mark.timeout(600)
def test_a_restore_that_is_killed_is_repeated_and_one_replaces_another(source: Platform, target: Platform, tmp_path: Path) -> None:
    packed = tmp_path / "backup.tar"
    assert source.run("backup", str(packed), "--env", str(tmp_path / "none")).exit_code == 0
    killed = 0
    for seconds in (3.0, 4.5, 6.0, 7.5, 9.0, 60.0):
        restore = target.start("restore", str(packed), "--env", str(tmp_path / "none"))
        try:
            _, said = restore.communicate(timeout=seconds)
            break
        except subprocess.TimeoutExpired:
            restore.kill()
            _, said = restore.communicate()
            killed += 1
    # One that was killed after its last step had nothing left to do; the next one then says so.
    assert restore.returncode == 0 or "is not empty" in said, said
    assert killed > 1
    _same(source, target)
    changed = target.run("policy", "set-mode", "REDUCE_ONLY", "--author", "bob", "--reason", "third")
    assert changed.exit_code == 0, changed.stderr
    done = target.run("restore", str(packed), "--env", str(tmp_path / "none"), "--replace")
    assert done.exit_code == 0, done.stderr
    _same(source, target)
    (aside,) = target.home.root.glob("replaced-*")
    assert {"data", "models"} <= {path.name for path in aside.iterdir()}


def _rewrite(folder: Path, table: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change the files of a table, and the manifests so that they fit."""
    archive = Archive(folder)
    held = archive.table(table, archive.manifest().tables[table])
    files = {}
    for day, entry in held.files.items():
        path = archive.file(table, day)
        pq.write_table(change(pq.read_table(path, partitioning=None)), path)
        files[day] = replace(entry, bytes=path.stat().st_size, sha256=sha256_of_file(path))
    _put(archive, replace(held, files=files))


def _put(archive: Archive, held: TableManifest) -> None:
    """Write the manifest of the only table of an archive."""
    manifest, table = archive.manifest(), held.table
    digest = write(archive.table_file(table), held)
    write(archive.folder / MANIFEST, replace(manifest, tables={table: replace(manifest.tables[table], sha256=digest)}))


def _of_another_home(folder: Path, table: str, further: int) -> None:
    """Make an archive what a home would have written whose topic is another one and has so many more records."""

    def moved(spans: Spans) -> Spans:
        return {number: replace(span, first=span.first + further, last=span.last + further) for number, span in spans.items()}

    def move(rows: pa.Table) -> pa.Table:
        at = rows.schema.get_field_index("_offset")
        offsets = pc.add(rows["_offset"], pa.scalar(further, rows["_offset"].type))
        return rows.set_column(at, rows.schema.field(at), offsets)

    _rewrite(folder, table, move)
    archive = Archive(folder)
    held = archive.table(table, archive.manifest().tables[table])
    files = {day: replace(file, spans=moved(file.spans)) for day, file in held.files.items()}
    days = {day: moved(spans) for day, spans in held.days.items()}
    _put(archive, replace(held, cluster="another", files=files, days=days))


def _fill(source: Platform) -> None:
    """Give a platform a history, a model and a policy."""
    source.declare()
    source.write(_records())
    source.write_letters()
    store = ArtefactStore(source.home.models)
    store.save(Artefact(blank(Manifest, model="xgb", version="v1", sha256=sha256_of(MODEL)), MODEL))
    for command in (
        ("models", "activate", "xgb", "v1"),
        ("policy", "apply-profile", "DEFAULT", "--symbol", "BTCUSDT", "--author", "ann", "--reason", "first"),
        ("policy", "set-mode", "HALTED", "--author", "ann", "--reason", "second"),
    ):
        done = source.run(*command)
        assert done.exit_code == 0, done.stderr
    source.carry()


def _records() -> dict[str, list[Row]]:
    """Return the story's records, and some of every other topic that is kept and that no person writes."""
    story = Story().rows
    now = time.time_ns() // 1000
    for topic in TOPICS.values():
        if topic.kept and topic.name not in (*story, *DECIDED):
            names = (f"{topic.name}:{now}:{number}" for number in range(2))
            story[topic.name] = [Row(blank(topic.record, event_id=name, event_ts=now, ingest_ts=now), now) for name in names]
    return story


def _same(source: Platform, target: Platform) -> None:
    """Compare a restored platform with the one that was backed up."""
    for table in tables():
        assert target.rows(table).equals(source.rows(table)), table
    assert Transfer(target.settings.registry).listing() == Transfer(source.settings.registry).listing()
    assert compare_topics(target.settings) == []
    places = {(topic, partition): OFFSET_BEGINNING for topic in DECIDED for partition in range(source.settings.partitions)}
    decided = [
        sorted(
            (str(message.topic()), message.partition(), message.offset(), message.timestamp(), message.key(), message.value())
            for message in read_from(each.settings.kafka, places)
        )
        for each in (source, target)
    ]
    assert decided[0] == decided[1] != []
    stores = [ArtefactStore(each.home.models) for each in (source, target)]
    assert stores[0].list() == stores[1].list()
    assert stores[1].load("xgb", "v1").model == MODEL
    serving = target.run("models", "list", "--json")
    assert [model["serves"] for model in json.loads(serving.stdout)] == [True]
    shown = json.loads(target.run("policy", "show", "--json").stdout)
    assert (shown["version"], shown["mode"], shown["author"]) == (2, "HALTED", "ann")
