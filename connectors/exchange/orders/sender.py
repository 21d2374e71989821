"""Sending an order so that it reaches the venue exactly once, whatever happens on the way.

A signed request is valid for ``recvWindow`` after its timestamp; the venue refuses it afterwards. So an order of which
nothing is known after ``recvWindow`` (and a margin) since it was last sent can never be accepted any more, and may be sent
again:

1. An order that may have been sent before (by this process without a clear answer, or by an earlier process) is asked for by its
   client order id first.
2. Found: it has been accepted. Not found, but the window is still open: ask again a little later.
3. Not found after the window: send it.
4. Who sends must own the command: that is asked last, and holds for a second; an order that is not signed by then is asked for
   again. So what a process that has lost a command may still send is refused by the venue before its successor's window ends.
5. An answer without a verdict (a timeout, a reset, a 5xx): back to 1. A refusal of a duplicate id: the same, it is there.
6. Not acted on for certain (429, no connection): send again after a pause.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from random import Random

from connectors.exchange.binance.backoff import Backoff
from connectors.exchange.errors import NotSentError, RateLimitedError, UnknownOutcomeError, VenueAwayError
from connectors.exchange.orders import dialect
from connectors.exchange.orders.events import OrderSeen, Refused
from connectors.exchange.orders.trading import TradingAccount
from quantum import clock
from quantum.errors import FencedError, VenueError
from schemas.common import OrderStatus, Origin
from schemas.execution.records import OrderCommand

log = logging.getLogger(__name__)

MARGIN_S = 1.0
OWNED_S = 1.0
TAKEOVER_MARGIN_S = 2.0 + OWNED_S  # a consumer notices up to 2 s after its group that its session has ended
ASK_EVERY_S = 0.25
MOST_BACKOFF_S = 5.0


class Sender:
    """Sends orders of one account.

    Parameters
    ----------
    account
        The account.
    random
        Source of the jitter of retries.
    """

    def __init__(self, account: TradingAccount, random: Random) -> None:
        self._account = account
        self._random = random
        self._leverage: dict[str, int] = {}
        self._window_s = account.rest.recv_window_ms / 1_000 + MARGIN_S
        self._takeover_s = account.rest.recv_window_ms / 1_000 + TAKEOVER_MARGIN_S
        self._earlier_process_until = time.monotonic() + self._takeover_s

    def distrust(self) -> None:
        """Take it that another process may have sent orders until now: at the start, and when partitions come."""
        self._earlier_process_until = time.monotonic() + self._takeover_s

    async def submit(
        self, command: OrderCommand, *, uncertain: bool, expires_s: float, may_send: Callable[[], Awaitable[bool]]
    ) -> OrderSeen | Refused:
        """Bring an order to the venue; return its state there, or why it was refused.

        Parameters
        ----------
        command
            The order.
        uncertain
            Whether an earlier process may have sent it.
        expires_s
            Time after which it is no longer sent, seconds since the epoch.
        may_send
            Asked before every request that sends: whether this process still owns the command.

        Raises
        ------
        FencedError
            Another process owns the command.
        """
        backoff = Backoff(self._random, most_s=MOST_BACKOFF_S)
        open_until = self._earlier_process_until if uncertain else 0.0
        while True:
            try:
                if uncertain:
                    asked = time.monotonic()
                    found = await self._account.query(command.symbol, command.client_order_id, waits=dialect.waits(command))
                    if found is not None:
                        return found
                    if asked < open_until:
                        await asyncio.sleep(min(ASK_EVERY_S, open_until - asked))
                        continue
                    uncertain = False
            except (VenueAwayError, VenueError) as error:
                await self._pause(command, error, backoff)
                continue
            if time.time() > expires_s:
                return self._refused("COMMAND_TOO_OLD", "the command has lain on the log too long; nothing was sent")
            sent = time.monotonic()
            try:
                await self._set_leverage(command)
                if not await may_send():
                    raise FencedError(f"order {command.client_order_id} belongs to another process now")
                sent = time.monotonic()
                seen = await self._account.submit(command, not_after=sent + OWNED_S)
            except UnknownOutcomeError as error:
                log.warning("order %s: %s", command.client_order_id, error)
                uncertain, open_until = True, max(sent, time.monotonic()) + self._window_s
            except NotSentError as error:
                await self._pause(command, error, backoff)
            except VenueError as error:
                if not dialect.is_duplicate(error.code, error.message):
                    return self._refused(str(error.code), error.message)
                log.warning("order %s: the venue has an order with this id: %s", command.client_order_id, error.message)
                uncertain, open_until = True, sent + self._window_s
            else:
                if seen.status is OrderStatus.REJECTED:
                    return self._refused("REJECTED", "the venue took the order and rejected it")
                return seen

    async def cancel(self, command: OrderCommand) -> OrderSeen | None:
        """Cancel an order; return its state afterwards, or None where the venue has no such order."""
        backoff = Backoff(self._random, most_s=MOST_BACKOFF_S)
        while True:
            try:
                try:
                    return await self._account.cancel(command.symbol, command.client_order_id)
                except VenueError as error:
                    if error.code not in {dialect.CANCEL_REFUSED, dialect.NO_SUCH_ORDER}:
                        raise
                    return await self._account.query(command.symbol, command.client_order_id, waits=dialect.waits(command))
            except (VenueAwayError, VenueError) as error:
                await self._pause(command, error, backoff)

    async def _set_leverage(self, command: OrderCommand) -> None:
        if command.origin is not Origin.ENTRY or command.reduce_only or not self._account.rest.venue.futures:
            return
        leverage = dialect.leverage_of(command)
        if self._leverage.get(command.symbol) != leverage:
            self._leverage.pop(command.symbol, None)
            try:
                await self._account.set_leverage(command.symbol, leverage)
            except UnknownOutcomeError as error:
                raise NotSentError(f"leverage of {command.symbol} may not be set: {error.message}") from error
            self._leverage[command.symbol] = leverage

    def _refused(self, code: str, message: str) -> Refused:
        return Refused(code=code, message=message, event_ts=clock.event_time(self._account.rest.now_us()))

    async def _pause(self, command: OrderCommand, error: VenueAwayError | VenueError, backoff: Backoff) -> None:
        wait = backoff.next_s()
        if isinstance(error, RateLimitedError):
            wait = max(wait, min(error.retry_after_s, MOST_BACKOFF_S))
        log.warning("order %s: %s; again in %.1f s", command.client_order_id, error, wait)
        await asyncio.sleep(wait)
