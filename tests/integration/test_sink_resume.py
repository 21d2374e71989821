"""A sink where a topic is no longer the one that its table's rows are of."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from connectors.clickhouse import sink
from connectors.clickhouse.tables import TableSpec, create_sql
from connectors.kafka.logs import Logs
from connectors.kafka.topics import TopicSpec, apply
from tests.integration.sink_bench import PARTITIONS, Bench
from tests.unit.test_codec import TICK

pytestmark = pytest.mark.stack


@pytest.fixture
def bench(stack: Any, unique: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A topic and a second one, each with its table."""
    monkeypatch.setattr(sink, "_REFUSED_S", 0.3)
    made = Bench(stack, unique)
    other = TableSpec(f"{unique}-other", f"{unique}_other", made.spec.record)
    made.registry.register(f"{other.topic}-value", made.registry.latest(f"{made.topic}-value"))
    apply(made.endpoints.kafka, [TopicSpec(other.topic, PARTITIONS, 1, {}), TopicSpec(other.dead_letters, PARTITIONS, 1, {})])
    made.client.command(create_sql(other))
    made.carried.append(other)
    yield made
    made.close()


def write(bench: Bench, topic: str, count: int, prefix: str) -> None:
    """Write records to partitions in turn."""
    for number in range(count):
        bench.producer.produce(topic, bench.codec.encode(replace(TICK, event_id=f"{prefix}{number}")), b"k", number % PARTITIONS)
    bench.producer.flush()


def deleted(bench: Bench) -> None:
    """Delete the topic."""
    logs = Logs(bench.endpoints.kafka)
    logs.delete([bench.topic])
    deadline = time.monotonic() + 10
    while bench.topic in logs.partitions():
        assert time.monotonic() < deadline, "the topic is still there"
        time.sleep(0.05)


def made_anew(bench: Bench) -> None:
    """Make the topic again, after it has been deleted."""
    apply(bench.endpoints.kafka, [TopicSpec(bench.topic, PARTITIONS, 1, {})])


def said(caplog: pytest.LogCaptureFixture, bench: Bench) -> set[str]:
    """Wait until a partition of the topic is refused; returns what was said of it."""
    deadline = time.monotonic() + 20
    while True:
        found = {record.getMessage() for record in caplog.records if f"{bench.topic}, partition" in record.getMessage()}
        if any("ends before offset" in text for text in found):
            return found
        assert time.monotonic() < deadline, "nobody notices"
        time.sleep(0.05)


def test_a_topic_that_ends_before_its_table_is_refused_and_others_go_on(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    other = bench.carried[1]
    write(bench, bench.topic, 90, "old")
    write(bench, other.topic, 30, "other")
    with bench.running():
        bench.wait_for(90)
    deleted(bench)
    made_anew(bench)
    write(bench, bench.topic, 3 * 10 + 1, "new")
    caplog.set_level(logging.WARNING)
    with bench.running():
        (text,) = {text for text in said(caplog, bench) if "partition 0" in text}
        assert f"ends before offset 11, while {bench.spec.name} has rows of it up to offset 29" in text
        assert "the topic has been made anew" in text
        assert "remedy: let QUANTUM_KAFKA and QUANTUM_CLICKHOUSE name servers that belong together" in text
        write(bench, other.topic, 60, "more")
        bench.wait_for(90, table=other.name)
        assert bench.count() == 90
        bench.client.command(f"TRUNCATE TABLE {bench.spec.name}")  # what docs/operations.md says, after an export
        bench.wait_for(31)
    rows = bench.client.query(f"SELECT count(), uniqExact(event_id), countIf(startsWith(event_id, 'new')) FROM {bench.spec.name}").first_row
    assert rows == (31, 31, 31)


def test_a_topic_that_is_made_anew_under_a_running_sink_is_noticed(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    write(bench, bench.topic, 60, "old")
    caplog.set_level(logging.WARNING)
    with bench.running():
        bench.wait_for(60)
        deleted(bench)
        write(bench, bench.carried[1].topic, 30, "meanwhile")
        bench.wait_for(30, table=bench.carried[1].name)
        made_anew(bench)
        write(bench, bench.topic, 30, "new")
        said(caplog, bench)
        assert bench.count() == 60


def test_what_the_topic_has_dropped_by_age_is_passed_over(bench: Bench) -> None:
    write(bench, bench.topic, 30, "early")
    with bench.running():
        bench.wait_for(30)
    write(bench, bench.topic, 60, "late")
    Logs(bench.endpoints.kafka).delete_before({(bench.topic, partition): 20 for partition in range(PARTITIONS)})
    with bench.running():
        bench.wait_for(60)
    rows = bench.client.query(
        f"SELECT count(), min(_offset), max(_offset), countIf(_offset BETWEEN 10 AND 19) FROM {bench.spec.name}"
    ).first_row
    assert rows == (60, 0, 29, 0)
