"""A network that delays, loses and cuts: every request of a transaction comes late once, and nothing is lost or doubled by it.

librdkafka's transactions share the epoch of their producer, so that a delayed EndTxn could end the next one: a plain producer shows it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from processors.runtime.kafka.producer import ANSWER_S
from tests.consistency import broker, campaign
from tests.consistency.network import Network
from tests.consistency.proxy import How
from tests.consistency.wire import FETCH, Api

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

_REFUSED = {47, 90}  # INVALID_PRODUCER_EPOCH, PRODUCER_FENCED
_RATE = 1000.0
_SESSION_S = 10.0


def committed(bootstrap: str, group: str) -> dict[tuple[str, int], int]:
    """Return the committed offsets of a group."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    answer = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(10)
    return {(each.topic, each.partition): each.offset for each in answer.topic_partitions or ()}


def count_through(
    net: Network, prefix: str, folder: Path, disturb: Callable[[], None], *, workers: int = 2, **settings: str
) -> campaign.Verdict:
    """Count through the proxy while it disturbs, then kill and start each worker, and judge."""
    broker.create_topics(net.direct, f"{prefix}-in", f"{prefix}-out")
    environment = {"PREFIX": prefix, "BOOTSTRAP": net.proxied, "SESSION_TIMEOUT": f"{_SESSION_S:.0f}", **settings}
    feed = campaign.Feed(net.direct, f"{prefix}-in", rate=_RATE)
    with ExitStack() as ending:
        running = []
        for number in range(workers):
            running.append(campaign.WorkerProcess(number, environment, folder / f"worker-{number}.log"))
            ending.callback(running[-1].end)
        for worker in running:
            worker.await_work()
        feed.start()
        disturb()
        for worker in running:
            worker.kill()
            worker.await_work()
        count = feed.finish()
        outputs = broker.read(net.direct, f"{prefix}-out", until=count, limit_s=60.0)
        assert [worker.status for worker in running] == [None] * workers
        assert [worker.end()[0] for worker in running] == [0] * workers
    return campaign.judge(outputs, count)


def campaign_with(net: Network, prefix: str, folder: Path, disturb: Callable[[], None], *, workers: int = 2) -> None:
    """Count through the proxy while it disturbs; nothing is lost or doubled, no transaction hangs, no offset is behind."""
    assert count_through(net, prefix, folder, disturb, workers=workers) == campaign.Verdict()
    assert broker.hanging(net.direct, [f"{prefix}-out", f"{prefix}-app-counts-changelog"]) == []
    assert committed(net.direct, f"{prefix}-app") == broker.ends(net.direct, [f"{prefix}-in"])


def late(net: Network, api: Api, how: How) -> int | None:
    """Let the next request of a kind suffer, wait until it has, and return what Kafka said to it where it was held."""
    fault = net.proxy.arm(api, how)
    assert fault.done.wait(60.0), f"{api.name} {how.name} has not happened"
    time.sleep(0.5)
    return fault.error


@pytest.mark.parametrize("how", [How.HELD_AND_CUT, pytest.param(How.HELD, marks=pytest.mark.campaign)])
def test_an_end_of_transaction_that_comes_within_the_next_one_is_refused(net: Network, prefix: str, tmp_path: Path, how: How) -> None:
    errors: list[int | None] = []
    campaign_with(net, prefix, tmp_path, lambda: errors.extend(late(net, Api.END_TXN, how) for _ in range(4)))
    assert len(errors) == 4
    assert set(errors) <= _REFUSED


@pytest.mark.parametrize(
    "how", [How.HELD_AND_CUT, pytest.param(How.ANSWER_LOST, marks=pytest.mark.campaign), pytest.param(How.CUT, marks=pytest.mark.campaign)]
)
def test_every_request_of_a_transaction_may_come_late_or_lose_its_answer(net: Network, prefix: str, tmp_path: Path, how: How) -> None:
    def disturb() -> None:
        for api in (Api.PRODUCE, Api.ADD_PARTITIONS_TO_TXN, Api.ADD_OFFSETS_TO_TXN, Api.TXN_OFFSET_COMMIT, Api.END_TXN):
            error = late(net, api, how)
            assert error is None or error in _REFUSED, api.name
        first = net.proxy.arm(Api.INIT_PRODUCER_ID, how)  # which is sent where a producer is made anew
        late(net, Api.END_TXN, How.CUT)
        assert first.done.wait(60.0)

    campaign_with(net, prefix, tmp_path, disturb)


