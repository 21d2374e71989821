"""Topics and subjects on a real broker and a real registry."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import fastavro
import pytest

from connectors.kafka import topics
from connectors.kafka.topics import TopicSpec, apply, compare
from connectors.registry.client import Registry
from quantum.errors import ConfigurationError, RetryError, UnknownSchemaError
from schemas.codec import RecordCodec, schema_text
from schemas.market.records import MarketTick
from tests.unit.test_codec import TICK

pytestmark = pytest.mark.stack


def test_topics_are_created_once_and_brought_to_what_is_declared(stack: Any, unique: str) -> None:
    kafka = stack.endpoints.kafka
    spec = TopicSpec(f"{unique}-a", 3, 1, {"cleanup.policy": "compact"})
    assert [change.what for change in apply(kafka, [spec])] == ["create"]
    assert apply(kafka, [spec]) == []
    changed = TopicSpec(spec.name, 3, 1, {"cleanup.policy": "delete", "retention.ms": "1000"})
    assert len(apply(kafka, [changed])) == 1
    assert compare(kafka, [changed]) == []
    with pytest.raises(ConfigurationError, match="3 partitions"):
        apply(kafka, [TopicSpec(spec.name, 4, 1, {})])


def test_no_broker_is_said_so_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "TIMEOUT_S", 1.0)
    with pytest.raises(RetryError, match="quantum up"):
        compare("127.0.0.1:1", [TopicSpec("a", 1, 1, {})])


@pytest.fixture
def registry(stack: Any) -> Iterator[Registry]:
    """A client of the registry, closed after the test."""
    with Registry(stack.endpoints.registry) as client:
        yield client


def test_evolution_old_and_new_readers_and_writers(registry: Registry, unique: str) -> None:
    subject = f"{unique}-value"
    old = schema_text(MarketTick)
    registry.register(subject, old)
    registry.set_level(subject, "FULL_TRANSITIVE")
    assert registry.level(subject) == "FULL_TRANSITIVE"

    document = json.loads(old)
    document["fields"].append({"name": "block", "type": ["null", "boolean"], "default": None, "doc": "Whether it was a block trade."})
    new = json.dumps(document)
    assert registry.compatible(subject, new)
    new_id = registry.register(subject, new)

    buffer = io.BytesIO()
    values = {name: getattr(TICK, name) for name in TICK.__struct_fields__} | {"side": "BUY", "block": True}
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(document), values)
    written_by_new = b"\x00" + new_id.to_bytes(4, "big") + buffer.getvalue()
    old_codec = RecordCodec(subject, MarketTick, registry)
    assert old_codec.decode(written_by_new) == TICK

    written_by_old = io.BytesIO(old_codec.encode(TICK)[5:])
    read_by_new: Any = fastavro.schemaless_reader(written_by_old, fastavro.parse_schema(json.loads(old)), fastavro.parse_schema(document))
    assert read_by_new["block"] is None
    assert read_by_new["trade_id"] == TICK.trade_id

    document["fields"].append({"name": "must", "type": "string", "doc": "A field without a default."})
    assert not registry.compatible(subject, json.dumps(document))
    with pytest.raises(ConfigurationError, match="compatibility"):
        registry.register(subject, json.dumps(document))


def test_unknown_ids_and_schemas(registry: Registry, unique: str) -> None:
    with pytest.raises(UnknownSchemaError):
        registry.schema_of(2_000_000)
    with pytest.raises(ConfigurationError, match="quantum schemas apply"):
        registry.id_of(f"{unique}-value", schema_text(MarketTick))
