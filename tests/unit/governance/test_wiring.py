"""The stages' wiring: agents for every topic that the topology lets them read, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from processors.app import create_app
from processors.topology import NODES
from quantum.settings import Settings
from schemas.codec import SchemaIds


class NoRegistry(SchemaIds):
    """No schema is asked for before a record is sent."""

    def id_of(self, subject: str, schema: str) -> int:
        raise AssertionError(f"{subject} was asked for")

    def schema_of(self, schema_id: int) -> str:
        raise AssertionError(f"{schema_id} was asked for")


@pytest.mark.parametrize("stage", ["governance", "risk", "execution"])
def test_every_topic_that_a_stage_reads_has_an_agent(stage: str, tmp_path: Path) -> None:
    app = create_app(stage, Settings(home=tmp_path), NoRegistry())
    assert {name.split(".", 1)[1].rsplit(".", 1)[0] for name in app.agents} == set(NODES[stage].reads)
