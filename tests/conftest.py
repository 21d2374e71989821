"""What the tests share: a stack of their own, started once a run where a test asks for it, and names that no other run has."""

from __future__ import annotations

import atexit
import gc
import os
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from confluent_kafka import Producer

from infra.local.stack import Stack
from quantum.home import Endpoints, Home

PATIENCE_S = 2.0


@atexit.register
def _hush() -> None:
    """Leave the last word to pytest: clients whose broker a test has ended go on to write of it while the process ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


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
    _end_clients()
    servers.down()


def _end_clients() -> None:
    """End the producers that something still refers to: they would go on to write, even after pytest's last line, that Kafka is gone."""
    gc.collect()
    clients = [each for each in gc.get_objects() if issubclass(type(each), Producer)]
    closing = [threading.Thread(target=each.close, daemon=True) for each in clients]  # which waits where a broker of a test is gone
    for thread in closing:
        thread.start()
    for thread in closing:
        thread.join(PATIENCE_S)


@pytest.fixture
def unique() -> str:
    """A prefix for topics, groups, subjects and tables that no other test has."""
    return f"t{uuid.uuid4().hex[:10]}"
