"""What the tests share: a stack of their own, started once a run where a test asks for it, and names that no other run has."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from infra.local.stack import Stack
from quantum.home import Endpoints, Home


@dataclass(frozen=True)
class RunningStack:
    """Servers that run for this test run alone.

    Attributes
    ----------
    home
        Their home.
    endpoints
        Where they answer.
    """

    home: Home
    endpoints: Endpoints


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Kafka, registry and history store on free ports; they end with the test run, also where it is killed."""
    home = Home(tmp_path_factory.mktemp("stack"))
    servers = Stack(home, ports={"kafka": 0, "registry": 0, "store": 0}, die_with_parent=True)
    endpoints = servers.up()
    yield RunningStack(home, endpoints)
    servers.down()


@pytest.fixture
def unique() -> str:
    """A prefix for topics, groups, subjects and tables that no other test has."""
    return f"t{uuid.uuid4().hex[:10]}"
