"""What the platform holds by its own books, as the stage ``positions`` writes them; to be compared with the venue."""

from __future__ import annotations

import logging
import time
from decimal import Decimal
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from connectors.exchange.orders.commands import CommandTopics
from connectors.kafka.config import client_config
from quantum.errors import DeadLetterError, RetryError
from quantum.partition import partition_of
from schemas.codec import RecordCodec
from schemas.common import PositionSide
from schemas.positions.records import PortfolioPosition, PortfolioSnapshot

log = logging.getLogger(__name__)

PATIENCE_S = 20.0
BATCH = 2_000
WAIT_S = 0.1


class Portfolio:
    """Positions and balance of one account at one venue; its calls must not overlap.

    Parameters
    ----------
    bootstrap
        Kafka's bootstrap servers.
    topics
        Where positions and snapshots lie.
    account, venue
        Whose.

    Attributes
    ----------
    positions : dict
        Quantity by symbol, negative where short; flat ones are left out.
    balance : Decimal or None
        Balance without unrealised profit; None before the ledger has begun.
    """

    def __init__(self, bootstrap: str, topics: CommandTopics, account: str, venue: str) -> None:
        self._topics = topics
        self._account = account
        self._venue = venue
        self._codecs: dict[str, RecordCodec[Any]] = {topics.positions: topics.position_codec, topics.snapshots: topics.snapshot_codec}
        self._consumer = Consumer(
            client_config(
                bootstrap, group_id="orders-portfolio", enable_auto_commit=False, isolation_level="read_committed", fetch_wait_max_ms=200
            )
        )
        self._places: list[TopicPartition] = []
        self.positions: dict[str, Decimal] = {}
        self.balance: Decimal | None = None

    def refresh(self) -> None:
        """Read on to the present end.

        Raises
        ------
        RetryError
            Kafka does not answer.
        """
        try:
            self._read()
        except KafkaException as error:
            raise RetryError(f"the platform's positions cannot be read: {error}", "see whether Kafka answers: quantum status") from error

    def _read(self) -> None:
        if not self._places:
            self._assign()
        ends = {(p.topic, p.partition): self._consumer.get_watermark_offsets(p, timeout=PATIENCE_S)[1] for p in self._places}
        deadline = time.monotonic() + PATIENCE_S
        while any(place.offset < ends[place.topic, place.partition] for place in self._positions()):
            if time.monotonic() > deadline:
                raise RetryError("the platform's positions cannot be read to their end", "see whether Kafka answers: quantum status")
            for message in self._consumer.consume(BATCH, WAIT_S):
                topic, value = message.topic() or "", message.value()
                if message.error() is not None or value is None:
                    continue
                try:
                    self._take(self._codecs[topic].decode(value))
                except DeadLetterError:
                    log.exception("%s %s %s cannot be read", topic, message.partition(), message.offset())

    def _positions(self) -> list[TopicPartition]:
        """Return where reading stands; an offset below zero means the beginning, which may be the end."""
        found: list[TopicPartition] = self._consumer.position(self._places)
        for place in found:
            if place.offset < 0:
                place.offset = self._consumer.get_watermark_offsets(place, timeout=PATIENCE_S)[0]
        return found

    def _assign(self) -> None:
        for topic in self._codecs:
            count = len(self._consumer.list_topics(topic, timeout=PATIENCE_S).topics[topic].partitions)
            everywhere = topic == self._topics.snapshots  # where the account's own partition has all that is needed
            wanted = [partition_of(self._account, count)] if everywhere else range(count)
            self._places += [TopicPartition(topic, number, 0) for number in wanted]
        self._consumer.assign(self._places)

    def _take(self, record: Any) -> None:
        if record.account != self._account:
            return
        if isinstance(record, PortfolioSnapshot):
            self.balance = record.balance
        elif isinstance(record, PortfolioPosition) and record.venue == self._venue:
            if record.side is PositionSide.FLAT:
                self.positions.pop(record.symbol, None)
            else:
                self.positions[record.symbol] = record.quantity if record.side is PositionSide.LONG else -record.quantity

    def close(self) -> None:
        """Leave Kafka."""
        self._consumer.close()
