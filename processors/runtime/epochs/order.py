"""The order in which records of several topics were dispatched: written in the epoch's transaction, so that a re-run takes the same.

Kafka keeps the order within a partition, not between the topics that an application reads together, and what an agent decides
may depend on which came first. With ``App(order_log=True)`` each epoch writes to ``<app>-order``, for every partition number that it
worked on, the runs that it dispatched. Since an agent that does nothing but use tables and send has no other input, the input
topics and this log determine tables and outputs; see :mod:`processors.runtime.epochs.rerun`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from confluent_kafka import Message

from processors.runtime.api.topics import Outgoing
from quantum.errors import CorruptRecordError


class Run(msgspec.Struct, frozen=True, array_like=True):
    """Records of one topic that were dispatched together and worked through before the next run.

    Attributes
    ----------
    topic
        The topic; the partition is the one of the log.
    offset
        Offset of the first record.
    count
        How many committed records, from there on; markers are none.
    dead
        Whether it is one record that went to the dead-letter topic because its agents had raised.
    """

    topic: str
    offset: int
    count: int
    dead: bool = False


class Order(msgspec.Struct, frozen=True):
    """What one epoch dispatched of one partition number.

    Attributes
    ----------
    epoch
        Name of the epoch: worker, its process, number.
    runs
        The runs, in the order of their dispatch.
    """

    epoch: str
    runs: list[Run]


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Order)


def order_topic(application: str) -> str:
    """Return the name of an application's order log."""
    return f"{application}-order"


def read_order(value: bytes) -> Order:
    """Return a record of the log.

    Raises
    ------
    CorruptRecordError
        It is none.
    """
    try:
        return _DECODER.decode(value)
    except msgspec.DecodeError as error:
        raise CorruptRecordError(f"{value[:80]!r} is no record of an order log: {error}", "look at who else writes to it") from error


def by_partition(records: list[Message]) -> list[Message]:
    """Return records with those of a topic partition together, partitions in the order of their first records."""
    groups: dict[tuple[Any, Any], list[Message]] = {}
    for record in records:
        groups.setdefault((record.topic(), record.partition()), []).append(record)
    return records if len(groups) == 1 else [record for group in groups.values() for record in group]


class OrderLog:
    """The runs of the open epoch.

    Parameters
    ----------
    application
        The application's id.
    about
        Headers of the first record of each partition that it writes.
    """

    def __init__(self, application: str, about: Mapping[str, bytes]) -> None:
        self.topic = order_topic(application)
        self._about = list(about.items())
        self._introduced: set[int] = set()
        self._runs: dict[int, list[Run]] = {}

    def add(self, records: Sequence[Message], *, dead: bool = False) -> None:
        """Note a run, all of one topic partition."""
        if records:
            first = records[0]
            run = Run(str(first.topic()), int(first.offset() or 0), len(records), dead)
            self._runs.setdefault(int(first.partition() or 0), []).append(run)

    def records(self, epoch: str) -> list[Outgoing]:
        """Return what the epoch's transaction is to write."""
        return [
            (self.topic, partition, None, _ENCODER.encode(Order(epoch, runs)), None if partition in self._introduced else self._about, 0)
            for partition, runs in self._runs.items()
        ]

    def committed(self) -> None:
        """Say that the epoch's records are on the log."""
        self._introduced.update(self._runs)
        self._runs = {}

    def assigned(self) -> None:
        """Say that the partitions have changed: others may have written to the log meanwhile."""
        self._introduced.clear()

    def clear(self) -> None:
        """Forget the epoch's runs."""
        self._runs = {}
