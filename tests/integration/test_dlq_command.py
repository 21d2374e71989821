"""``quantum dlq``: what was given up is shown, and put back once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Producer

from connectors.kafka.dead_letters import FROM, Letter, letters, replay
from connectors.kafka.topics import apply
from connectors.registry.client import Registry
from processors.components import read_messages
from processors.contracts import topic_specs
from processors.topology import TOPICS
from quantum.cli import main
from quantum.errors import RetryError
from quantum.settings import Settings
from schemas.codec import RecordCodec, schema_text
from tests.integration.history_rows import blank

pytestmark = pytest.mark.stack
TOPIC = TOPICS["model.retrain"]


@pytest.fixture
def settings(stack: Any, tmp_path: Path) -> Settings:
    """A home of the test run's servers, with the topic and its dead letters."""
    at = stack.endpoints
    made = Settings(home=tmp_path, kafka=at.kafka, registry=at.registry, clickhouse=at.clickhouse)
    apply(made.kafka, [spec for spec in topic_specs(made) if spec.name in {TOPIC.name, TOPIC.dead_letters}])
    with Registry(made.registry) as registry:
        registry.register(TOPIC.subject, schema_text(TOPIC.record))
    return made


def quantum(settings: Settings, *arguments: str, said: str | None = None) -> Result:
    """Run a command of the home."""
    environment = {f"QUANTUM_{name.upper()}": str(getattr(settings, name)) for name in ("home", "kafka", "registry", "clickhouse")}
    return CliRunner(env={**environment, "COLUMNS": "200"}).invoke(main, ["dlq", *arguments], input=said)


def on(settings: Settings, topic: str) -> list[Any]:
    """Return what stands on a topic."""
    return list(read_messages(settings.kafka, topic, settings.partitions))


def test_letters_are_shown_and_put_back_once(settings: Settings) -> None:
    with Registry(settings.registry) as registry:
        good = RecordCodec(TOPIC.subject, TOPIC.record, registry).encode(blank(TOPIC.record, event_id="the-one"))
    producer = Producer({"bootstrap.servers": settings.kafka})
    about = {"dlq.topic": TOPIC.name, "dlq.partition": "1", "dlq.stage": "quantum-learning", "dlq.message": "it divides by zero"}
    for number, (value, error) in enumerate([(good, "ZeroDivisionError"), (b"\x00torn", "CorruptRecordError"), (good, "KeyError")]):
        headers = {"traceparent": "00-1-2-01", **about, "dlq.offset": str(number), "dlq.error": error}
        producer.produce(TOPIC.dead_letters, value, b"xgb", 0, headers=[(name, text.encode()) for name, text in headers.items()])
    producer.flush()

    listed = [row for row in json.loads(quantum(settings, "list", "--json").stdout) if row["topic"] == TOPIC.name]
    assert [(row["error"], row["letters"], row["replayed"]) for row in listed] == [
        ("CorruptRecordError", 1, 0), ("KeyError", 1, 0), ("ZeroDivisionError", 1, 0),
    ]  # fmt: skip
    shown = json.loads(quantum(settings, "show", TOPIC.name, "--json").stdout)
    assert [row["record at"] for row in shown] == ["1:0", "1:1", "1:2"]
    assert json.loads(shown[0]["record"])["event_id"] == "the-one"
    assert shown[1]["record"] == b"\x00torn".hex(" ")
    assert "it divides by zero" in quantum(settings, "list").stdout

    assert "--all" in quantum(settings, "replay", TOPIC.name).stderr
    declined = quantum(settings, "replay", TOPIC.name, "--error", "ZeroDivisionError", said="n\n")
    assert (declined.exit_code, on(settings, TOPIC.name)) == (1, [])
    for _ in range(2):
        done = quantum(settings, "replay", TOPIC.name, "--error", "ZeroDivisionError", said="y\n")
        assert done.exit_code == 0, done.stderr
    (back,) = on(settings, TOPIC.name)
    assert (back.partition(), back.key(), back.value()) == (1, b"xgb", good)
    assert dict(back.headers()) == {"traceparent": b"00-1-2-01", FROM: f"{TOPIC.dead_letters}:0:0".encode()}
    assert quantum(settings, "replay", TOPIC.name, "--all", "--yes").stdout == f"2 records put back onto {TOPIC.name}, 1 had been before\n"
    assert len(on(settings, TOPIC.name)) == 3
    listed = [row for row in json.loads(quantum(settings, "list", "--json").stdout) if row["topic"] == TOPIC.name]
    assert [row["replayed"] for row in listed] == [1, 1, 1]


def test_two_who_put_the_same_letters_back_do_it_once(settings: Settings) -> None:
    producer = Producer({"bootstrap.servers": settings.kafka})
    producer.produce(TOPIC.dead_letters, b"again", b"k", 2, headers=[("dlq.error", b"E")])
    producer.flush()
    before = len(on(settings, TOPIC.name))

    def read() -> list[Letter]:
        return letters(on(settings, TOPIC.dead_letters))

    wanted = {letter.place for letter in read() if letter.entry.value == b"again"}

    def slow() -> list[Letter]:
        """Another one comes and goes after this one has looked."""
        found = read()
        assert replay(settings.kafka, TOPIC.name, wanted, read, lambda _: 2) == 1
        return found

    with pytest.raises(RetryError, match="none is put back twice"):
        replay(settings.kafka, TOPIC.name, wanted, slow, lambda _: 2)
    assert replay(settings.kafka, TOPIC.name, wanted, read, lambda _: 2) == 0
    assert len(on(settings, TOPIC.name)) == before + 1


def test_a_state_is_not_put_back(settings: Settings) -> None:
    refused = quantum(settings, "replay", "policy", "--all", "--yes")
    assert (refused.exit_code, "an old one put back would take its place" in refused.stderr) == (1, True)
