"""Two record types gain a field while everything runs: sink, stages, writers and readers of both versions; nothing is lost or restarted."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import msgspec
import pytest
from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, Producer, TopicPartition
from msgspec.structs import replace

from connectors.clickhouse import migrate
from connectors.clickhouse.client import open_client
from connectors.kafka.config import client_config
from connectors.kafka.topics import apply, prepare_coordinators
from connectors.registry.client import Registry
from connectors.registry.transfer import Transfer
from infra.local.stack import Stack
from processors.app import application_id
from processors.components import read_all, read_from
from processors.contracts import apply_schemas, apply_tables, topic_specs
from processors.topology import NODES, TOPICS
from quantum.home import Home
from quantum.settings import Settings
from schemas.codec import HEADER_SIZE, MAGIC, ROOT, RecordCodec, parse, schema_text
from schemas.common import ExitReason, PositionSide
from schemas.journal.records import TradeClosed
from schemas.record import Record
from tests.unit.test_codec import TICK

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]
STAGES = {"market.tick": "exits", "trade.closed": "learning"}
"""A stage that reads the topic."""
WORKERS = {"sink": ("component", "sink"), **{stage: ("worker", stage) for stage in STAGES.values()}}
TRADE = TradeClosed(
    event_id="", event_ts=1_700_000_000_000_000, ingest_ts=1_700_000_000_000_000, account="paper", symbol="BTCUSDT", venue="binance-usdm",
    position_id="p", strategy="s", signal_id=None, side=PositionSide.LONG, quantity=Decimal(1), entry_price=Decimal(10),
    exit_price=Decimal(11), opened_ts=1_700_000_000_000_000, closed_ts=1_700_000_000_000_000, held_s=1.0, gross_pnl=Decimal(1),
    fees=Decimal("0.1"), net_pnl=Decimal("0.9"), risk_amount=Decimal(1), r_multiple=0.9, decided_r=None, entry_slippage_bps=0.0,
    exit_slippage_bps=0.0, exit_reason=ExitReason.TIME, leverage=1.0, entry_orders=["a"], exit_orders=["b"],
)  # fmt: skip
NEW: dict[str, dict[str, Any]] = {
    "market.tick": {"name": "block_trade", "type": "boolean", "default": False, "doc": "Whether it was a block trade."},
    "trade.closed": {"name": "note", "type": "string", "default": "none", "doc": "What a person wrote about the trade."},
}
VALUES = {"market.tick": True, "trade.closed": "by v2"}
SAMPLES: dict[str, Record] = {"market.tick": TICK, "trade.closed": TRADE}


class Writer(threading.Thread):
    """A producer of one topic that writes all the time, by the schema of the code or by a newer one.

    Attributes
    ----------
    sent : list[str]
        event_id of every record that it has written.
    """

    def __init__(self, settings: Settings, topic: str, name: str, schema: str | None = None) -> None:
        super().__init__()
        self.sent: list[str] = []
        self.failed: list[Any] = []
        self.topic, self._prefix, self._halt = topic, name, threading.Event()
        self._producer = Producer(client_config(settings.kafka, enable_idempotence=True))
        with Registry(settings.registry) as registry:
            subject, record = TOPICS[topic].subject, TOPICS[topic].record
            codec = RecordCodec(subject, record, registry)
            self._encode: Callable[[Record], bytes] = codec.encode
            if schema is not None:
                self._header = MAGIC + registry.id_of(subject, schema).to_bytes(4, "big")
                self._schema = parse(schema)
                self._encode = self._encode_later
            self._encode(SAMPLES[topic])  # asks the registry
        self.start()

    def _encode_later(self, record: Record) -> bytes:
        buffer = io.BytesIO()
        buffer.write(self._header)
        fastavro.schemaless_writer(buffer, self._schema, {**msgspec.to_builtins(record), NEW[self.topic]["name"]: VALUES[self.topic]})
        return buffer.getvalue()

    def run(self) -> None:
        def stored(error: Any, _message: Any) -> None:
            if error is not None:
                self.failed.append(error)

        while not self._halt.wait(0.02):
            for _ in range(10):
                event_id = f"{self._prefix}-{len(self.sent)}"
                record = replace(SAMPLES[self.topic], event_id=event_id)
                self._producer.produce(self.topic, self._encode(record), b"key", len(self.sent) % 2, on_delivery=stored)
                self.sent.append(event_id)
            self._producer.poll(0)

    def halt(self) -> None:
        """Stop."""
        self._halt.set()
        self.join(10)

    def end(self) -> None:
        """Stop, and see that all of it is on the topic."""
        self.halt()
        assert self._producer.flush(10) == 0
        assert self.failed == []


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The platform's topics, subjects and tables on servers of their own: other tests' tables keep their columns."""
    home = Home(tmp_path_factory.mktemp("evolution"))
    servers = Stack(home, ports={"kafka": 0, "registry": 0, "store": 0}, die_with_parent=True)
    at = servers.up()
    made = Settings(home=home.root, kafka=at.kafka, registry=at.registry, clickhouse=at.clickhouse, partitions=2)
    # All of the topology's topics are twice as many, and take as long as the test: those of what runs here are enough.
    stages = [NODES[stage] for stage in STAGES.values()]
    wanted = {name for name, topic in TOPICS.items() if topic.kept} | {name for node in stages for name in (*node.reads, *node.writes)}
    wanted |= {TOPICS[name].dead_letters for node in stages for name in node.reads}
    own = [application_id(stage) for stage in STAGES.values()]
    apply(made.kafka, [spec for spec in topic_specs(made) if spec.name in wanted or any(name in spec.name for name in own)])
    prepare_coordinators(made.kafka)
    apply_tables(made)
    with Registry(made.registry) as registry:
        apply_schemas(registry)
    yield made
    servers.down()


