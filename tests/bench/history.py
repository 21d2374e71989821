"""The way into the history: records on Kafka to rows that a query sees."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import psutil
from clickhouse_connect.driver.client import Client
from confluent_kafka import Producer

from connectors.clickhouse.client import open_client
from connectors.clickhouse.columns import columns
from connectors.clickhouse.decode import Decoder
from connectors.clickhouse.lane import MAX_ROWS
from connectors.clickhouse.tables import TableSpec, create_sql
from connectors.kafka.config import client_config
from connectors.kafka.topics import TopicSpec, apply
from connectors.registry.client import Registry
from quantum.home import Endpoints
from quantum.trace import Headers, caused_headers
from schemas.codec import RecordCodec, schema_text
from schemas.market.records import MarketTick
from tests.bench.feed import send
from tests.bench.figure import MICRO, Figure, best_rates
from tests.bench.peers import plain_sink
from tests.bench.servers import Bench
from tests.bench.ticks import ticks
from tests.unit.messages import message

COUNT = 1_000_000
PEERS_COUNT = 200_000
ROUNDS = 2
PARTITIONS = 4
LIMIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Load:
    """The records of the benchmark, their headers and values as they go to Kafka."""

    records: list[MarketTick]
    headers: list[Headers]
    values: list[bytes]

    def rows(self, numbers: range) -> list[list[Any]]:
        """Return records as rows, each with the table's columns."""
        names = [column.name for column in columns(MarketTick)]
        rows = []
        for number in numbers:
            record = self.records[number]
            values = msgspec.to_builtins(record) | {
                "_partition": number % PARTITIONS, "_offset": number // PARTITIONS, "_timestamp": record.ingest_ts // 1000,
                "_traceparent": self.headers[number]["traceparent"].decode(), "_causation_id": "",
            }  # fmt: skip
            rows.append([values[name] for name in names])
        return rows


def history(bench: Bench) -> Iterator[Figure]:
    """Measure the sink beside clickhouse-connect's own insert of the same rows, and the part of it that decodes."""
    endpoints = bench.endpoints()
    registry = Registry(endpoints.registry)
    subject = f"{bench.unique()}-value"
    registry.register(subject, schema_text(MarketTick))
    load = _load(RecordCodec(subject, MarketTick, registry))
    client = open_client(endpoints.clickhouse)
    carries: list[Carried] = []
    looped = inserted = float("inf")
    for number in range(ROUNDS):
        spec = _table(client, bench.unique())
        carries.append(_carry(bench, client, spec, load, bench.folder / f"sink-{number}.log"))
        inserted = min(inserted, _insert(client, _table(client, bench.unique()), load))
        copy = _table(client, bench.unique())
        looped = min(looped, plain_sink.carry(endpoints, client, spec.topic, copy, PEERS_COUNT))
        _check(client, copy, PEERS_COUNT)
    best = min(carries, key=lambda carried: carried.seconds)
    yield Figure(
        name="history: sink, Kafka to rows",
        unit="rows/s",
        value=COUNT / best.seconds,
        peers={
            "plain loop: confluent-kafka, AvroDeserializer, clickhouse-connect": PEERS_COUNT / looped,
            "clickhouse-connect insert of decoded rows": COUNT / inserted,
        },
        note=f"{COUNT:,} market.tick, one sink, {PARTITIONS} partitions, from their commit on Kafka to the last row in SELECT count(); "
        f"the loop ({PEERS_COUNT:,} of them) keeps no offsets; the insert reads no Kafka and decodes nothing; all in blocks of at most "
        f"{MAX_ROWS:,} rows",
    )
    for name in ("sink", "store", "kafka"):
        yield Figure(
            name=f"history: processor time of a row, {name}",
            unit="us",
            value=best.processor_us[name],
            note="of its process, while the sink carries; the store's merges are in it. No run is faster than the sum over the processors",
        )
    spec = TableSpec("decode", "decode", MarketTick)
    messages = [
        message(value, offset, key=b"BTCUSDT", headers=list(headers.items()))
        for offset, (headers, value) in enumerate(zip(load.headers[:MAX_ROWS], load.values, strict=False))
    ]
    ways = {"own": Decoder(spec, registry), "record by record, by fastavro": Decoder(spec, registry, in_bulk=False)}

    def decode(decoder: Decoder) -> None:
        decoded = decoder.decode(messages)
        if decoded.batch is None or decoded.rejected:
            raise AssertionError("the records of the benchmark must all be rows")

    rates = best_rates(len(messages), {name: partial(decode, decoder) for name, decoder in ways.items()})
    own = rates.pop("own")
    yield Figure(name="history: decode to Arrow's columns", unit="rows/s", value=own, peers=rates, note="the sink's own part, one thread")
    client.close()
    registry.close()


