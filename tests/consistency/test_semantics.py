"""What Faust's API promises, exactly once: one worker in this process, a real broker."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import faust
import msgspec
import pytest
from faust.serializers.codecs import Codec
from prometheus_client import CollectorRegistry

from processors.runtime import App
from quantum.errors import ConfigurationError, CorruptRecordError, StopError
from tests.consistency import broker

pytestmark = pytest.mark.stack


class State(msgspec.Struct):
    """A table's value that is changed in place."""

    seen: int = 0
    total: int = 0


class StateCodec(Codec):
    """States as JSON."""

    def _loads(self, s: bytes) -> Any:
        return msgspec.json.decode(s, type=State)

    def _dumps(self, obj: Any) -> bytes:
        return msgspec.json.encode(obj)


class StrictNumber(Codec):
    """Whole numbers, anything else is corrupt."""

    def _loads(self, s: bytes) -> Any:
        if not s.isdigit():
            raise CorruptRecordError(f"{s!r} is no number", "look at its producer")
        return int(s)

    def _dumps(self, obj: Any) -> bytes:
        return b"%d" % obj


@asynccontextmanager
async def running(app: App) -> AsyncIterator[App]:
    """Run an application's worker for the time of a block."""
    await app.start()
    try:
        yield app
    finally:
        await app.stop()
        task = app.engine_service.running
        assert task is not None
        task.result()


def make(prefix: str, bootstrap: str, **options: Any) -> App:
    return App(f"{prefix}-app", broker=f"kafka://{bootstrap}", worker="0", metrics=CollectorRegistry(), **options)


def raw(app: App, name: str, **options: Any) -> Any:
    return app.topic(name, key_type=str, key_serializer="raw", value_serializer="raw", partitions=broker.PARTITIONS, **options)


async def rows(bootstrap: str, topic: str, count: int) -> list[broker.Row]:
    return await asyncio.to_thread(broker.read, bootstrap, topic, until=count)


def assert_counts(found: list[broker.Row], per_key: int, keys: int) -> None:
    by_key: dict[str, list[int]] = {}
    for row in found:
        by_key.setdefault(row.key, []).append(int(row.value))
    assert by_key == {str(key): list(range(1, per_key + 1)) for key in range(keys)}


async def test_an_agent_that_raises_loses_and_doubles_nothing(bootstrap: str, prefix: str) -> None:
    broker.create_topics(bootstrap, f"{prefix}-in", f"{prefix}-out")
    app = make(prefix, bootstrap)
    source, sink = raw(app, f"{prefix}-in"), raw(app, f"{prefix}-out")
    states = app.Table("states", default=State, key_type=str, key_serializer="raw", value_serializer=StateCodec(), partitions=4)
    raised: Counter[str] = Counter()

    @app.agent(source)
    async def count(stream: Any) -> None:
        async for event in stream.events():
            state = states[event.key]
            state.seen += 1
            states[event.key] = state
            await sink.send(key=event.key, value=b"%d" % state.seen)
            if event.value.endswith(b"7") and raised[event.value] < 2:
                raised[event.value] += 1
                raise ValueError("raised after table and send")

    broker.write(bootstrap, f"{prefix}-in", [(str(i % 10), str(i).encode()) for i in range(300)])
    async with running(app):
        found = await rows(bootstrap, f"{prefix}-out", 300)
    assert_counts(found, 30, 10)
    assert set(raised.values()) == {2}
    assert len(raised) == 30


