"""What the committer makes of each answer, provoked on a real broker."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from processors.runtime.api.topics import Outgoing
from processors.runtime.epochs.faults import Faults
from processors.runtime.kafka.producer import ANSWER_S, Committer, Outcome, Work
from quantum.errors import ConfigurationError
from tests.consistency import broker
from tests.consistency.network import Network
from tests.consistency.proxy import How
from tests.consistency.wire import Api

pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]

_TIMEOUT_S = 10.0


class Case:
    """A committer whose connections pass the proxy, a group, and the topics of a test."""

    def __init__(self, net: Network, prefix: str) -> None:
        self.net = net
        self.name = prefix
        self.committer = self.new_committer()
        self._member = self._join()
        self.group: Any = self._member.consumer_group_metadata()

    def new_committer(self) -> Committer:
        """Return a committer of the case's transactional id."""
        return Committer({"bootstrap.servers": self.net.proxied}, self.name, _TIMEOUT_S, lambda: False, Faults(""))

    def _join(self) -> Consumer:
        member = Consumer({"bootstrap.servers": self.net.direct, "group.id": self.name, "enable.auto.commit": False})
        member.subscribe([f"{self.name}-in"])
        deadline = time.monotonic() + 30.0
        while not member.assignment():
            assert time.monotonic() < deadline, "the group does not form"
            member.poll(0.1)
        return member

    def leave(self) -> None:
        """Leave the group."""
        self._member.close()

    def work(self, offset: int, *records: Outgoing) -> Work:
        """Return an epoch that writes its number, unless given what, and moves to an offset."""
        number = str(offset).encode()
        epoch = f"epoch-{offset}"
        where = TopicPartition(f"{self.name}-in", 0, offset, metadata=epoch)
        return Work(epoch, [*(records or [(f"{self.name}-out", 0, b"key", number, None, 0)])], [where], self.group)

    def values(self) -> list[bytes]:
        """Return what is committed of the output."""
        return [row.value for row in broker.read_to_end(self.net.direct, f"{self.name}-out")]

    def committed(self) -> str | None:
        """Return the metadata of the committed offset; waits for a transaction that could still change it."""
        reader = Consumer({"bootstrap.servers": self.net.direct, "group.id": self.name, "isolation.level": "read_committed"})
        [found] = reader.committed([TopicPartition(f"{self.name}-in", 0)], 15.0)
        reader.close()
        return found.metadata


@pytest.fixture
def case(net: Network, prefix: str) -> Iterator[Case]:
    admin = AdminClient({"bootstrap.servers": net.direct})
    topics = [NewTopic(f"{prefix}-in", 1, 1), NewTopic(f"{prefix}-out", 1, 1, config={"max.message.bytes": "1000"})]
    for future in admin.create_topics(topics).values():
        future.result(10)
    broker.write(net.direct, f"{prefix}-in", [("key", b"")] * 5)
    made = Case(net, prefix)
    yield made
    made.committer.close()
    made.leave()


def goes_on(case: Case, offset: int) -> None:
    """Show that the next epoch is committed."""
    assert case.committer.commit(case.work(offset)) is Outcome.COMMITTED
    assert case.values()[-1] == str(offset).encode()
    assert case.committed() == f"epoch-{offset}"


def test_a_commit_that_is_answered_is_committed_and_keeps_the_producer(case: Case) -> None:
    goes_on(case, 1)
    producer = case.committer._producer
    goes_on(case, 2)
    assert case.committer._producer is producer


def test_a_record_that_the_broker_refuses(case: Case) -> None:
    too_large = (f"{case.name}-out", 0, b"key", Random(0).randbytes(2000), None, 0)
    assert case.committer.commit(case.work(1, too_large)) is Outcome.REFUSED
    assert case.committer.cause == "MSG_SIZE_TOO_LARGE"
    goes_on(case, 2)
    assert case.values() == [b"2"]


def test_a_record_that_the_client_refuses(case: Case) -> None:
    too_large = (f"{case.name}-out", 0, b"key", b"x" * 2_000_000, None, 0)
    assert case.committer.commit(case.work(1, too_large)) is Outcome.REFUSED
    goes_on(case, 2)
    assert case.values() == [b"2"]


