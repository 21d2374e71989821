"""Where the gateway writes balances to."""

from __future__ import annotations

from typing import Protocol

from quantum.trace import Headers
from schemas.record import Record

FLUSH_S = 30.0


class RecordSink(Protocol):
    """Where balances go; `connectors.kafka.publisher.Publisher` is one."""

    def send(self, topic: str, key: str, record: Record, headers: Headers | None = None) -> None:
        """Queue a record."""
