"""librdkafka's producer behind a handle, so that it ends when it is given up."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import KafkaException, Producer, TopicPartition

from processors.runtime.api.topics import Outgoing
from processors.runtime.kafka.connections import Connections

#: How long answers are waited for before a producer ends.
_ANSWERED_S = 1.0


class Handle:
    """One transactional producer.

    Nobody else holds librdkafka's object, not even for the time of a call: an error's traceback keeps what its frames hold, and a
    producer that lives on in one keeps its threads, which go on asking for brokers with a processor's whole time.

    Parameters
    ----------
    config
        librdkafka's settings.

    Attributes
    ----------
    connections
        Whether a request of it may still be under way.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.connections = Connections()
        self._producer: Any = Producer(dict(config), logger=self.connections)

    def drop(self) -> None:
        """End it; blocks for as long as its threads need.

        What it has written is answered for first, for a while. librdkafka gives the text of a fatal error back to the heap when it ends,
        and again where an answer that says "fenced" comes at that moment; glibc then ends the process.
        """
        deadline = time.monotonic() + _ANSWERED_S
        while (left := deadline - time.monotonic()) > 0:
            try:
                if not self.call("flush", left):
                    break
            except KafkaException:
                continue  # the fatal error, which a callback on the way raises; what else is under way still is
        self._producer = None

    def call(self, name: str, *arguments: Any) -> Any:
        """Make a call that serves callbacks.

        A fatal error is raised from such a call, not given to the error callback; where another callback follows it the binding
        raises SystemError over it.
        """
        try:
            return getattr(self._producer, name)(*arguments)
        except SystemError as error:
            if isinstance(error.__cause__, KafkaException):
                raise error.__cause__ from None
            raise

    def send_offsets(self, offsets: list[TopicPartition], group: Any, wait_s: float) -> None:
        """Add input offsets to the transaction."""
        self.call("send_offsets_to_transaction", offsets, group, wait_s)

    def write(self, records: Iterable[Outgoing]) -> None:
        """Write records; waits while librdkafka's queue is full."""
        produce: Any = self._producer.produce
        try:
            for topic, partition, key, value, headers, timestamp in records:
                while True:
                    try:
                        if headers is None and not timestamp:
                            produce(topic, value, key, partition)  # by position alone: keywords would make it half as dear again
                        else:
                            produce(topic, value, key, partition, timestamp=timestamp, headers=headers)
                    except BufferError:
                        self.call("poll", 0.01)
                    else:
                        break
        finally:
            del produce
