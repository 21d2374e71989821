"""The account's balance: at the start, soon after fills, and now and then."""

from __future__ import annotations

import asyncio
import logging
from random import Random

from connectors.exchange.binance.backoff import Backoff
from connectors.exchange.errors import VenueAwayError
from connectors.exchange.orders.settings import OrdersSettings
from connectors.exchange.orders.sink import RecordSink
from connectors.exchange.orders.trading import TradingAccount
from connectors.exchange.tasks import sleep_unless, wanted_or_stopped
from quantum import clock
from quantum.errors import VenueError
from schemas.execution.records import AccountBalance

log = logging.getLogger(__name__)

LEAST_S = 0.5
"""Least time between two readings: each costs request weight, which orders and their queries must not lack when fills are many."""


class BalanceReport:
    """Reports the balance of the settlement asset.

    Parameters
    ----------
    account
        The account at the venue.
    settings
        Asset and times.
    topic
        Where balances are written.
    sink
        What writes them.
    random
        Source of the jitter of retries.
    """

    def __init__(self, account: TradingAccount, settings: OrdersSettings, topic: str, sink: RecordSink, random: Random) -> None:
        self._account = account
        self._settings = settings
        self._topic = topic
        self._sink = sink
        self._backoff = Backoff(random, most_s=settings.balance_s)
        self._wanted = asyncio.Event()

    def hurry(self) -> None:
        """Report at once: money has moved."""
        self._wanted.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Report until ``stop`` is set; a venue that does not answer is asked again."""
        while not stop.is_set():
            self._wanted.clear()
            try:
                await self._report()
            except (VenueAwayError, VenueError) as error:
                log.warning("the balance could not be read: %s", error)
                await sleep_unless(stop, self._backoff.next_s())
            else:
                self._backoff.succeeded()
                await sleep_unless(stop, LEAST_S)
                await wanted_or_stopped(self._wanted, stop, self._settings.balance_s)

    async def _report(self) -> None:
        seen = await self._account.balance(self._settings.asset)
        now = clock.event_time(self._account.rest.now_us())
        account, venue, asset = self._settings.account, self._settings.venue, self._settings.asset
        record = AccountBalance(
            event_id=f"{venue}:{account}:{asset}:{now}",
            event_ts=now,
            ingest_ts=now,
            account=account,
            venue=venue,
            asset=asset,
            wallet_balance=seen.wallet,
            available_balance=seen.available,
        )
        self._sink.send(self._topic, account, record)