@pytest.mark.campaign
def test_records_that_are_never_answered_for_are_written_by_another_producer(net: Network, prefix: str, tmp_path: Path) -> None:
    """librdkafka's flush can wait for ever; the runtime's ends."""

    def disturb() -> None:
        with net.proxy.swallowing(Api.PRODUCE):
            until = time.monotonic() + 60.0
            while "are not answered in time" not in (tmp_path / "worker-0.log").read_text():
                assert time.monotonic() < until, "the worker still waits"
                time.sleep(0.2)

    campaign_with(net, prefix, tmp_path, disturb, workers=1)


@pytest.mark.campaign
def test_a_consumer_whose_connection_falls_silent_reads_on_after_its_session_time(net: Network, prefix: str, tmp_path: Path) -> None:
    def disturb() -> None:
        with net.proxy.swallowing(FETCH):
            time.sleep(1.0)
        silent_since, before = time.monotonic(), sum(committed(net.direct, f"{prefix}-app").values())
        while sum(committed(net.direct, f"{prefix}-app").values()) == before:
            assert time.monotonic() - silent_since < _SESSION_S + 10.0, "the worker reads nothing"
            time.sleep(0.2)
        assert time.monotonic() - silent_since > _SESSION_S / 4, "no connection was silent"

    campaign_with(net, prefix, tmp_path, disturb, workers=1)


@pytest.mark.campaign
def test_cuts_and_a_stall_of_everything(net: Network, prefix: str, tmp_path: Path) -> None:
    def disturb() -> None:
        for _ in range(5):
            net.proxy.cut()
            time.sleep(0.7)
        net.proxy.stall(6.0)
        time.sleep(1.0)

    campaign_with(net, prefix, tmp_path, disturb)


def test_a_lost_answer_to_the_commit_stalls_a_worker_for_seconds_only(net: Network, prefix: str, tmp_path: Path) -> None:
    def disturb() -> None:
        fault = net.proxy.arm(Api.END_TXN, How.HELD)
        started = time.monotonic()
        assert fault.done.wait(60.0)
        assert time.monotonic() - started < ANSWER_S + 6.0

    campaign_with(net, prefix, tmp_path, disturb, workers=1)


@pytest.mark.campaign
def test_workers_that_keep_their_producer_count_twice(net: Network, prefix: str, tmp_path: Path) -> None:
    """The control: the runtime without its watch over connections."""
    errors: list[int | None] = []

    def disturb() -> None:
        errors.extend(late(net, Api.END_TXN, How.HELD_AND_CUT) for _ in range(4))

    verdict = count_through(net, prefix, tmp_path, disturb, CARELESS="producers")
    assert 0 in errors
    assert verdict.doubled > 0


def test_a_producer_that_is_not_made_anew_has_its_next_transaction_ended(net: Network, prefix: str) -> None:
    """The control without the runtime: why a producer is made anew."""
    broker.create_topics(net.direct, f"{prefix}-in", f"{prefix}-out", partitions=1)
    broker.write(net.direct, f"{prefix}-in", [("key", b"1"), ("key", b"2")])
    consumer = Consumer({"bootstrap.servers": net.direct, "group.id": prefix, "enable.auto.commit": False})
    consumer.subscribe([f"{prefix}-in"])
    deadline = time.monotonic() + 30.0
    while not consumer.assignment() and time.monotonic() < deadline:
        consumer.poll(0.1)
    producer = Producer({"bootstrap.servers": net.proxied, "transactional.id": prefix, "linger.ms": 0, "log_level": 2})
    producer.init_transactions(30.0)

    def work(offset: int) -> None:
        producer.begin_transaction()
        producer.produce(f"{prefix}-out", f"of transaction {offset}", "key")
        producer.flush(10.0)
        where = [TopicPartition(f"{prefix}-in", 0, offset)]
        producer.send_offsets_to_transaction(where, consumer.consumer_group_metadata(), 10.0)

    fault = net.proxy.arm(Api.END_TXN, How.HELD_AND_CUT)
    work(1)
    producer.commit_transaction(10.0)  # returns as if nothing had been: it was repeated on another connection
    with pytest.raises(KafkaException, match="invalid state"):
        work(2)  # the first EndTxn comes, ends this transaction, and offsets cannot join it any more
    assert fault.done.is_set()
    assert fault.error == 0
    consumer.close()
    rows = broker.read(net.direct, f"{prefix}-out", until=2)
    assert [row.value for row in rows] == [b"of transaction 1", b"of transaction 2"], "committed, though its own commit never was"
