"""What the gateway says: results of orders and transfers that are its own, stored before it goes on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from connectors.exchange.orders.ledger import Said
from connectors.exchange.orders.results import ResultLog
from connectors.exchange.orders.sink import FLUSH_S
from connectors.exchange.tasks import sleep_unless
from quantum.errors import FencedError, RetryError
from schemas.execution.records import AccountTransfer

log = logging.getLogger(__name__)

WRITE_S = 0.01
FLUSH_ATTEMPTS = 8


class Ownership(Protocol):
    """What the group says of partitions; `connectors.exchange.orders.commands.CommandLog` knows it."""

    @property
    def heard(self) -> bool:
        """Whether the group was heard just now."""

    def has(self, partition: int | None) -> bool:
        """Return whether a partition is this process's, as far as it has heard."""

    async def has_been_told(self, partitions: Collection[int]) -> bool:
        """Return whether the group takes partitions away that Kafka says another process writes."""


class Speaker:
    """Says results.

    Parameters
    ----------
    ownership
        Which partitions are this process's.
    results
        Where results go.
    on_fill
        Called for every fill that is said.
    """

    def __init__(self, ownership: Ownership, results: ResultLog, on_fill: Callable[[], None]) -> None:
        self._ownership = ownership
        self._results = results
        self._on_fill = on_fill
        self._held: list[Said] = []
        self._released = asyncio.Event()
        self._released.set()
        self._spoken = asyncio.Event()

    def say(self, results: Sequence[Said]) -> None:
        """Send results; after a pause, in which their orders may have gone to another process, only once the group has been heard."""
        if not self._ownership.heard:
            self._held += results
            self._released.clear()
            return
        for result in results:
            if not self._ownership.has(result.partition):
                continue
            self._results.add(result)
            self._spoken.set()
            record = result.record
            if isinstance(record, AccountTransfer):
                log.info("%s of %s %s %s", record.venue_kind, record.amount, record.asset, record.symbol)
                continue
            log.info("order %s: %s %s", record.client_order_id, record.status, record.trade_id or "")
            if record.trade_id is not None:
                self._on_fill()

    def forget(self, partitions: Collection[int]) -> None:
        """Drop what is held back of partitions that have gone."""
        self._held = [held for held in self._held if held.partition not in partitions]

    def release(self) -> None:
        """Say what was held back: the group has been heard."""
        held, self._held = self._held, []
        self.say(held)
        if not self._held:
            self._released.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Store what is said, until ``stop`` is set."""
        while not stop.is_set():
            await sleep_unless(stop, WRITE_S)
            if self._spoken.is_set():
                self._spoken.clear()
                await self.store()

    async def store(self) -> None:
        """Wait until all that was said is stored: as long as the broker may take to come back.

        Raises
        ------
        FencedError
            Another process writes results of a partition that the group still counts as this one's.
        RetryError
            The broker does not come back.
        """
        await self._released.wait()
        for attempt in range(1, FLUSH_ATTEMPTS + 1):
            try:
                await asyncio.to_thread(self._results.flush, FLUSH_S)
            except FencedError as error:
                if not await self._ownership.has_been_told(set(self._results.lost)):
                    raise
                log.warning("%s", error)
                return
            except RetryError as error:
                if attempt == FLUSH_ATTEMPTS:
                    raise
                log.warning("results are not stored yet: %s", error)
            else:
                return
