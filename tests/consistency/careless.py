"""A control that must fail: the runtime with its transactions switched off, to show that the campaigns would notice."""

from __future__ import annotations

from typing import Any

from confluent_kafka import Producer

from processors.runtime.membership import Membership
from processors.runtime.producer import Outcome, Work


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