async def test_poison_goes_to_the_dead_letter_topic_with_its_offset(bootstrap: str, prefix: str) -> None:
    broker.create_topics(bootstrap, f"{prefix}-in", f"{prefix}-out")
    app = make(prefix, bootstrap, max_retries=2)
    source = app.topic(f"{prefix}-in", key_type=str, key_serializer="raw", value_serializer=StrictNumber(), partitions=4)
    sink = raw(app, f"{prefix}-out")
    counts = app.Table("counts", default=int, key_type=str, key_serializer="raw", partitions=4)
    tries = 0

    @app.agent(source)
    async def count(stream: Any) -> None:
        nonlocal tries
        async for event in stream.events():
            counts[event.key] += 1
            await sink.send(key=event.key, value=b"%d" % counts[event.key])
            if event.value == 55:
                tries += 1
                raise RuntimeError("never")

    values = [str(i).encode() for i in range(100)]
    values[30] = b"not a number"
    broker.write(bootstrap, f"{prefix}-in", [(str(i % 5), value) for i, value in enumerate(values)])
    async with running(app):
        dead = await rows(bootstrap, f"{prefix}-in.dlq", 2)
        found = await rows(bootstrap, f"{prefix}-out", 98)
    assert tries >= 3
    assert sorted(row.value for row in dead) == [b"55", b"not a number"]
    about = {row.value: row.headers for row in dead}
    assert about[b"not a number"]["dlq.error"] == b"CorruptRecordError"
    assert about[b"55"]["dlq.error"] == b"RuntimeError"
    assert about[b"55"]["dlq.topic"].decode() == f"{prefix}-in"
    assert about[b"55"]["dlq.stage"].decode() == f"{prefix}-app"
    last = {str(key): 20 for key in range(5)} | {"0": 18}
    by_key: dict[str, list[int]] = {}
    for row in found:
        by_key.setdefault(row.key, []).append(int(row.value))
    assert by_key == {key: list(range(1, count + 1)) for key, count in last.items()}


async def test_tables_come_back_from_their_changelog(bootstrap: str, prefix: str) -> None:
    broker.create_topics(bootstrap, f"{prefix}-in", f"{prefix}-out")

    def build() -> tuple[App, Any]:
        app = make(prefix, bootstrap)
        source, sink = raw(app, f"{prefix}-in"), raw(app, f"{prefix}-out")
        table = app.Table("sums", default=int, partitions=4)

        @app.agent(source)
        async def add(stream: Any) -> None:
            async for event in stream.events():
                if event.value == b"drop":
                    del table[event.key]
                else:
                    table[event.key] += int(event.value)
                await sink.send(key=event.key, value=str(sorted(table.partition_keys(event.message.partition))).encode())

        return app, table

    app, _ = build()
    broker.write(bootstrap, f"{prefix}-in", [(str(i % 8), b"1") for i in range(80)] + [("3", b"drop")])
    async with running(app):
        await rows(bootstrap, f"{prefix}-out", 81)
    app, table = build()
    async with running(app):
        assert dict(table.items()) == {str(key): 10 for key in range(8) if key != 3}
        assert sorted(table) == [str(key) for key in range(8) if key != 3]
        assert len(table) == 7
        assert table["0"] == 10
        assert "3" not in table
        with pytest.raises(TypeError, match="only by an agent"):
            table["0"] = 1
        broker.write(bootstrap, f"{prefix}-in", [(str(i % 8), b"1") for i in range(8)])
        await rows(bootstrap, f"{prefix}-out", 89)
        assert dict(table.items()) == {str(key): 11 if key != 3 else 1 for key in range(8)}


class Order(faust.Record, serializer="json"):
    account: str
    amount: int


