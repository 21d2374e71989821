"""Dead letters in the history: every message of every dead-letter topic is one row of one table, the sink's own among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from connectors.clickhouse import migrate
from connectors.clickhouse.letters import HEAD_BYTES, KEPT_MS, LetterDecoder, LetterTable, letters_of, letters_sql
from connectors.kafka.dead_letters import REPLAYED
from connectors.kafka.topics import TopicSpec, apply
from tests.integration.sink_bench import PARTITIONS, Bench
from tests.unit.messages import message
from tests.unit.test_codec import TICK

pytestmark = pytest.mark.stack


@pytest.fixture
def bench(stack: Any, unique: str) -> Iterator[Bench]:
    """A topic, its dead letters, and those of another topic; all letters in one table."""
    made = Bench(stack, unique)
    table = f"{unique}_letters"
    apply(made.endpoints.kafka, [TopicSpec(f"{unique}-other.dlq", PARTITIONS, 1, {})])
    made.client.command(letters_sql(table))
    made.carried += [letters_of(made.topic, table), letters_of(f"{unique}-other", table)]
    yield made
    made.close()


def wait_for(bench: Bench, rows: int) -> None:
    """Wait for rows of dead letters while a sink runs."""
    with bench.running():
        bench.wait_for(rows, table=f"quantum.{bench.carried[1].table}")


def put(bench: Bench, topic: str, partition: int, value: bytes | None, offset: int, **about: str) -> None:
    """Write a dead letter as a stage writes it."""
    told = {"dlq.topic": topic, "dlq.partition": "1", "dlq.offset": str(offset), "dlq.timestamp": "1700000000123", "dlq.stage": "risk"}
    headers: Any = [
        ("traceparent", b"00-aa-bb-01"),
        ("own", b"\xff!"),
        *((name, text.encode()) for name, text in {**told, **about}.items()),
    ]
    bench.producer.produce(f"{topic}.dlq", value, b"k\xfe", partition, headers=headers)


def test_every_message_of_every_dead_letter_topic_is_one_row(bench: Bench) -> None:
    other = f"{bench.topic.removesuffix('-topic')}-other"
    bytes_of_it = bytes(range(256)) * 1_000
    for topic in (bench.topic, other):  # at the same places: what one topic has stored says nothing of another's
        for partition in range(PARTITIONS):
            put(bench, topic, partition, bytes_of_it, 41, **{"dlq.error": "ValueError", "dlq.message": "no « price »"})
            put(bench, topic, partition, None, 42)
    bench.producer.produce(f"{other}.dlq", b"by hand", partition=0, headers=[("dlq.offset", b"-7"), ("dlq.partition", b"x")])
    bench.producer.produce(f"{other}.dlq", b"", partition=0, headers=[(REPLAYED, b"1")])
    bad = [b"", b"\x01\x02", bench.codec.encode(TICK)[:-2]]
    for value in bad:
        bench.send(value, 2)
    bench.send(bench.codec.encode(replace(TICK, event_id="good")), 2)
    bench.producer.flush()
    total = 4 * PARTITIONS + 2 + len(bad)
    wait_for(bench, total)
    put(bench, other, 1, b"late", 43)
    bench.producer.flush()
    wait_for(bench, total + 1)

    table = bench.carried[1].name
    ask: Callable[[str], Any] = lambda sql: bench.client.query(sql.replace("LETTERS", table)).result_rows  # noqa: E731
    assert ask("SELECT count(), uniqExact(topic, _partition, _offset) FROM LETTERS") == [(total + 1, total + 1)]
    assert dict(ask("SELECT topic, count() FROM LETTERS GROUP BY topic")) == {bench.topic: 2 * PARTITIONS + 3, other: 2 * PARTITIONS + 3}
    whole = ask(
        "SELECT record_partition, record_offset, toUnixTimestamp64Milli(assumeNotNull(record_ts)), stage, error, message, hex(key), "
        "hex(value), value_bytes, headers['own'], length(headers), _traceparent, replays FROM LETTERS WHERE record_offset = 41"
    )
    assert len(whole) == 2 * PARTITIONS
    head = bytes_of_it[:HEAD_BYTES].hex().upper()
    told = (
        1,
        41,
        1_700_000_000_123,
        "risk",
        "ValueError",
        "no « price »",
        "6BFE",
        head,
        len(bytes_of_it),
        "\\xff!",
        2,
        "00-aa-bb-01",
        None,
    )
    assert set(whole) == {told}
    assert set(ask("SELECT value, value_bytes, error FROM LETTERS WHERE record_offset = 42")) == {("", None, "")}
    assert ask("SELECT record_partition, record_offset, stage, value FROM LETTERS WHERE value = 'by hand'") == [(None, None, "", "by hand")]
    assert ask("SELECT replays, value_bytes FROM LETTERS WHERE replays IS NOT NULL") == [(1, 0)]
    own = ask(f"SELECT hex(value), record_partition, record_offset FROM LETTERS WHERE stage = 'sink' AND topic = '{bench.topic}'")
    assert sorted(own) == sorted((value.hex().upper(), 2, offset) for offset, value in enumerate(bad))


def test_the_table_is_the_migrations_and_the_view_counts_records_once(bench: Bench) -> None:
    """The view is made for this test's table: its statement is the migration's."""
    (made,) = [each for each in migrate.migrations() if "dead_letters" in each.name]
    statements = list(made.statements())
    assert statements[0].endswith(letters_sql())
    table, view = bench.carried[1].name, f"{bench.carried[1].name}_view"
    bench.client.command(statements[1].replace("quantum.dead_letters", table).replace("quantum.v_dead_letters", view))
    for number, offset in enumerate((7, 7, 8)):  # the first was given up twice
        put(bench, bench.topic, 1, b"x", offset, **{"dlq.error": "E", "dlq.message": str(number)})
    put(bench, bench.topic, 2, b"x", 9, **{"dlq.error": "F"})
    put(bench, bench.topic, 1, None, 7, **{"dlq.stage": "operator", REPLAYED: "1"})
    bench.producer.flush()
    wait_for(bench, 5)
    found = bench.client.query(f"SELECT topic, stage, error, letters, records, replayed, example FROM {view} ORDER BY error").result_rows
    assert found == [(bench.topic, "risk", "E", 3, 2, 1, "2"), (bench.topic, "risk", "F", 1, 1, 0, "")]


def test_no_time_that_a_client_claims_keeps_a_message_from_being_a_row() -> None:
    batch = LetterDecoder(letters_of("market.tick")).decode([message(b"x", at_ms=at) for at in (-1, 2**62)]).batch
    assert batch is not None
    assert [at.year for at in batch["_timestamp"].to_pylist()] == [1970, 2100]


def test_parts_of_the_table_have_names_of_their_own() -> None:
    spec = letters_of("market.tick")
    assert (spec.topic, spec.source, spec.name, spec.part) == (
        "market.tick.dlq",
        "market.tick",
        "quantum.dead_letters",
        "dead_letters_market_tick",
    )
    assert isinstance(spec, LetterTable)
    assert spec.retention_ms == KEPT_MS
