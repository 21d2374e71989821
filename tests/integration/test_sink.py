"""The sink on a real broker, registry and store: what goes in, what is given up, what is passed over."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from confluent_kafka import Producer
from msgspec.structs import replace

from connectors.clickhouse.client import open_client
from connectors.clickhouse.dead_letters import KafkaDeadLetters
from connectors.clickhouse.decode import Decoder
from connectors.clickhouse.lane import MAX_ROWS, Flushed, Lane
from connectors.clickhouse.sink import Sink
from connectors.clickhouse.store import OutcomeUnknownError, Store
from quantum.errors import ConfigurationError, FencedError, RetryError
from quantum.trace import caused_headers
from schemas.codec import schema_text
from schemas.execution.records import AccountBalance
from schemas.market.records import MarketTick
from schemas.record import Record
from tests.integration.sink_bench import PARTITIONS, Bench
from tests.unit.messages import message
from tests.unit.test_codec import TICK

pytestmark = pytest.mark.stack
NOW_MS = int(time.time() * 1000)


def test_records_become_rows_and_bad_ones_dead_letters(benches: Callable[..., Bench]) -> None:
    bench = benches()
    for number in range(200):
        headers = caused_headers(f"e{number}", "cause", {})
        bench.send(bench.codec.encode(replace(TICK, event_id=f"e{number}", trade_id=number)), number % PARTITIONS, headers)
    whole = bench.codec.encode(TICK)
    bad = [b"", b"\x00\x00", b"\x01" + whole[1:], whole[:-3], whole + b"x", b"\x00\x7f\xff\xff\xff" + whole[5:]]
    for value in bad:
        bench.send(value, 0)
    bench.send(None, 1)
    bench.send(bench.codec.encode(replace(TICK, event_id="last")), 0)
    bench.producer.flush()
    with bench.running():
        bench.wait_for(201)
        letters = bench.dead_letters(len(bad))
    rows = bench.client.query(
        f"SELECT event_id, trade_id, _partition, _traceparent, _causation_id, price, symbol, side FROM {bench.spec.name} ORDER BY trade_id"
    )
    assert [row[0] for row in rows.result_rows if row[0].startswith("e")] == [f"e{number}" for number in range(200)]
    first = rows.result_rows[0]
    assert first[2] == 0
    assert first[3:5] == (caused_headers("e0", "cause", {})["traceparent"].decode(), "cause")
    assert first[5:] == (TICK.price, TICK.symbol, TICK.side.value)
    assert sorted(letter.value() or b"" for letter in letters) == sorted(bad)
    told = dict(letters[0].headers())
    assert told["dlq.topic"] == bench.topic.encode()
    assert told["dlq.stage"] == b"sink"
    assert told["dlq.error"] in {b"CorruptRecordError", b"UnknownSchemaError"}
    assert int(told["dlq.offset"]) >= 67
    assert told["dlq.message"]


def test_a_value_that_no_column_can_hold_is_given_up_alone(benches: Callable[..., Bench]) -> None:
    bench = benches(AccountBalance)
    schema = fastavro.parse_schema(json.loads(schema_text(AccountBalance)))
    balance = {"event_ts": 1, "ingest_ts": 1, "account": "a", "venue": "v", "asset": "USDT", "available_balance": "1"}
    none = Decimal(0)
    empty = AccountBalance(
        event_id="", event_ts=0, ingest_ts=0, account="", venue="", asset="", wallet_balance=none, available_balance=none
    )
    header = bench.codec.encode(empty)[:5]
    for number in range(50):
        buffer = io.BytesIO()
        wallet = "no number" if number in (7, 31) else "12345678901234567890.123456789012345678"
        fastavro.schemaless_writer(buffer, schema, {**balance, "event_id": f"e{number}", "wallet_balance": wallet})
        bench.send(header + buffer.getvalue())
    bench.producer.flush()
    with bench.running():
        bench.wait_for(48)
        letters = bench.dead_letters(2)
    assert sorted(int(dict(letter.headers())["dlq.offset"]) for letter in letters) == [7, 31]
    sums = bench.client.query(f"SELECT count(), uniqExact(_offset), any(toString(wallet_balance)) FROM {bench.spec.name}").first_row
    assert sums == (48, 48, "12345678901234567890.123456789012345678")


def test_a_broadcast_topic_is_kept_once(benches: Callable[..., Bench]) -> None:
    bench = benches(first_partition_only=True)
    for number in range(30):
        for partition in range(PARTITIONS):
            bench.send(bench.codec.encode(replace(TICK, event_id=f"e{number}")), partition)
    bench.producer.flush()
    with bench.running():
        bench.wait_for(30)
        time.sleep(1.5)
    assert bench.client.query(f"SELECT count(), uniqExact(event_id), max(_partition) FROM {bench.spec.name}").first_row == (30, 30, 0)


def test_it_goes_on_where_the_table_ends_and_takes_less_than_two_seconds(benches: Callable[..., Bench]) -> None:
    bench = benches()
    for number in range(10):
        bench.send(bench.codec.encode(replace(TICK, event_id=f"e{number}")))
    bench.producer.flush()
    with bench.running():
        bench.wait_for(10)
    with bench.running():
        time.sleep(3.0)
        bench.send(bench.codec.encode(replace(TICK, event_id="late")))
        bench.producer.flush()
        started = time.monotonic()
        bench.wait_for(11)
        assert time.monotonic() - started < 2.0
    assert bench.client.query(f"SELECT count(), uniqExact(_offset) FROM {bench.spec.name}").first_row == (11, 11)


def test_aborted_transactions_are_not_kept(benches: Callable[..., Bench]) -> None:
    bench = benches()
    transactional = Producer({"bootstrap.servers": bench.endpoints.kafka, "transactional.id": bench.topic})
    transactional.init_transactions()
    for turn in range(6):
        transactional.begin_transaction()
        transactional.produce(bench.topic, bench.codec.encode(replace(TICK, event_id=f"e{turn}")), b"k", 0)
        transactional.flush()
        if turn % 2:
            transactional.abort_transaction()
        else:
            transactional.commit_transaction()
    with bench.running():
        bench.wait_for(3)
        time.sleep(1.0)
    rows = bench.client.query(f"SELECT event_id FROM {bench.spec.name} ORDER BY _offset").result_rows
    assert [row[0] for row in rows] == ["e0", "e2", "e4"]


def test_a_missing_table_stops_the_sink_with_the_remedy(benches: Callable[..., Bench]) -> None:
    bench = benches()
    bench.client.command(f"DROP TABLE {bench.spec.name}")
    with pytest.raises(ConfigurationError, match="quantum schemas apply"):
        bench.sink().run(threading.Event())


@pytest.fixture
def benches(stack: Any, unique: str) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(record: type[Record] = MarketTick, *, first_partition_only: bool = False) -> Bench:
        made.append(Bench(stack, unique, record, first_partition_only=first_partition_only))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


def flush(lane: Lane, bench: Bench, offsets: range) -> Flushed:
    """Read records and store them."""
    fill(lane, bench, offsets)
    return lane.flush(lane.take())


def fill(lane: Lane, bench: Bench, offsets: range) -> None:
    lane.extend([message(bench.codec.encode(replace(TICK, event_id=f"e{offset}")), offset, at_ms=NOW_MS) for offset in offsets], 0.0)


def lane(bench: Bench, end: int) -> Lane:
    store = Store(lambda: open_client(bench.endpoints.clickhouse))
    bench.stores.append(store)
    made = Lane(bench.spec, 0, Decoder(bench.spec, bench.registry), store, KafkaDeadLetters(bench.endpoints.kafka), end)
    made.wait = lambda _seconds: None  # nothing is under way
    return made


def test_a_late_insert_of_a_fenced_owner_doubles_nothing(benches: Callable[..., Bench]) -> None:
    bench = benches()
    old, new = lane(bench, -1), lane(bench, -1)
    fill(old, bench, range(100))  # read, and then it stalls
    late = old.take()
    assert flush(new, bench, range(150)).rows == 150
    with pytest.raises(FencedError):
        old.flush(late)
    old = lane(bench, 149)
    fill(new, bench, range(150, 180))
    late = new.take()
    assert flush(old, bench, range(140, 200)).rows == 50
    with pytest.raises(FencedError):
        new.flush(late)
    assert bench.client.query(f"SELECT count(), uniqExact(_offset), max(_offset) FROM {bench.spec.name}").first_row == (200, 200, 199)


def test_records_are_not_stored_while_those_before_them_are_not(benches: Callable[..., Bench]) -> None:
    bench = benches()
    left = lane(bench, -1)
    fill(left, bench, range(10))
    left.take()  # and never stored
    with pytest.raises(RetryError, match="stored up to -1, not up to 9"):
        flush(left, bench, range(10, 20))
    assert bench.count() == 0


def test_rows_that_were_lost_after_their_token_was_kept_are_stored_again(benches: Callable[..., Bench]) -> None:
    """What a kill between token and rows leaves behind: made here by deleting the rows, which leaves the token."""
    bench = benches()
    flush(lane(bench, -1), bench, range(10))
    bench.client.command(f"ALTER TABLE {bench.spec.name} DELETE WHERE 1 SETTINGS mutations_sync = 2")
    assert flush(lane(bench, -1), bench, range(10)).rows == 10
    assert bench.count() == 10


def test_a_block_that_the_store_lost_is_stored_in_halves(benches: Callable[..., Bench]) -> None:
    """The store answers that it does not know; nothing is stored, and a block of that size never will be."""
    bench = benches()
    bench.client.command(f"ALTER TABLE {bench.spec.name} ADD CONSTRAINT small CHECK blockSize() <= 4000")
    halved = lane(bench, -1)
    assert flush(halved, bench, range(12_000)).rows == 12_000
    assert bench.client.query(f"SELECT count(), uniqExact(_offset), max(_offset) FROM {bench.spec.name}").first_row == (
        12_000,
        12_000,
        11_999,
    )
    bench.client.command(f"ALTER TABLE {bench.spec.name} ADD CONSTRAINT never CHECK blockSize() = 0")
    with pytest.raises(OutcomeUnknownError):
        flush(halved, bench, range(12_000, 12_100))
    bench.client.command(f"ALTER TABLE {bench.spec.name} DROP CONSTRAINT never")
    assert flush(lane(bench, 11_999), bench, range(12_000, 12_100)).next_offset == 12_100
    assert bench.count() == 12_100


def test_a_block_that_was_stored_while_something_failed_is_not_stored_again(benches: Callable[..., Bench]) -> None:
    """The store answers that it does not know; the rows are there."""
    bench = benches()
    name = bench.spec.name
    bench.client.command(f"CREATE TABLE {name}_behind (n UInt64) ENGINE = MergeTree ORDER BY n")
    bench.client.command(f"CREATE MATERIALIZED VIEW {name}_view TO {name}_behind AS SELECT throwIf(count() > 0) + 0 AS n FROM {name}")
    doubtful = lane(bench, -1)
    assert flush(doubtful, bench, range(50)).rows == 50
    bench.client.command(f"DROP TABLE {name}_view")
    assert flush(doubtful, bench, range(50, 80)).rows == 30
    assert bench.client.query(f"SELECT count(), uniqExact(_offset), max(_offset) FROM {name}").first_row == (80, 80, 79)


def test_the_longest_insert_is_one_block(benches: Callable[..., Bench]) -> None:
    bench = benches()
    whole = lane(bench, -1)
    value = bench.codec.encode(TICK)
    whole.extend([message(value, offset, at_ms=NOW_MS) for offset in range(MAX_ROWS + 1)], 0.0)
    assert whole.flush(whole.take()).rows == MAX_ROWS + 1
    parts = bench.client.query(
        "SELECT rows FROM system.parts WHERE table = {t:String} AND level = 0 ORDER BY rows", {"t": bench.spec.table}
    )
    assert parts.result_rows == [(1,), (MAX_ROWS,)]


def test_rows_of_two_months_are_two_inserts(benches: Callable[..., Bench]) -> None:
    bench = benches()
    mixed = lane(bench, -1)
    times = [1_769_903_999_999, 1_769_904_000_000, 1_769_904_000_001]  # the last millisecond of January 2026, and February
    mixed.extend([message(bench.codec.encode(TICK), offset, at_ms=at) for offset, at in enumerate(times)], 0.0)
    assert mixed.flush(mixed.take()).rows == 3
    parts = bench.client.query(
        "SELECT partition, sum(rows) FROM system.parts WHERE active AND table = {t:String} GROUP BY partition ORDER BY partition",
        {"t": bench.spec.table},
    )
    assert parts.result_rows == [("202601", 1), ("202602", 2)]


def test_columns_are_named_once_a_topic(benches: Callable[..., Bench]) -> None:
    bench = benches()
    with pytest.raises(ConfigurationError, match="two tables"):
        Sink("x", "g", [bench.spec, bench.spec], lambda: bench.client, bench.registry, KafkaDeadLetters(bench.endpoints.kafka))
