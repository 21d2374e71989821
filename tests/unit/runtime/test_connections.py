from __future__ import annotations

import logging

import pytest

from processors.runtime.kafka.connections import Connections

LOST = [
    "[thrd:TxnCoordinator]: TxnCoordinator/1: 127.0.0.1:9092: Disconnected: connection closed by peer: receive 0 after POLLIN "
    "(after 481ms in state UP) (_TRANSPORT)",
    "[thrd:TxnCoordinator]: TxnCoordinator/1: 127.0.0.1:9092: Disconnected: connection closed by peer: receive 0 after POLLIN "
    "(after 476ms in state UP) (_TRANSPORT): identical to last error: error log suppressed",
    "[thrd:TxnCoordinator]: TxnCoordinator: Closing connection due to nodename change (after 155ms in state UP) (_TRANSPORT)",
    "[thrd:127.0.0.1:9092/1]: 127.0.0.1:9092/1: Decommissioning this broker (after 1038ms in state UP) (_DESTROY_BROKER)",
    "[thrd:127.0.0.1:9092/1]: 127.0.0.1:9092/1: words that a later release may have",
]
HARMLESS = [
    "[thrd:127.0.0.1:9092/bootstrap]: 127.0.0.1:9092/bootstrap: Decommissioning this broker (after 5ms in state UP) (_DESTROY_BROKER)",
    "[thrd:TxnCoordinator]: TxnCoordinator/1: 127.0.0.1:9092: Closing connection due to nodename change (after 138ms in state TRY_CONNECT) "
    "(_TRANSPORT)",
    "[thrd:127.0.0.1:9092/1]: 127.0.0.1:9092/1: Connect to ipv4#127.0.0.1:9092 failed: Connection refused (after 0ms in state CONNECT) "
    "(_TRANSPORT)",
]


@pytest.mark.parametrize("message", LOST)
def test_a_connection_that_may_have_carried_requests_is_lost(message: str) -> None:
    connections = Connections()
    connections.log(logging.DEBUG, "%s [%s] %s", "FAIL", "producer-1", message)
    assert connections.lost


@pytest.mark.parametrize("message", HARMLESS)
def test_a_connection_that_was_being_set_up_or_only_for_metadata_is_not(message: str) -> None:
    connections = Connections()
    connections.log(logging.DEBUG, "%s [%s] %s", "FAIL", "producer-1", message)
    assert not connections.lost


def test_other_lines_say_nothing_of_connections_and_the_gravest_are_passed_on(caplog: pytest.LogCaptureFixture) -> None:
    connections = Connections()
    connections.log(logging.DEBUG, "%s [%s] %s", "WAKEUP", "producer-1", LOST[0])
    connections.log(logging.CRITICAL, "%s [%s] %s", "FATAL", "producer-1", "the producer is fenced")
    assert not connections.lost
    assert [record.getMessage() for record in caplog.records] == ["FATAL producer-1 the producer is fenced"]