def environment(settings: Settings) -> dict[str, str]:
    places = {name: str(getattr(settings, name)) for name in ("home", "kafka", "registry", "clickhouse", "partitions")}
    return {**os.environ, **{f"QUANTUM_{name.upper()}": value for name, value in places.items()}}


def call(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of a person."""
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, env=environment(settings), capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def workers(settings: Settings) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """A sink, and of each topic a stage that reads it; what they say is in the home."""
    started = {}
    for name, arguments in WORKERS.items():
        with (settings.home / f"{name}.log").open("wb") as log:
            command = [sys.executable, "-m", "quantum", *arguments]
            started[name] = subprocess.Popen(command, env=environment(settings), stderr=log)
    yield started
    for process in started.values():
        process.send_signal(signal.SIGTERM)
    assert [process.wait(timeout=20) for process in started.values()] == [0] * len(started)


@pytest.fixture
def writers() -> Iterator[list[Writer]]:
    """The writers that a test starts; they end with it."""
    started: list[Writer] = []
    yield started
    for writer in started:
        writer.halt()


@pytest.fixture
def later(tmp_path: Path) -> dict[str, Path]:
    """Copies of the schemas and of the migrations; each of two schemas has one field more."""
    schemas, ddl = tmp_path / "schemas", tmp_path / "ddl"
    shutil.copytree(ROOT, schemas, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    shutil.copytree(migrate.FOLDER, ddl, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for path in schemas.glob("*/*.avsc"):
        schema = json.loads(path.read_text())
        for topic, field in NEW.items():
            if schema["name"] == TOPICS[topic].record.__name__:
                path.write_text(json.dumps({**schema, "fields": [*schema["fields"], field]}))
    return {"schemas": schemas, "migrations": ddl}


def until(what: Callable[[], bool], workers: dict[str, subprocess.Popen[bytes]], say: str, timeout_s: float = 40.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not what():
        assert {name: process.poll() for name, process in workers.items()} == dict.fromkeys(workers)
        assert time.monotonic() < deadline, say
        time.sleep(0.1)


def rows(client: Client, topic: str) -> int:
    return int(str(client.command(f"SELECT count() FROM quantum.{TOPICS[topic].table}")))


def test_a_field_comes_while_everything_runs(
    settings: Settings, workers: dict[str, subprocess.Popen[bytes]], writers: list[Writer], later: dict[str, Path]
) -> None:
    texts = {topic: schema_text(TOPICS[topic].record, later["schemas"]) for topic in NEW}
    folders = [part for name, folder in later.items() for part in (f"--{name}", str(folder))]
    client = open_client(settings.clickhouse)
    writers += [Writer(settings, topic, f"old-{topic}") for topic in NEW]
    until(lambda: all(rows(client, topic) > 100 for topic in NEW), workers, "the sink carries nothing")
    first = {topic: rows(client, topic) for topic in NEW}

    # The registry first: records come for which the table has no column. They wait, the other topic does not.
    with Registry(settings.registry) as registry:
        registry.register(TOPICS["market.tick"].subject, texts["market.tick"])
    writers.append(Writer(settings, "market.tick", "new-market.tick", texts["market.tick"]))
    log = settings.home / "sink.log"
    until(lambda: "no column for block_trade" in log.read_text(), workers, "nobody misses the column")
    held = rows(client, "trade.closed")
    until(lambda: rows(client, "trade.closed") > held + 200, workers, "a topic waits for another's column")

    # What a person does: write the migration, review it, apply it. The other topic's column comes before its records.
    made = call(settings, "infra.clickhouse.evolve", *folders, "--write", "two_fields")
    assert made.returncode == 0, made.stderr
    migration = Path(made.stdout.strip())
    assert migration.parent == later["migrations"]
    assert "ADD COLUMN IF NOT EXISTS `note` String DEFAULT 'none' CODEC(ZSTD(1)) COMMENT 'What a person" in migration.read_text()
    applied = call(settings, "quantum", "schemas", "apply", *folders)
    assert applied.returncode == 0, applied.stderr
    assert [line for line in applied.stdout.splitlines() if line.endswith(": applied")] == [
        f"{migration.name}: applied", "trade.closed-value: applied",
    ]  # fmt: skip
    writers.append(Writer(settings, "trade.closed", "new-trade.closed", texts["trade.closed"]))
    until(lambda: len(writers[-1].sent) > 300, workers, "the newest writer writes nothing")
    for writer in writers:
        writer.end()

    sent = {topic: [event_id for writer in writers if writer.topic == topic for event_id in writer.sent] for topic in NEW}
    until(lambda: all(rows(client, topic) >= len(ids) for topic, ids in sent.items()), workers, "rows are missing")
    for topic, ids in sent.items():
        _rows_are_the_records(client, topic, ids, first[topic])
        _both_readers_read_all(settings, topic, ids, texts[topic])
    rewards: list[str] = []

    def rewarded() -> bool:
        rewards[:] = [record.event_id for _, record in read_all(settings, "rl.reward")]
        return len(rewards) >= len(sent["trade.closed"])

    until(rewarded, workers, "the stage has not read all trades")
    assert sorted(rewards) == sorted(f"{event_id}:reward" for event_id in sent["trade.closed"])
    until(lambda: all(_read_to_its_end(settings, topic) for topic in NEW), workers, "a stage has not read all records")
    letters = {(TOPICS[topic].dead_letters, partition): 0 for topic in NEW for partition in range(settings.partitions)}
    assert list(read_from(settings.kafka, letters)) == []
    assert {name: process.poll() for name, process in workers.items()} == dict.fromkeys(WORKERS), "all of them are the first ones"
    client.close()


def _read_to_its_end(settings: Settings, topic: str) -> bool:
    """Whether the topic's stage has committed all of it."""
    consumer = Consumer(client_config(settings.kafka, group_id=application_id(STAGES[topic])))
    try:
        places = [TopicPartition(topic, partition) for partition in range(settings.partitions)]
        ends = [consumer.get_watermark_offsets(place, 10)[1] for place in places]
        return min(ends) > 0 and [place.offset for place in consumer.committed(places, 10)] == ends
    finally:
        consumer.close()


def _rows_are_the_records(client: Client, topic: str, ids: list[str], first: int) -> None:
    field, table = NEW[topic]["name"], TOPICS[topic].table
    counts = f"SELECT count(), uniqExact(event_id), uniqExact(_partition, _offset) FROM quantum.{table}"
    assert client.query(counts).first_row == (len(ids),) * 3
    found = client.query(f"SELECT startsWith(event_id, 'new-') AS new, {field}, count() FROM quantum.{table} GROUP BY ALL ORDER BY new")
    old, new = (sum(event_id.startswith(start) for event_id in ids) for start in ("old-", "new-"))
    assert found.result_rows == [(0, NEW[topic]["default"], old), (1, VALUES[topic], new)]
    assert min(first, old - first, new) > 100, "rows of before and after, and of both writers at once"


def _both_readers_read_all(settings: Settings, topic: str, ids: list[str], text: str) -> None:
    field, later = NEW[topic]["name"], parse(text)
    with Registry(settings.registry) as registry:
        codec = RecordCodec(TOPICS[topic].subject, TOPICS[topic].record, registry)
        old, new = [], []
        for message in read_from(settings.kafka, {(topic, partition): 0 for partition in range(settings.partitions)}):
            value = message.value() or b""
            old.append(codec.decode(value))
            written = parse(registry.schema_of(int.from_bytes(value[1:HEADER_SIZE], "big")))
            got: Any = fastavro.schemaless_reader(io.BytesIO(value[HEADER_SIZE:]), written, later)
            new.append((got["event_id"], got[field]))
    assert sorted(record.event_id for record in old) == sorted(ids)
    assert set(map(type, old)) == {TOPICS[topic].record}
    assert dict(new) == {event_id: VALUES[topic] if event_id.startswith("new-") else NEW[topic]["default"] for event_id in ids}


def test_what_cannot_be_applied_is_named_with_its_remedy(settings: Settings, later: dict[str, Path]) -> None:
    folders = [part for name, folder in later.items() for part in (f"--{name}", str(folder))]

    def change(record: type[Record], edit: Callable[[list[dict[str, Any]]], Any]) -> None:
        for path in later["schemas"].glob("*/*.avsc"):
            schema = json.loads(path.read_text())
            if schema["name"] == record.__name__:
                edit(schema["fields"])
                path.write_text(json.dumps(schema))

    def venue_of_bytes(fields: list[dict[str, Any]]) -> None:
        next(field for field in fields if field["name"] == "venue")["type"] = "bytes"

    fixed = {"type": "fixed", "name": "Four", "namespace": "quantum.common", "size": 4}
    change(TOPICS["market.quote"].record, lambda fields: fields.append({"name": "must", "type": "long", "doc": "No default."}))
    change(TOPICS["market.funding"].record, lambda fields: fields.pop())
    change(TOPICS["market.klines"].record, venue_of_bytes)
    change(TOPICS["features"].record, lambda fields: fields.append({"name": "odd", "type": fixed, "default": "abcd", "doc": "Odd."}))
    checked = call(settings, "quantum", "schemas", "check", "--json", *folders)
    assert checked.returncode == 1, checked.stderr
    states = {state["subject"]: state for state in json.loads(checked.stdout)}
    found = {
        (subject, problem["field"]): problem["what"]
        for subject, state in states.items()
        for problem in state["problems"]
        if problem["remedy"] and not state["compatible"]
    }
    assert found[("market.quote-value", "must")] == "is new and has no default"
    assert found[("market.klines-value", "venue")] == "has changed its type"
    assert "no column can hold Avro's fixed" in found[("features-value", "odd")]
    assert [what for (subject, _), what in found.items() if subject == "market.funding-value"] == ["is gone"]
    assert found[("trade.closed-value", "note")] == "has no column"
    assert states["trade.closed-value"]["problems"][0]["remedy"].startswith("write its migration: python -m infra.clickhouse.evolve")

    # What is refused is refused whole: a migration that could be applied, and schemas without a fault, wait with the others.
    (later["migrations"] / "900_fine.sql").write_text("CREATE TABLE IF NOT EXISTS quantum.fine (n UInt8) ENGINE = MergeTree ORDER BY n;")
    before = _declared(settings)
    applied = call(settings, "quantum", "schemas", "apply", *folders)
    assert applied.returncode == 1, applied.stdout
    assert (applied.stdout, "Traceback" in applied.stderr) == ("", False)
    for subject, state in states.items():
        for problem in state["problems"]:
            (said,) = [line for line in applied.stderr.splitlines() if line.startswith(f"{subject}: field {problem['field']} ")]
            assert problem["what"] in said
            assert problem["remedy"] in said
    assert _declared(settings) == before


def _declared(settings: Settings) -> tuple[Any, ...]:
    """Return what the registry and the store have been told: every version of every subject, and every column of every table."""
    client = open_client(settings.clickhouse)
    found = client.query("SELECT table, name, type FROM system.columns WHERE database = 'quantum' ORDER BY ALL").result_rows
    client.close()
    return Transfer(settings.registry).listing(), found
