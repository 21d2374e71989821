"""The way into the history: records on Kafka to rows that a query sees."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from clickhouse_connect.driver.client import Client
from confluent_kafka import Producer

from connectors.clickhouse.client import open_client
from connectors.clickhouse.decode import Decoder, Raw, to_ipc
from connectors.clickhouse.lane import MAX_ROWS
from connectors.clickhouse.tables import TableSpec, columns, create_sql
from connectors.kafka.config import client_config
from connectors.kafka.topics import TopicSpec, apply
from connectors.registry.client import Registry
from quantum.home import Endpoints
from quantum.trace import Headers, caused_headers
from schemas.codec import RecordCodec, schema_text
from schemas.market.records import MarketTick
from tests.bench.feed import send
from tests.bench.figure import Figure, best_rates
from tests.bench.peers import plain_sink
from tests.bench.servers import Bench
from tests.bench.ticks import ticks

COUNT = 200_000
ROUNDS = 2
PARTITIONS = 4
LIMIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Load:
    """The records of the benchmark, as they go to Kafka and as rows: headers and values, and each row's columns."""

    headers: list[Headers]
    values: list[bytes]
    rows: list[list[Any]]


def history(bench: Bench) -> Iterator[Figure]:
    """Measure the sink beside clickhouse-connect's own insert of the same rows, and the part of it that decodes."""
    endpoints = bench.endpoints()
    registry = Registry(endpoints.registry)
    subject = f"{bench.unique()}-value"
    registry.register(subject, schema_text(MarketTick))
    load = _load(RecordCodec(subject, MarketTick, registry))
    client = open_client(endpoints.clickhouse)
    carried = looped = inserted = float("inf")
    for number in range(ROUNDS):
        spec = _table(client, bench.unique())
        carried = min(carried, _carry(endpoints, client, spec, load, bench.folder / f"sink-{number}.log"))
        copy = _table(client, bench.unique())
        looped = min(looped, plain_sink.carry(endpoints, client, spec.topic, copy, PARTITIONS + COUNT))
        _check(client, copy, PARTITIONS + COUNT)
        inserted = min(inserted, _insert(client, _table(client, bench.unique()), load))
    yield Figure(
        name="history: sink, Kafka to rows",
        unit="rows/s",
        value=COUNT / carried,
        peers={
            "plain loop: confluent-kafka, AvroDeserializer, clickhouse-connect": COUNT / looped,
            "clickhouse-connect insert of decoded rows": COUNT / inserted,
        },
        note=f"{COUNT:,} market.tick, one sink, {PARTITIONS} partitions, from their commit on Kafka to the last row in SELECT count(); "
        f"the loop keeps no offsets; the insert reads no Kafka and decodes nothing; both in blocks of {MAX_ROWS:,} rows",
    )
    decoder = Decoder(TableSpec("decode", "decode", MarketTick), registry)
    raws = [
        Raw(0, offset, 0, b"BTCUSDT", value, tuple(headers.items()))
        for offset, (headers, value) in enumerate(zip(load.headers[:MAX_ROWS], load.values, strict=False))
    ]

    def decode() -> None:
        _, batch, rejected = decoder.decode(raws)
        if batch is None or rejected:
            raise AssertionError("the records of the benchmark must all be rows")
        to_ipc(batch)

    rates = best_rates(len(raws), {"own": decode})
    yield Figure(name="history: decode to an Arrow block", unit="rows/s", value=rates["own"], note="the sink's own part, one thread")
    client.close()
    registry.close()


def _load(codec: RecordCodec[MarketTick]) -> Load:
    records = list(ticks(COUNT))
    headers = [caused_headers(record.event_id, "", {}) for record in records]
    names = [column.name for column in columns(MarketTick)]
    rows = []
    for number, record in enumerate(records):
        values = msgspec.to_builtins(record) | {
            "_partition": number % PARTITIONS, "_offset": number // PARTITIONS, "_timestamp": record.ingest_ts // 1000,
            "_traceparent": headers[number]["traceparent"].decode(), "_causation_id": "",
        }  # fmt: skip
        rows.append([values[name] for name in names])
    return Load(headers, [codec.encode(record) for record in records], rows)


def _table(client: Client, name: str) -> TableSpec:
    spec = TableSpec(f"{name}-topic", f"{name}_table", MarketTick)
    client.command(create_sql(spec))
    return spec


def _insert(client: Client, spec: TableSpec, load: Load) -> float:
    """Return the seconds in which clickhouse-connect stores the rows."""
    names = [column.name for column in columns(MarketTick)]
    started = time.perf_counter()
    for first in range(0, COUNT, MAX_ROWS):
        client.insert(spec.name, load.rows[first : first + MAX_ROWS], names, settings={"async_insert": 0})
    taken = time.perf_counter() - started
    _check(client, spec, COUNT)
    return taken


def _carry(endpoints: Endpoints, client: Client, spec: TableSpec, load: Load, sink_log: Path) -> float:
    """Return the seconds from the moment at which a running sink can see the records to the last of them being a row.

    The records are written beforehand, in a transaction that is committed at that moment.
    """
    kafka = endpoints.kafka
    apply(kafka, [TopicSpec(name, PARTITIONS, 1, {}) for name in (spec.topic, spec.dead_letters)])
    producer = Producer(client_config(kafka, transactional_id=spec.topic, linger_ms=20))
    producer.init_transactions()
    with _sink(endpoints, spec, sink_log):
        _write(producer, spec.topic, load, range(PARTITIONS))
        producer.commit_transaction()
        _wait_for(client, spec, PARTITIONS)
        _write(producer, spec.topic, load, range(COUNT))
        producer.flush()
        started = time.perf_counter()
        producer.commit_transaction()
        _wait_for(client, spec, PARTITIONS + COUNT)
        taken = time.perf_counter() - started
    _check(client, spec, PARTITIONS + COUNT)
    return taken


def _write(producer: Producer, topic: str, load: Load, numbers: range) -> None:
    producer.begin_transaction()
    for number in numbers:
        send(producer, topic, load.values[number], "key", number % PARTITIONS, load.headers[number])


@contextmanager
def _sink(endpoints: Endpoints, spec: TableSpec, sink_log: Path) -> Iterator[None]:
    arguments = [endpoints.kafka, endpoints.registry, endpoints.clickhouse, spec.topic, spec.table, f"{spec.topic}-group"]
    with sink_log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "tests.integration.sink_process", *arguments], stdout=output, stderr=output)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(client: Client, spec: TableSpec, rows: int) -> None:
    deadline = time.monotonic() + LIMIT_S
    while (found := _count(client, spec)) < rows:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{found} of {rows} rows after {LIMIT_S:.0f} s")
        time.sleep(0.02)


def _count(client: Client, spec: TableSpec) -> int:
    return int(str(client.command(f"SELECT count() FROM {spec.name}")))


def _check(client: Client, spec: TableSpec, rows: int) -> None:
    found = client.query(f"SELECT count(), uniqExact(_partition, _offset) FROM {spec.name}").first_row
    if found is None or tuple(found) != (rows, rows):
        raise AssertionError(f"{spec.table}: {found} rows and places, {rows} were sent")
