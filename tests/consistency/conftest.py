"""A broker for the consistency tests, and names that are free on it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.consistency.network import Network, network


@pytest.fixture(scope="session")
def bootstrap(request: pytest.FixtureRequest) -> str:
    """Bootstrap servers of a broker: ``QUANTUM_TEST_KAFKA``, or the local stack that the tests start."""
    given = os.environ.get("QUANTUM_TEST_KAFKA")
    servers = given or str(request.getfixturevalue("stack").endpoints.kafka)
    try:
        AdminClient({"bootstrap.servers": servers}).list_topics(timeout=10)
    except KafkaException as error:
        pytest.fail(f"no broker at {servers}: {error}")
    return servers


@pytest.fixture(scope="session")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """A broker behind a proxy that disturbs."""
    with network(tmp_path_factory.mktemp("network")) as made:
        yield made


@pytest.fixture
def prefix() -> str:
    """A prefix that no other test has."""
    return f"runtime-{uuid.uuid4().hex[:10]}"
