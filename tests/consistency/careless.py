"""Controls that must fail: the runtime without its transactions, or without one of their safeguards, to show that the campaigns notice."""

from __future__ import annotations

from typing import Any

from confluent_kafka import Producer

from processors.runtime.kafka.connections import Connections
from processors.runtime.kafka.membership import Membership
from processors.runtime.kafka.producer import Outcome, Work


def switch_transactions_off() -> None:
    """Make workers of this process write first and commit their offsets afterwards, as at-least-once programs do."""
    producers: list[Producer] = []

    def commit(self: Any, work: Work) -> Outcome:
        if not producers:
            producers.append(
                Producer({"bootstrap.servers": self._config["bootstrap.servers"], "partitioner": "murmur2_random", "linger.ms": 0})
            )
        for topic, partition, key, value, _, _ in work.records:
            producers[0].produce(topic, value, key, partition)
        producers[0].flush()
        self._committer._faults.reach("produced")
        self._poller._consumer.commit(offsets=work.offsets, asynchronous=False)
        return Outcome.COMMITTED

    Membership._commit = commit  # type: ignore[method-assign]  # the control's purpose


def keep_producers() -> None:
    """Make workers of this process go on with a producer of which requests may still be under way, as librdkafka's users do."""
    Connections.log = lambda *_, **__: None  # type: ignore[method-assign]  # the control's purpose