async def test_many_agents_records_windows_sinks_and_repartitioning(bootstrap: str, prefix: str) -> None:
    broker.create_topics(bootstrap, f"{prefix}-in", f"{prefix}-echo", f"{prefix}-totals", f"{prefix}-batches")
    app = make(prefix, bootstrap, topic_partitions=4)
    source = app.topic(f"{prefix}-in", key_type=str, value_type=Order, partitions=4)
    echo = app.topic(f"{prefix}-echo", value_type=Order, partitions=4)
    totals, batches = raw(app, f"{prefix}-totals"), raw(app, f"{prefix}-batches")
    by_account = app.Table("by-account", default=int, partitions=4)
    windows = app.Table("windows", default=int, partitions=4).tumbling(10.0, expires=60.0)
    per_minute: list[int] = []

    @app.agent(source, sink=[echo])
    async def forward(stream: Any) -> AsyncIterator[Order]:
        async for order in stream:
            yield order

    @app.agent(source, concurrency=2)
    async def window(stream: Any) -> None:
        async for order in stream:
            windows[order.account] += order.amount
            per_minute.append(windows[order.account].current())

    @app.agent(source)
    async def regroup(stream: Any) -> None:
        async for order in stream.group_by(Order.account):
            by_account[order.account] += order.amount
            await totals.send(key=order.account, value=str(by_account[order.account]).encode())

    @app.agent(source)
    async def batch(stream: Any) -> None:
        async for orders in stream.take(7, within=5.0):
            assert 0 < len(orders) <= 7
            await batches.send(key="n", value=str(len(orders)).encode())

    orders = [(str(i), Order(account=f"a{i % 3}", amount=1).dumps()) for i in range(90)]
    broker.write(bootstrap, f"{prefix}-in", orders, timestamps=[1_700_000_000_000 + i for i in range(90)])
    async with running(app):
        echoed = await rows(bootstrap, f"{prefix}-echo", 90)
        totalled = await rows(bootstrap, f"{prefix}-totals", 90)
        sizes = await asyncio.to_thread(
            broker.read, bootstrap, f"{prefix}-batches", until=lambda found: sum(int(row.value) for row in found) >= 90
        )
    assert len(echoed) == 90
    final = {row.key: int(row.value) for row in totalled}
    assert final == {"a0": 30, "a1": 30, "a2": 30}
    assert len({row.partition for row in totalled if row.key == "a0"}) == 1
    assert sum(int(row.value) for row in sizes) == 90
    assert len(per_minute) == 90


async def test_sends_outside_of_events_get_an_epoch(bootstrap: str, prefix: str) -> None:
    broker.create_topics(bootstrap, f"{prefix}-in", f"{prefix}-out")
    app = make(prefix, bootstrap)
    source, sink = raw(app, f"{prefix}-in"), raw(app, f"{prefix}-out")

    @app.agent(source)
    async def ignore(stream: Any) -> None:
        async for _ in stream:
            pass

    beats = 0

    async def beat() -> None:
        nonlocal beats
        if beats < 5:
            beats += 1
            await sink.send(key="k", value=b"%d" % beats, headers={"h": b"1"})

    app.timer(interval=0.05)(beat)
    async with running(app):
        found = await rows(bootstrap, f"{prefix}-out", 5)
    assert [int(row.value) for row in found] == [1, 2, 3, 4, 5]
    assert {row.headers["h"] for row in found} == {b"1"}


async def test_records_that_may_gather_wait_for_one_that_may_not(bootstrap: str, prefix: str) -> None:
    quotes, decisions, out = f"{prefix}-quotes", f"{prefix}-decisions", f"{prefix}-out"
    broker.create_topics(bootstrap, quotes, decisions, out, partitions=1)
    app = make(prefix, bootstrap, gather={quotes: 60.0})
    sink = raw(app, out)

    async def copy(stream: Any) -> None:
        async for event in stream.events():
            await sink.send(key=event.key, value=event.value)

    app.agent(raw(app, quotes), name="quotes")(copy)
    app.agent(raw(app, decisions), name="decisions")(copy)
    broker.write(bootstrap, quotes, [("k", b"quote")] * 10)
    async with running(app):
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(broker.read, bootstrap, out, until=1, limit_s=1.0)
        broker.write(bootstrap, decisions, [("k", b"decision")])
        found = await rows(bootstrap, out, 11)
    assert Counter(row.value for row in found) == {b"quote": 10, b"decision": 1}
    registry = app.runtime.metrics
    assert registry is not None
    assert registry.get_sample_value("quantum_epoch_records_count", {"app": f"{prefix}-app"}) == 1


