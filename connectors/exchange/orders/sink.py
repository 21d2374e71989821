"""Where the gateway writes what is not said exactly once: balances, and what reconciliation finds."""

from __future__ import annotations

from typing import Protocol

from quantum.trace import Headers
from schemas.record import Record

FLUSH_S = 30.0


class RecordSink(Protocol):
    """Where records go; `connectors.kafka.publisher.Publisher` is one."""

    def send(self, topic: str, key: str, record: Record, headers: Headers | None = None) -> None:
        """Queue a record."""
