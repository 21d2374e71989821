"""The account's user stream: news of orders as it happens. What it misses, the poll of the open orders finds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from random import Random

import aiohttp
import msgspec

from connectors.exchange.binance.backoff import Backoff
from connectors.exchange.errors import VenueAwayError
from connectors.exchange.orders.settings import OrdersSettings
from connectors.exchange.orders.trading import TradingAccount
from connectors.exchange.orders.user_events import UserEvent, user_event
from connectors.exchange.tasks import sleep_unless
from quantum.errors import VenueError

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 10.0


class UserStream:
    """Follows the user stream for as long as the gateway runs.

    Parameters
    ----------
    account
        The account.
    stream_url
        Base URL of the venue's websockets.
    settings
        Times.
    on_event
        Called with every event.
    on_connected
        Called when the stream begins: something may have been missed before.
    random
        Source of the jitter of reconnects.
    """

    def __init__(
        self,
        account: TradingAccount,
        stream_url: str,
        settings: OrdersSettings,
        on_event: Callable[[UserEvent], None],
        on_connected: Callable[[], None],
        random: Random,
    ) -> None:
        self._account = account
        self._url = stream_url
        self._settings = settings
        self._on_event = on_event
        self._on_connected = on_connected
        self._random = random

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the stream until ``stop`` is set, connecting again whenever it ends."""
        backoff = Backoff(self._random, most_s=10.0)
        while not stop.is_set():
            try:
                await self._session(backoff)
            except (VenueAwayError, VenueError) as error:
                wait = backoff.next_s()
                log.warning("user stream: %s; connecting again in %.1f s", error, wait)
                await sleep_unless(stop, wait)

    async def _session(self, backoff: Backoff) -> None:
        key = await self._account.listen_key()
        try:
            async with (
                aiohttp.ClientSession() as http,
                asyncio.timeout(CONNECT_TIMEOUT_S) as patience,
                http.ws_connect(f"{self._url}/ws/{key}", heartbeat=20.0) as socket,
            ):
                patience.reschedule(None)
                backoff.succeeded()
                self._on_connected()
                renewal = asyncio.create_task(self._renew(key))
                reading = asyncio.create_task(self._read(socket))
                try:
                    done, _ = await asyncio.wait({renewal, reading}, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        task.result()
                finally:
                    for task in (renewal, reading):
                        task.cancel()
                    await asyncio.gather(renewal, reading, return_exceptions=True)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise VenueAwayError(f"the user stream cannot be had: {error!r}", "see whether the venue runs") from error

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            message = await socket.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise VenueAwayError(f"the venue ended it: {message.type.name} {socket.close_code or ''}")
            try:
                event = user_event(message.data)
            except msgspec.DecodeError as error:
                log.warning("user stream: %s in %.300s", error, message.data)
                continue
            if event.expired:
                raise VenueAwayError("its key has run out")
            self._on_event(event)

    async def _renew(self, key: str) -> None:
        while True:
            await asyncio.sleep(self._settings.listen_key_s)
            try:
                await self._account.keep_alive(key)
            except VenueAwayError as error:
                log.warning("user stream: its key could not be renewed, once more at the next turn: %s", error)
