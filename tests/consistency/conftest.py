"""A broker for the consistency tests, and names that are free on it."""

from __future__ import annotations

import os
import uuid

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient


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


@pytest.fixture
def prefix() -> str:
    """A prefix that no other test has."""
    return f"runtime-{uuid.uuid4().hex[:10]}"
