"""Tables on disk: what a restart reads, when a store is not relied on, and that nothing is lost or doubled whatever ends the worker."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from prometheus_client import CollectorRegistry

from processors.runtime import App
from processors.runtime.epochs.faults import POINTS
from processors.runtime.state.restore import Changelog, restore
from processors.runtime.state.rocks import RocksStore, options
from processors.runtime.state.store import Shard
from quantum.errors import ConfigurationError, RetryError
from tests.consistency import broker, test_semantics
from tests.consistency.campaign import Feed, Verdict, WorkerProcess, judge
from tests.consistency.chaos.run import Campaign
from tests.consistency.chaos.scenario import Scenario
from tests.consistency.chaos.server import Server
from tests.consistency.test_semantics import raw, rows, running

pytestmark = pytest.mark.stack

#: A worker that may not write files beyond a size, as on a disk that is full; argv: the size in bytes.
_CRAMPED = """
import resource, runpy, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
size = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
runpy.run_module("tests.consistency.count_app", run_name="__main__")
"""


def summing(prefix: str, bootstrap: str, datadir: Path, worker: str = "0", store: str = "rocksdb://") -> tuple[App, Any]:
    """Return an application that adds up values by key and forgets a key at ``drop``; and its table."""
    app = App(
        f"{prefix}-app", broker=f"kafka://{bootstrap}", worker=worker, datadir=datadir, store=store, metrics=CollectorRegistry(),
        session_timeout=6.0,
    )  # fmt: skip
    source, sink = raw(app, f"{prefix}-in"), raw(app, f"{prefix}-out")
    table: Any = app.Table("sums", default=int, partitions=4)

    @app.agent(source)
    async def add(stream: Any) -> None:
        async for event in stream.events():
            if event.value == b"drop":
                del table[event.key]
            else:
                table[event.key] += int(event.value)
            await sink.send(key=event.key, value=b"done")

    return app, table


def restored_rows(app: App) -> float:
    """Return how many records of changelogs the worker's last restore has read."""
    assert app.runtime.metrics is not None
    found = app.runtime.metrics.get_sample_value("quantum_restore_rows", {"app": app.conf.id})
    assert found is not None
    return found


