"""Money that moves other than by fills: funding, insurance, deposits and withdrawals, each said once by the venue's own id.

The user stream tells at once that money has moved, but with no id, and what it misses it never tells; the account's history has an id for
every movement, but may have it some moments later. So the stream only says when to look, and what is said comes from the history, read
again from before the newest row that is known: after a restart from what the log has, at the very first start from as far back as
results are read. A ledger that began later knows by the time of a transfer that its first balance has it already.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from random import Random

from connectors.exchange.binance.backoff import Backoff
from connectors.exchange.errors import VenueAwayError
from connectors.exchange.orders.events import TransferSeen
from connectors.exchange.orders.ledger import Result, Said
from connectors.exchange.orders.settings import OrdersSettings
from connectors.exchange.orders.trading import TradingAccount
from connectors.exchange.tasks import wanted_or_stopped
from quantum import clock
from quantum.errors import VenueError
from quantum.trace import root_headers
from schemas.execution.records import AccountTransfer

log = logging.getLogger(__name__)

SECOND = 1_000_000
OVERLAP_US = 600 * SECOND
"""How much later than its time a row may appear in the history."""
FIRST_LOOK_S = 0.1
LOOKS = 10
"""Looks for a movement that the stream has told, each after twice the time of the one before; the next turn looks anyway."""


class TransferReport:
    """Says every transfer of the account once, while the account's partition is this process's.

    Parameters
    ----------
    account
        The account at the venue.
    settings
        Whose account it is, and times.
    say
        Takes what is to be said.
    random
        Source of the jitter of retries.
    """

    def __init__(self, account: TradingAccount, settings: OrdersSettings, say: Callable[[Sequence[Said]], None], random: Random) -> None:
        self._account = account
        self._settings = settings
        self._say = say
        self._backoff = Backoff(random, most_s=settings.reconcile_s)
        self._wanted = asyncio.Event()
        self._partition: int | None = None
        self._said: set[str] = set()
        self._since = self._newest = self._awaited = 0
        self._looks = 0

    def take(self, partition: int, said: list[AccountTransfer]) -> None:
        """Begin to speak for the account; ``said`` is what the log of its partition has."""
        self._partition = partition
        self._said = {transfer.event_id for transfer in said}
        history = clock.now_us() - round(self._settings.history_s * SECOND)
        self._since = max([history, *(transfer.event_ts - OVERLAP_US for transfer in said)])
        self._wanted.set()

    def drop(self) -> None:
        """Speak for the account no more: its partition has gone to another process."""
        self._partition = None

    def hurry(self, moved_ts: int = 0) -> None:
        """Look at once; money has moved at a time, microseconds."""
        self._awaited = max(self._awaited, moved_ts)
        self._looks = 0
        self._wanted.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Look now and then until ``stop`` is set, and soon after money has moved; a venue that does not answer is asked again."""
        while not stop.is_set():
            self._wanted.clear()
            wait = self._settings.reconcile_s
            try:
                await self._look()
                self._backoff.succeeded()
            except (VenueAwayError, VenueError) as error:
                log.warning("the account's history could not be read: %s", error)
                wait = self._backoff.next_s()
            else:
                if self._newest < self._awaited and self._looks < LOOKS:
                    wait = min(wait, FIRST_LOOK_S * 2**self._looks)
                    self._looks += 1
            await wanted_or_stopped(self._wanted, stop, wait)

    async def _look(self) -> None:
        partition = self._partition
        if partition is None:
            return
        seen, newest = await self._account.transfers(self._since)
        if self._partition != partition:
            return
        self._newest = max([self._newest, *(transfer.event_ts for transfer in seen)])
        fresh = [record for record in map(self._record, seen) if record.event_id not in self._said]
        self._said.update(record.event_id for record in fresh)
        self._say([Result(record, root_headers(record.event_id), partition) for record in fresh])
        self._since = max(self._since, newest - OVERLAP_US)

    def _record(self, seen: TransferSeen) -> AccountTransfer:
        account, venue = self._settings.account, self._settings.venue
        return AccountTransfer(
            event_id=f"{venue}:{account}:{seen.venue_kind}:{seen.transfer_id}", event_ts=seen.event_ts, ingest_ts=clock.now_us(),
            account=account, venue=venue, asset=seen.asset, kind=seen.kind, symbol=seen.symbol, amount=seen.amount,
            transfer_id=seen.transfer_id, venue_kind=seen.venue_kind,
        )  # fmt: skip
