"""The sink under kill -9 of itself and of the store, and two sinks with a stall: nothing lost, nothing doubled."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.consistency.history import Field, Plan, Verdict, harass

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]
RECORDS = 60_000


@pytest.fixture
def field(stack: Any, unique: str, tmp_path: Path) -> Iterator[Field]:
    made = Field(stack.endpoints.kafka, stack.endpoints.registry, unique, tmp_path)
    yield made
    made.close()


def test_kills_and_a_stop_lose_and_double_nothing(field: Field) -> None:
    """The short form of ``python -m tests.consistency.history``: after a kill the group waits out the session of who is gone."""
    harass(field, Plan(RECORDS, sink_kills=1, store_kills=1, stops=1), random.Random(7))
    verdict = field.verdict()
    assert verdict == Verdict(RECORDS, RECORDS, 0, 0, 0, 0), field.log.read_text()[-3_000:]
    assert verdict.kept
    assert all(sink.poll() is None for sink in field.sinks), "a sink waits for the store, it does not end"