async def until(condition: Callable[[], bool], limit_s: float = 30.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_a_restart_reads_what_the_folder_lacks(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    broker.create_topics(bootstrap, f"{prefix}-in", f"{prefix}-out")
    broker.write(bootstrap, f"{prefix}-in", [(str(key), b"1") for key in range(4_000)])
    app, table = summing(prefix, bootstrap, tmp_path)
    async with running(app):
        await rows(bootstrap, f"{prefix}-out", 4_000)
        assert len(table) == 4_000
    app, _ = summing(prefix, bootstrap, tmp_path)
    async with running(app):
        pass
    broker.write(bootstrap, f"{prefix}-in", [("1", b"10"), ("2", b"drop"), ("new", b"7")])
    app, table = summing(prefix, bootstrap, tmp_path)
    async with running(app):
        assert restored_rows(app) == 0
        await rows(bootstrap, f"{prefix}-out", 4_003)
    app, table = summing(prefix, bootstrap, tmp_path)
    async with running(app):
        assert restored_rows(app) == 3
        expected = {str(key): 1 for key in range(4_000) if key != 2} | {"1": 11, "new": 7}
        assert dict(table.items()) == expected
        assert sorted(table) == sorted(expected)
        assert (len(table), table["1"], "2" in table) == (4_000, 11, False)
    app, table = summing(prefix, bootstrap, tmp_path / "another")
    async with running(app):
        assert restored_rows(app) >= 4_001
        assert dict(table.items()) == expected


def test_a_restore_that_is_cut_short_goes_on_from_there(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    broker.create_topics(bootstrap, prefix, partitions=1)
    broker.write(bootstrap, prefix, [(str(number % 30_000), b"%d" % number) for number in range(60_000)])
    config = {"bootstrap.servers": bootstrap}
    store = RocksStore(tmp_path / "store", str.encode, bytes.decode, options())
    changelog = Changelog(prefix, 0, Shard(lambda value: b"%d" % value, int, store))
    with pytest.raises(RetryError):
        restore(config, [changelog], lambda: store.mark is not None)
    done = store.mark
    assert done is not None
    assert 0 < done.position < 60_000
    store.close()
    store = RocksStore(tmp_path / "store", str.encode, bytes.decode, options())
    changelog = Changelog(prefix, 0, Shard(lambda value: b"%d" % value, int, store))
    assert restore(config, [changelog], lambda: False) == 60_000 - done.position
    assert restore(config, [changelog], lambda: False) == 0
    assert len(store) == 30_000
    assert all(store.get(str(number)) == b"%d" % (number + 30_000) for number in range(30_000))
    store.close()


@pytest.mark.campaign
def test_the_folder_follows_while_epochs_commit(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    broker.create_topics(bootstrap, f"{prefix}-in", f"{prefix}-out")
    worker = WorkerProcess(0, environment(bootstrap, prefix, tmp_path), tmp_path / "worker.log")
    feed = Feed(bootstrap, f"{prefix}-in", rate=2_000.0, limit=24_000)
    try:
        worker.await_work()
        feed.start()
        feed.join()
        worker.kill()
        worker.await_work()
        found = re.search(r"restored (\d+) rows", worker.said)
        outputs = broker.read(bootstrap, f"{prefix}-out", until=feed.finish())
    finally:
        worker.end()
    assert found is not None
    changelog = list(broker.read_to_end(bootstrap, f"{prefix}-app-counts-changelog"))
    assert int(found[1]) < len(changelog) / 2
    assert judge(outputs, 24_000) == Verdict()


async def test_a_topic_that_was_created_anew_is_noticed(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    changelog = f"{prefix}-app-sums-changelog"
    broker.create_topics(bootstrap, f"{prefix}-in", f"{prefix}-out")
    broker.write(bootstrap, f"{prefix}-in", [(str(key), b"1") for key in range(100)])
    app, table = summing(prefix, bootstrap, tmp_path)
    async with running(app):
        await rows(bootstrap, f"{prefix}-out", 100)
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.delete_topics([changelog])[changelog].result()
    await until(lambda: _created(bootstrap, changelog))
    broker.write(bootstrap, changelog, [(f'"{key}"', b"5") for key in range(200)])
    app, table = summing(prefix, bootstrap, tmp_path)
    async with running(app):
        assert restored_rows(app) == 200
        assert dict(table.items()) == {str(key): 5 for key in range(200)}


def _created(bootstrap: str, topic: str) -> bool:
    try:
        broker.create_topics(bootstrap, topic)
    except KafkaException:  # it is still being deleted
        return False
    return True


@pytest.mark.parametrize("other", ["memory://", "rocksdb://"])
async def test_what_another_worker_wrote_meanwhile_is_there_when_a_partition_comes_back(
    bootstrap: str, prefix: str, tmp_path: Path, other: str
) -> None:
    broker.create_topics(bootstrap, f"{prefix}-in", f"{prefix}-out")
    app, table = summing(prefix, bootstrap, tmp_path)
    guest, visiting = summing(prefix, bootstrap, tmp_path, worker="1", store=other)
    broker.write(bootstrap, f"{prefix}-in", [(str(key), b"1") for key in range(400)])
    async with running(app):
        await rows(bootstrap, f"{prefix}-out", 400)
        async with running(guest):
            await until(lambda: len(table.shards) == len(visiting.shards) == 2)
            broker.write(bootstrap, f"{prefix}-in", [(str(key), b"drop" if key % 4 == 0 else b"2") for key in range(400)])
            await rows(bootstrap, f"{prefix}-out", 800)
            assert len(table) + len(visiting) == 300
        await until(lambda: len(table.shards) == 4)
        assert dict(table.items()) == {str(key): 3 for key in range(400) if key % 4}
        assert 0 < restored_rows(app) < 800
        broker.write(bootstrap, f"{prefix}-in", [(str(key), b"4") for key in range(400)])
        await rows(bootstrap, f"{prefix}-out", 1_200)
        assert dict(table.items()) == {str(key): 7 if key % 4 else 4 for key in range(400)}
    app, table = summing(prefix, bootstrap, tmp_path / "another", store="memory://")
    async with running(app):
        assert dict(table.items()) == {str(key): 7 if key % 4 else 4 for key in range(400)}


async def test_a_second_process_of_an_identity_is_refused_before_it_disturbs_the_first(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    broker.create_topics(bootstrap, f"{prefix}-in", f"{prefix}-out")
    app, _ = summing(prefix, bootstrap, tmp_path)
    second, _ = summing(prefix, bootstrap, tmp_path)
    async with running(app):
        await second.start()
        task = second.engine_service.running
        assert task is not None
        with pytest.raises(ConfigurationError, match="worker="):
            await asyncio.wait_for(task, 60)
        await second.stop()
        broker.write(bootstrap, f"{prefix}-in", [(str(key), b"1") for key in range(100)])
        await rows(bootstrap, f"{prefix}-out", 100)


@pytest.mark.parametrize(
    "promise",
    [
        test_semantics.test_an_agent_that_raises_loses_and_doubles_nothing,
        test_semantics.test_poison_goes_to_the_dead_letter_topic_with_its_offset,
        test_semantics.test_tables_come_back_from_their_changelog,
        test_semantics.test_many_agents_records_windows_sinks_and_repartitioning,
    ],
)
async def test_faust_on_disk_is_faust(
    bootstrap: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, promise: Callable[[str, str], Awaitable[None]]
) -> None:
    monkeypatch.setattr(test_semantics, "make", partial(test_semantics.make, store="rocksdb://", datadir=tmp_path))
    await promise(bootstrap, prefix)
    assert stores_of(tmp_path, "*")


def stores_of(datadir: Path, table: str) -> list[Path]:
    """Return the stores of a table."""
    return list(datadir.glob(f"v1/tables/*/{table}/*/CURRENT"))


def environment(bootstrap: str, prefix: str, datadir: Path) -> dict[str, str]:
    """Return what a counting worker with its table on disk gets."""
    return {"PREFIX": prefix, "BOOTSTRAP": bootstrap, "STORE": "rocksdb://", "DATADIR": str(datadir)}


def test_a_full_disk_ends_the_worker_and_nothing_is_lost_or_doubled(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    broker.create_topics(bootstrap, f"{prefix}-in", f"{prefix}-out")
    task = environment(bootstrap, prefix, tmp_path)
    feed = Feed(bootstrap, f"{prefix}-in", rate=3_000.0, limit=60_000)
    feed.start()
    for size in ("20000", "12000"):
        command = [sys.executable, "-c", _CRAMPED, size]
        cramped = subprocess.run(
            command, env={**os.environ, **task, "WORKER": "0"}, capture_output=True, text=True, timeout=90, check=False
        )
        assert cramped.returncode == 1, cramped.stderr[-2000:]
        said = cramped.stderr[cramped.stderr.index(" stops: ") :]
        assert str(tmp_path) in said
        assert "File too large" in said
        assert "make room" in said
    worker = WorkerProcess(0, task, tmp_path / "worker.log")
    try:
        count = feed.finish()
        outputs = broker.read(bootstrap, f"{prefix}-out", until=count)
    finally:
        ending = worker.end()
    assert judge(outputs, count) == Verdict()
    assert ending[0] == 0
    assert broker.hanging(bootstrap, [f"{prefix}-out", f"{prefix}-app-counts-changelog"]) == []


@pytest.mark.campaign
def test_kills_in_every_step_of_the_commit_and_a_zombie(tmp_path: Path) -> None:
    scenario = Scenario(kills=12, stops=1, changes=1, points=POINTS, session_s=4.0, slack=3.0, environment={"STORE": "rocksdb://"})
    with Server(tmp_path / "broker") as server:
        result = Campaign("on disk", scenario, server, tmp_path / "workers", records=75_000, rate=3_000.0, seed=2).run()
        assert_marks_are_true(server.bootstrap, tmp_path / "workers" / "data")
    assert result.broken == [], result


def assert_marks_are_true(bootstrap: str, datadir: Path) -> None:
    """Check of every worker's stores that what lies before their marks is in them: counts grow, so none may be smaller than there."""
    stores = [path.parent for path in stores_of(datadir, "counts")]
    app = stores[0].parts[-3].rpartition("-")[0]
    changelog = list(broker.read_to_end(bootstrap, f"{app}-counts-changelog"))
    positions = []
    for path in stores:
        store = RocksStore(path, str.encode, bytes.decode, options())
        assert store.mark is not None
        position, partition = store.mark.position, int(path.name)
        covered = {row.key: int(row.value) for row in changelog if row.partition == partition and row.offset < position}
        assert [key for key, count in covered.items() if int(store.get(key) or 0) < count] == []
        positions.append(position)
        store.close()
    assert len(positions) >= 8
    assert max(positions) > 0
