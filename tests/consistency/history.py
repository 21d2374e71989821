"""The history under fire: sinks and store killed, owners stopped past their session, and every record must be one row.

``python -m tests.consistency.history`` starts Kafka, a registry and a history store of its own, feeds ticks, and while two sinks carry
them kills sinks and store with SIGKILL and stops sinks until the group has given their partitions away, then wakes them. What the table
has to show: as many rows as records, no (partition, offset) twice, none missing, each row what was written at its offset, and no record
given up.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from confluent_kafka import Consumer, Producer, TopicPartition
from msgspec.structs import replace
from rich.console import Console

from connectors.clickhouse.tables import TableSpec, create_sql
from connectors.kafka.config import client_config
from connectors.kafka.topics import TopicSpec, apply
from connectors.registry.client import Registry
from infra.local.stack import Stack
from quantum.home import Home
from schemas.codec import RecordCodec, schema_text
from schemas.market.records import MarketTick
from tests.bench.feed import send
from tests.integration.history_process import ROOT, StoreProcess
from tests.integration.sink_process import SESSION_S
from tests.unit.test_codec import TICK

PARTITIONS = 4
VALUES = 1_000
_PATIENCE_S = 90.0
_LATE_S = 3.0
"""Time in which a block that is doubled would come."""
_TICK_S = 0.05


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done: records fed, kills of sinks and of the store, stops of a sink past its session."""

    records: int
    sink_kills: int
    store_kills: int
    stops: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the table shows.

    Attributes
    ----------
    records, rows
        On the topic, and in the table.
    doubled
        Rows more than there are different (partition, offset).
    holes
        Offsets without a row.
    wrong
        Rows that are not what was written at their offset.
    given_up
        Records on the dead-letter topic.
    """

    records: int
    rows: int
    doubled: int
    holes: int
    wrong: int
    given_up: int

    @property
    def kept(self) -> bool:
        """Whether the promise is kept."""
        return self.rows == self.records and not (self.doubled or self.holes or self.wrong or self.given_up)


class Field:
    """A topic and its table, a store and two sinks that may be killed.

    Parameters
    ----------
    kafka, registry
        Where they answer.
    name
        Prefix of topic, table and group, which nothing else has.
    folder
        Folder of the store's data and of the logs.
    """

    def __init__(self, kafka: str, registry: str, name: str, folder: Path) -> None:
        self._kafka, self._registry = kafka, registry
        self.spec = TableSpec(f"{name}-topic", f"{name}_table", MarketTick)
        self.log = folder / "sink.log"
        with Registry(registry) as ids:
            ids.register(f"{self.spec.topic}-value", schema_text(MarketTick))
            codec = RecordCodec(f"{self.spec.topic}-value", MarketTick, ids)
            self._values = [codec.encode(replace(TICK, trade_id=number)) for number in range(VALUES)]
        apply(kafka, [TopicSpec(topic, PARTITIONS, 1, {}) for topic in (self.spec.topic, self.spec.dead_letters)])
        self.store = StoreProcess(folder).start()
        self.store.http(create_sql(self.spec), b"")
        self.sinks = [self._start_sink(), self._start_sink()]
        self.sent = 0
        self._producer = Producer(client_config(kafka, enable_idempotence=True, linger_ms=5))

    def feed(self, count: int) -> None:
        """Write records, to the partitions in turn; wait until they are on the topic."""
        for number in range(self.sent, self.sent + count):
            send(self._producer, self.spec.topic, self._values[number % VALUES], "k", number % PARTITIONS)
        self._producer.flush()
        self.sent += count

    def rows(self) -> int:
        """Return how many rows the table has."""
        return int(self.store.http(f"SELECT count() FROM {self.spec.name}")[2])

    def kill_sink(self, index: int) -> None:
        """Kill a sink and start another one in its place."""
        self.sinks[index].kill()
        self.sinks[index].wait(30)
        self.sinks[index] = self._start_sink()

    def kill_store(self) -> None:
        """Kill the store and start it again."""
        self.store.kill()
        self.store.start()

    def stop_sink(self, index: int) -> None:
        """Stop a sink until others have had its partitions for a while, then wake it."""
        self.sinks[index].send_signal(signal.SIGSTOP)
        time.sleep(SESSION_S + _LATE_S)
        self.sinks[index].send_signal(signal.SIGCONT)

    def _start_sink(self) -> subprocess.Popen[bytes]:
        arguments = [self._kafka, self._registry, self.store.url, self.spec.topic, self.spec.table, f"{self.spec.topic}-group"]
        with self.log.open("ab") as log:
            return subprocess.Popen([sys.executable, "-m", "tests.integration.sink_process", *arguments], cwd=ROOT, stdout=log, stderr=log)

    def verdict(self) -> Verdict:
        """Wait until every record is a row, and a little longer, and look."""
        self.await_rows(self.sent)
        time.sleep(_LATE_S)
        sql = (
            f"SELECT count(), count() - uniqExact(_partition, _offset), "
            f"countIf(trade_id != (_offset * {PARTITIONS} + _partition) % {VALUES} OR event_id != '{TICK.event_id}') "
            f"FROM {self.spec.name} FORMAT TSV"
        )
        rows, doubled, wrong = map(int, self.store.http(sql)[2].split())
        return Verdict(self.sent, rows, doubled, self.sent - (rows - doubled), wrong, self._given_up())

    def await_rows(self, count: int) -> None:
        """Wait until the table has some rows, but not for ever."""
        deadline = time.monotonic() + _PATIENCE_S
        while self.rows() < count and time.monotonic() < deadline:
            ended = [sink.returncode for sink in self.sinks if sink.poll() is not None]
            if ended:
                raise RuntimeError(f"a sink has ended by itself, status {ended[0]}; see {self.log}")
            time.sleep(_TICK_S)

    def _given_up(self) -> int:
        consumer = Consumer(client_config(self._kafka, group_id=f"{self.spec.topic}-look"))
        ends = [consumer.get_watermark_offsets(TopicPartition(self.spec.dead_letters, partition), 10)[1] for partition in range(PARTITIONS)]
        consumer.close()
        return sum(ends)

    def close(self) -> None:
        """End sinks and store."""
        for sink in self.sinks:
            sink.send_signal(signal.SIGCONT)
            sink.terminate()
        for sink in self.sinks:
            sink.wait(30)
        self.store.stop()


def harass(field: Field, plan: Plan, rng: random.Random) -> None:
    """Feed the records in equal parts, and while the sinks carry one of them disturb them, in random order, at a random moment."""
    acts = ["sink"] * plan.sink_kills + ["store"] * plan.store_kills + ["stop"] * plan.stops
    rng.shuffle(acts)
    for number, act in enumerate(acts, start=1):
        field.feed(plan.records * number // len(acts) - field.sent)
        field.await_rows(field.sent - rng.randrange(plan.records // len(acts)))
        time.sleep(rng.uniform(0, 0.3))
        victim = rng.randrange(len(field.sinks))
        if act == "store":
            field.kill_store()
        elif act == "sink":
            field.kill_sink(victim)
        else:
            stopping = threading.Thread(target=field.stop_sink, args=(victim,))
            stopping.start()
            time.sleep(rng.uniform(0, SESSION_S))
            stopping.join()


@click.command()
@click.option("--records", default=2_000_000, show_default=True, help="Ticks to feed.")
@click.option("--sink-kills", default=30, show_default=True, help="SIGKILLs of a sink.")
@click.option("--store-kills", default=10, show_default=True, help="SIGKILLs of the store.")
@click.option("--stops", default=3, show_default=True, help="SIGSTOPs of a sink past its session, each with a SIGCONT.")
@click.option("--seed", default=4, show_default=True, help="Decides what happens when.")
def main(records: int, sink_kills: int, store_kills: int, stops: int, seed: int) -> None:
    """Kill sinks and store under load, and count what the table has."""
    plan = Plan(records, sink_kills, store_kills, stops)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="quantum-history-") as folder:
        servers = Stack(Home(Path(folder) / "servers"), ports={"kafka": 0, "registry": 0, "store": 0}, die_with_parent=True)
        endpoints = servers.up()
        try:
            field = Field(endpoints.kafka, endpoints.registry, "history", Path(folder))
            try:
                harass(field, plan, random.Random(seed))
                verdict = field.verdict()
            finally:
                field.close()
        finally:
            servers.down()
    found = {**asdict(plan), **asdict(verdict), "seconds": round(time.monotonic() - started), "kept": verdict.kept}
    path = Home().root / "chaos-history.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2))
    Console().print(json.dumps(found, indent=2))
    sys.exit(0 if verdict.kept else 1)


if __name__ == "__main__":
    main()
