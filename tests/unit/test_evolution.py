"""What may follow a schema, and one schema for the records of two."""

from __future__ import annotations

import copy
import json
from typing import Any

import fastavro
import pytest

from processors.topology import TOPICS
from schemas.codec import parse, schema_text
from schemas.evolution import problems, united

TICK = json.loads(schema_text(TOPICS["market.tick"].record))
FIRST = {
    "type": "record",
    "name": "Other",
    "namespace": "quantum.common",
    "doc": "x",
    "fields": [{"name": "a", "type": "long", "doc": "a"}],
}


def changed(name: str, **changes: Any) -> dict[str, Any]:
    """Return the tick's schema with a field changed, or with a new one in front."""
    schema: dict[str, Any] = copy.deepcopy(TICK)
    found = [field for field in schema["fields"] if field["name"] == name]
    if found:
        found[0].update(changes)
    else:
        schema["fields"].insert(0, {"name": name, "doc": "x", **changes})
    return schema


@pytest.mark.parametrize("topic", TOPICS)
def test_a_schema_follows_itself_and_is_united_with_itself(topic: str) -> None:
    text = schema_text(TOPICS[topic].record)
    schema = json.loads(text)
    assert problems(schema, schema) == []
    assert parse(json.dumps(united(schema, schema))) == parse(text)


@pytest.mark.parametrize(
    ("new", "field", "says"),
    [
        (changed("extra", type="long"), "extra", "no default"),
        ({**TICK, "fields": TICK["fields"][:-1]}, "side", "gone"),
        (changed("venue", type="bytes"), "venue", "changed its type"),
        (changed("price", type=["null", "double"]), "price", "changed its type"),
        (changed("event_ts", type="long"), "event_ts", "changed its type"),
        (changed("side", type={**TICK["fields"][-1]["type"], "symbols": ["UNKNOWN", "BUY"]}), "side", "changed its type"),
    ],
)
def test_what_may_not_follow_names_the_field(new: dict[str, Any], field: str, says: str) -> None:
    (problem,) = problems(TICK, new)
    assert problem.field == field
    assert says in problem.what
    assert problem.remedy


def test_what_may_follow() -> None:
    assert problems(TICK, changed("extra", type="long", default=0)) == []
    assert problems(TICK, changed("side", type={**TICK["fields"][-1]["type"], "symbols": ["UNKNOWN", "BUY", "SELL", "BOTH"]})) == []


def test_a_shared_type_that_moves_forward_is_defined_once() -> None:
    later = changed("maker", type=["null", TICK["fields"][-1]["type"]], default=None)
    later["fields"][-1]["type"] = "quantum.common.Side"
    for both in (united(TICK, later), united(later, TICK)):
        parsed: Any = fastavro.parse_schema(both, named_schemas={})
        assert [field["name"] for field in parsed["fields"]][-1] in ("maker", "side")
        assert json.dumps(both).count('"symbols"') == 1
    nested = changed("other", type=FIRST, default={"a": 1})
    assert united(TICK, nested)["fields"][-1]["type"] == FIRST