def test_a_topic_that_does_not_exist(case: Case) -> None:
    with pytest.raises(ConfigurationError, match=f"{case.name}-nowhere"):
        case.committer.commit(case.work(1, (f"{case.name}-nowhere", 0, b"key", b"1", None, 0)))
    goes_on(case, 2)


def test_a_partition_that_does_not_exist(case: Case) -> None:
    with pytest.raises(ConfigurationError, match="lacks the partition"):
        case.committer.commit(case.work(1, (f"{case.name}-out", 7, b"key", b"1", None, 0)))
    goes_on(case, 2)


def test_a_worker_that_has_lost_its_place_in_the_group(case: Case) -> None:
    goes_on(case, 1)
    case.leave()
    assert case.committer.commit(case.work(2)) is Outcome.FENCED
    assert case.values() == [b"1"]
    assert case.committed() == "epoch-1"


def test_a_producer_that_another_of_its_identity_has_fenced(case: Case) -> None:
    goes_on(case, 1)
    other = Producer({"bootstrap.servers": case.net.direct, "transactional.id": case.name, "log_level": 2})
    other.init_transactions(10)
    assert case.committer.commit(case.work(2)) in (Outcome.ABORTED, Outcome.UNKNOWN)
    assert case.values() == [b"1"]
    assert case.committed() == "epoch-1"
    goes_on(case, 3)


def test_a_producer_that_was_fenced_with_many_requests_under_way_ends_and_its_process_does_not(net: Network, prefix: str) -> None:
    partitions, times = 32, 12
    admin = AdminClient({"bootstrap.servers": net.direct})
    admin.create_topics([NewTopic(prefix, partitions, 1)])[prefix].result(10)
    command = [sys.executable, "-m", "tests.consistency.rivals", net.direct, prefix, str(partitions), str(times)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert ended.returncode == 0, ended.stderr[-500:]
    assert ended.stdout == f"{times} of {times} were fenced\n"


def test_a_commit_that_is_not_answered_and_did_not_arrive(case: Case) -> None:
    goes_on(case, 1)
    held = case.net.proxy.arm(Api.END_TXN, How.HELD)
    started = time.monotonic()
    assert case.committer.commit(case.work(2)) is Outcome.UNKNOWN
    case.committer.renew()
    assert case.committed() == "epoch-1"
    assert time.monotonic() - started < ANSWER_S + 4.0
    goes_on(case, 3)
    assert held.done.is_set()
    assert case.values() == [b"1", b"3"]


@pytest.mark.parametrize("how", [How.HELD_AND_CUT, How.ANSWER_LOST, How.CUT])
def test_a_commit_whose_connection_is_cut_is_answered_on_another_and_costs_the_producer(case: Case, how: How) -> None:
    goes_on(case, 1)
    producer = case.committer._producer
    fault = case.net.proxy.arm(Api.END_TXN, how)
    goes_on(case, 2)
    assert case.committer._producer is producer
    goes_on(case, 3)
    assert case.committer._producer is not producer
    assert fault.done.is_set()
    assert case.values() == [b"1", b"2", b"3"]


@pytest.mark.parametrize(
    "api",
    [
        Api.PRODUCE,
        pytest.param(Api.ADD_PARTITIONS_TO_TXN, marks=pytest.mark.campaign),
        pytest.param(Api.ADD_OFFSETS_TO_TXN, marks=pytest.mark.campaign),
        Api.TXN_OFFSET_COMMIT,
    ],
)
def test_a_request_that_is_never_answered_stalls_for_seconds_only(case: Case, api: Api) -> None:
    goes_on(case, 1)
    held = case.net.proxy.arm(api, How.HELD)
    started = time.monotonic()
    outcome = Outcome.ABORTED
    while outcome is Outcome.ABORTED:
        outcome = case.committer.commit(case.work(2))
    assert outcome is Outcome.COMMITTED
    assert time.monotonic() - started < ANSWER_S + 4.0
    goes_on(case, 3)
    assert held.done.is_set()
    assert case.values() == [b"1", b"2", b"3"]
