"""What the demo knows of the running platform: read from its topics, as any consumer could."""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from connectors.kafka.config import client_config
from connectors.registry.client import Registry
from processors.components import codecs
from processors.topology import TOPICS
from quantum.errors import DeadLetterError
from quantum.settings import Settings
from schemas.common import OrderStatus, PositionSide, RiskEventKind
from schemas.execution.records import ExecutionResult, OrderCommand
from schemas.health.records import HealthEvent
from schemas.journal.records import TradeClosed
from schemas.positions.records import PortfolioPosition, PortfolioSnapshot
from schemas.record import Record
from schemas.risk.records import RiskEvent
from schemas.signals.records import SignalGenerated

LOGGER = logging.getLogger(__name__)
WATCHED = (
    "ai.signal_generated", "risk.events", "order.command", "execution.result", "portfolio.position", "portfolio.snapshot",
    "trade.closed", "health.events",
)  # fmt: skip
LAST = 6


@dataclass
class Seen:
    """What was seen so far."""

    signals: int = 0
    directions: Counter[str] = field(default_factory=Counter)
    last_signals: deque[SignalGenerated] = field(default_factory=lambda: deque(maxlen=LAST))
    denials: Counter[str] = field(default_factory=Counter)
    orders: int = 0
    fills: int = 0
    rejections: Counter[str] = field(default_factory=Counter)
    positions: dict[str, PortfolioPosition] = field(default_factory=dict)
    snapshot: PortfolioSnapshot | None = None
    first_equity: Any = None
    closed: list[TradeClosed] = field(default_factory=list)
    health: dict[str, HealthEvent] = field(default_factory=dict)
    unreadable: int = 0

    def add(self, record: Record) -> None:
        """Take one record in."""
        match record:
            case SignalGenerated():
                self.signals += 1
                self.directions[record.direction] += 1
                self.last_signals.appendleft(record)
            case RiskEvent() if record.kind is RiskEventKind.DENIAL:
                self.denials[record.code] += 1
            case OrderCommand():
                self.orders += 1
            case ExecutionResult():
                self.fills += record.trade_id is not None
                if record.status is OrderStatus.REJECTED:
                    self.rejections[f"{record.error_code}: {record.error_message}"] += 1
            case PortfolioPosition():
                key = f"{record.account}:{record.symbol}"
                if record.side is PositionSide.FLAT:
                    self.positions.pop(key, None)
                else:
                    self.positions[key] = record
            case PortfolioSnapshot():
                self.first_equity = record.equity if self.first_equity is None else self.first_equity
                self.snapshot = record
            case TradeClosed():
                self.closed.append(record)
            case HealthEvent():
                self.health[record.worker] = record


class Observer:
    """Reads the watched topics in a thread.

    Parameters
    ----------
    settings
        Settings of the platform.
    """

    def __init__(self, settings: Settings) -> None:
        self.seen = Seen()
        self.lock = threading.Lock()
        self._settings = settings
        self._codecs = codecs(Registry(settings.registry), WATCHED)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)

    def start(self) -> None:
        """Begin to read, from the beginning of the topics."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        consumer = Consumer(
            client_config(self._settings.kafka, group_id="quantum-demo", enable_auto_commit=False, isolation_level="read_committed")
        )
        assignment = [
            TopicPartition(name, partition, OFFSET_BEGINNING)
            for name in WATCHED
            for partition in range(1 if TOPICS[name].broadcast else self._settings.partitions)
        ]
        consumer.assign(assignment)
        try:
            while not self._stop.is_set():
                for message in consumer.consume(500, 0.2):
                    error = message.error()
                    value, topic = message.value(), message.topic()
                    if error is not None:
                        if error.code() != KafkaError._PARTITION_EOF:
                            LOGGER.warning("the observer reads on after: %s", error)
                    elif value is not None and topic is not None:
                        self._take(topic, value)
        except KafkaException:
            LOGGER.exception("the observer has stopped: its view is no longer live")
        finally:
            consumer.close()

    def _take(self, topic: str, value: bytes) -> None:
        try:
            record = self._codecs[topic].decode(value)
        except DeadLetterError:
            with self.lock:
                self.seen.unreadable += 1
            return
        with self.lock:
            self.seen.add(record)