def _load(codec: RecordCodec[MarketTick]) -> Load:
    records = list(ticks(COUNT))
    return Load(records, [caused_headers(record.event_id, "", {}) for record in records], [codec.encode(record) for record in records])


def _table(client: Client, name: str) -> TableSpec:
    spec = TableSpec(f"{name}-topic", f"{name}_table", MarketTick)
    client.command(create_sql(spec))
    return spec


def _insert(client: Client, spec: TableSpec, load: Load) -> float:
    """Return the seconds in which clickhouse-connect stores the rows."""
    names = [column.name for column in columns(MarketTick)]
    taken = 0.0
    for first in range(0, COUNT, MAX_ROWS):
        rows = load.rows(range(first, min(first + MAX_ROWS, COUNT)))
        started = time.perf_counter()
        client.insert(spec.name, rows, names, settings={"async_insert": 0})
        taken += time.perf_counter() - started
    _check(client, spec, COUNT)
    return taken


@dataclass(frozen=True, slots=True)
class Carried:
    """How long the records took, seconds, and what of the processors the sink and the servers took for each of them, microseconds."""

    seconds: float
    processor_us: dict[str, float]


def _carry(bench: Bench, client: Client, spec: TableSpec, load: Load, sink_log: Path) -> Carried:
    """Measure from the moment at which a running sink can see the records to the last of them being a row.

    The records are written beforehand, in a transaction that is committed at that moment.
    """
    endpoints = bench.endpoints()
    kafka = endpoints.kafka
    apply(kafka, [TopicSpec(name, PARTITIONS, 1, {}) for name in (spec.topic, spec.dead_letters)])
    producer = Producer(client_config(kafka, transactional_id=spec.topic, linger_ms=20))
    producer.init_transactions()
    with _sink(endpoints, spec, sink_log) as sink:
        pids = {status.name: status.pid for status in bench.stack().status()}
        processes = {"sink": psutil.Process(sink)} | {name: psutil.Process(pid) for name, pid in pids.items() if pid is not None}
        _write(producer, spec.topic, load, range(PARTITIONS))
        producer.commit_transaction()
        _wait_for(client, spec, PARTITIONS)
        _write(producer, spec.topic, load, range(COUNT))
        producer.flush()
        before = {name: _processor_s(process) for name, process in processes.items()}
        started = time.perf_counter()
        producer.commit_transaction()
        _wait_for(client, spec, PARTITIONS + COUNT)
        taken = time.perf_counter() - started
        used = {name: (_processor_s(process) - before[name]) / COUNT * MICRO for name, process in processes.items()}
    _check(client, spec, PARTITIONS + COUNT)
    return Carried(taken, used)


def _processor_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _write(producer: Producer, topic: str, load: Load, numbers: range) -> None:
    producer.begin_transaction()
    for number in numbers:
        send(producer, topic, load.values[number], "key", number % PARTITIONS, load.headers[number])


@contextmanager
def _sink(endpoints: Endpoints, spec: TableSpec, sink_log: Path) -> Iterator[int]:
    """Run a sink for the length of the block, and give its process id."""
    arguments = [endpoints.kafka, endpoints.registry, endpoints.clickhouse, spec.topic, spec.table, f"{spec.topic}-group"]
    with sink_log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "tests.integration.sink_process", *arguments], stdout=output, stderr=output)
        try:
            yield process.pid
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