async def test_records_of_a_partition_are_dispatched_by_time_over_topics(bootstrap: str, prefix: str) -> None:
    broker.create_topics(bootstrap, f"{prefix}-small", f"{prefix}-large", partitions=1)
    app = make(prefix, bootstrap, event_time_order=True)
    small, large = raw(app, f"{prefix}-small"), raw(app, f"{prefix}-large")
    order: list[float] = []
    done = asyncio.Event()

    async def note(stream: Any) -> None:
        async for event in stream.events():
            order.append(event.message.timestamp)
            if len(order) == 20_020:
                done.set()

    app.agent(small, name="small")(note)
    app.agent(large, name="large")(note)
    base = 1_700_000_000_000
    broker.write(bootstrap, f"{prefix}-large", [("k", b"x")] * 20_000, timestamps=[base + i for i in range(20_000)])
    broker.write(bootstrap, f"{prefix}-small", [("k", b"x")] * 20, timestamps=[base + 1000 * i for i in range(20)])
    async with running(app):
        await asyncio.wait_for(done.wait(), 20)
    assert len(order) == 20_020
    assert order == sorted(order)


def test_what_is_not_supported_names_itself(bootstrap: str, prefix: str) -> None:
    app = make(prefix, bootstrap)
    with pytest.raises(ConfigurationError, match="GlobalTable"):
        app.GlobalTable("x")
    with pytest.raises(ConfigurationError, match="isolated_partitions"):

        @app.agent(raw(app, "t"), isolated_partitions=True)
        async def isolated(stream: Any) -> None:
            async for _ in stream:
                pass

    with pytest.raises(ConfigurationError, match="store"):
        make(prefix, bootstrap, store="aerospike://")


async def test_a_missing_source_topic_stops_the_worker(bootstrap: str, prefix: str) -> None:
    app = make(prefix, bootstrap, topic_allow_declare=False)

    @app.agent(raw(app, f"{prefix}-nowhere"))
    async def ignore(stream: Any) -> None:
        async for _ in stream:
            pass

    await app.start()
    task = app.engine_service.running
    assert task is not None
    with pytest.raises(StopError, match="do not exist"):
        await task
    await app.stop()


async def test_a_record_that_kafka_refuses_is_a_dead_letter(bootstrap: str, prefix: str) -> None:
    broker.create_topics(bootstrap, f"{prefix}-in", f"{prefix}-out")
    app = make(prefix, bootstrap, max_retries=1)
    source, sink = raw(app, f"{prefix}-in"), raw(app, f"{prefix}-out")

    @app.agent(source)
    async def copy(stream: Any) -> None:
        async for event in stream.events():
            await sink.send(key=event.key, value=event.value * 2_000_000 if event.value == b"7" else event.value)

    broker.write(bootstrap, f"{prefix}-in", [("k", str(i).encode()) for i in range(20)])
    async with running(app):
        dead = await rows(bootstrap, f"{prefix}-in.dlq", 1)
        copied = await rows(bootstrap, f"{prefix}-out", 19)
    assert [row.value for row in dead] == [b"7"]
    assert [int(row.value) for row in copied] == [i for i in range(20) if i != 7]


async def test_a_send_to_a_topic_that_does_not_exist_stops_the_worker(bootstrap: str, prefix: str) -> None:
    broker.create_topics(bootstrap, f"{prefix}-in")
    app = make(prefix, bootstrap)
    source, nowhere = raw(app, f"{prefix}-in"), raw(app, f"{prefix}-nowhere")

    @app.agent(source)
    async def copy(stream: Any) -> None:
        async for event in stream.events():
            await nowhere.send(key=event.key, value=event.value)

    broker.write(bootstrap, f"{prefix}-in", [("k", b"1")])
    await app.start()
    task = app.engine_service.running
    assert task is not None
    with pytest.raises(StopError, match="nowhere"):
        await asyncio.wait_for(task, 60)
    await app.stop()
