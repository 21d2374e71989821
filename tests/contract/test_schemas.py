"""The schemas keep the rules of the house, and the record types are what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from processors.topology import TOPICS, Topic
from schemas import generate
from schemas.codec import schema_text

ROOT = Path(__file__).parents[2] / "schemas"
SCHEMAS = sorted(ROOT.glob("*/*.avsc"))


def types_of(schema: Any) -> list[dict[str, Any]]:
    """Return the records and enums that a schema spells out, itself included."""
    if isinstance(schema, list):
        return [found for item in schema for found in types_of(item)]
    if not isinstance(schema, dict):
        return []
    inner = [schema.get(key) for key in ("items", "values")] + [field["type"] for field in schema.get("fields", ())]
    found = [schema] if schema["type"] in ("record", "enum") else []
    return found + [each for item in inner for each in types_of(item)]


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
def test_every_field_and_type_is_documented(path: Path) -> None:
    for schema in types_of(json.loads(path.read_text())):
        assert schema["doc"]
        for field in schema.get("fields", ()):
            assert field.get("doc"), f"{schema['name']}.{field['name']} has no doc"


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
def test_names_defaults_and_optional_fields(path: Path) -> None:
    top = json.loads(path.read_text())
    assert top["namespace"] == f"quantum.{path.parent.name}"
    assert [field["name"] for field in top["fields"][:3]] == ["event_id", "event_ts", "ingest_ts"]
    for schema in types_of(top):
        if schema["type"] == "enum":
            assert schema["default"] == schema["symbols"][0]
        for field in schema.get("fields", ()):
            if isinstance(field["type"], list):
                assert field["type"][0] == "null"
                assert field["default"] is None


def test_every_topic_has_its_own_schema_and_every_schema_a_topic() -> None:
    texts = [schema_text(topic.record) for topic in TOPICS.values()]
    assert len(set(texts)) == len(texts)
    assert {json.dumps(json.loads(text)) for text in texts} == {json.dumps(json.loads(path.read_text())) for path in SCHEMAS}


def test_record_types_are_generated_from_the_schemas() -> None:
    for path, source in generate.generate().items():
        assert path.read_text() == source, f"{path.name} is out of date: run 'python -m schemas.generate'"


@pytest.mark.parametrize("topic", TOPICS.values(), ids=lambda topic: topic.name)
def test_record_fields_are_those_of_the_schema(topic: Topic) -> None:
    fields = [field["name"] for field in json.loads(schema_text(topic.record))["fields"]]
    assert [field.name for field in msgspec.structs.fields(topic.record)] == fields
