"""The platform compared with the venue, at the start and every minute: open orders, fills, positions, balance.

While orders are on their way the two never agree in every detail at one moment. A difference counts only if it stands: it is looked
at again after a pause, in which open orders are asked about and the account's history is read, and by how much the two differ must be
the same each time. What does not stand is explained by what was under way. What stands is written as unexplained, which makes
governance allow nothing but exits until a later round finds it gone. Fills of orders that the venue gave itself, liquidations above all,
are found here too, and taken as those of the platform's own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from connectors.exchange.errors import VenueAwayError
from connectors.exchange.orders import metrics
from connectors.exchange.orders.events import FillSeen
from connectors.exchange.orders.ledger import Ledger
from connectors.exchange.orders.portfolio import Portfolio
from connectors.exchange.orders.settings import OrdersSettings
from connectors.exchange.orders.sink import RecordSink
from connectors.exchange.orders.trading import TradingAccount
from connectors.exchange.tasks import sleep_unless, wanted_or_stopped
from quantum import clock
from quantum.errors import RetryError, VenueError
from schemas.common import ReconcileAction, ReconcileKind
from schemas.execution.records import ReconcileEvent

log = logging.getLogger(__name__)

LOOKS = 4
"""Looks at a difference before it counts."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that the platform and the venue have differently.

    Attributes
    ----------
    gap
        By how much, where that can be said: the same again is the same difference, though both sides have moved.
    """

    kind: ReconcileKind
    subject: str
    expected: str | None
    found: str | None
    detail: str
    gap: Decimal | None = None

    @property
    def identity(self) -> tuple[str, str, str]:
        """What makes it the same difference at another look."""
        return self.kind, self.subject, f"{self.found}/{self.expected}" if self.gap is None else str(self.gap.normalize())


class Reconciler:
    """Compares one account, while its partition is this process's.

    Parameters
    ----------
    account
        The account at the venue.
    settings
        Whose account it is, times and the tolerance.
    ledger
        The open orders and the fills that have been said.
    portfolio
        What the platform holds by its own books.
    topic, sink
        Where what it finds is written.
    look_again
        Called where there are differences: has orders and transfers looked at.
    adopt
        Called with a fill that was not said: takes it where the venue itself gave the order.
    """

    def __init__(
        self,
        account: TradingAccount,
        settings: OrdersSettings,
        ledger: Ledger,
        portfolio: Portfolio,
        topic: str,
        sink: RecordSink,
        look_again: Callable[[], None],
        adopt: Callable[[str, FillSeen], Awaitable[None]],
    ) -> None:
        self._account = account
        self._settings = settings
        self._ledger = ledger
        self._portfolio = portfolio
        self._topic = topic
        self._sink = sink
        self._look_again = look_again
        self._adopt = adopt
        self._wanted = asyncio.Event()
        self._active = False
        self._fills_since = 0

    def take(self, said_until: int) -> None:
        """Begin: the account is this process's, and what was said of it has been read; its fills are compared from that time on."""
        self._active = True
        self._fills_since = said_until
        self._wanted.set()

    def drop(self) -> None:
        """End: the account has gone to another process."""
        self._active = False
        metrics.UNEXPLAINED.set(0)

    def hurry(self) -> None:
        """Compare at once: the venue has done something of its own."""
        self._wanted.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Compare until ``stop`` is set; a round that cannot be made is made again at the next turn."""
        try:
            while not stop.is_set():
                self._wanted.clear()
                if self._active:
                    try:
                        await self._round(stop)
                        metrics.ROUNDS.labels("made").inc()
                    except (VenueAwayError, VenueError, RetryError) as error:
                        metrics.ROUNDS.labels("failed").inc()
                        log.warning("the venue and the platform could not be compared: %s", error)
                await wanted_or_stopped(self._wanted, stop, self._settings.reconcile_s)
        finally:
            await asyncio.to_thread(self._portfolio.close)

    async def _round(self, stop: asyncio.Event) -> None:
        began = clock.now_us()
        seen: dict[tuple[str, str, str], Difference] = {}
        standing: dict[tuple[str, str, str], Difference] | None = None
        for look in range(LOOKS):
            found = {each.identity: each for each in await self._compare()}
            seen = found | seen
            standing = found if standing is None else {name: found[name] for name in standing.keys() & found.keys()}
            if not standing or look == LOOKS - 1:
                break
            self._look_again()
            await sleep_unless(stop, self._settings.confirm_s)
        if not self._active or stop.is_set() or standing is None:
            return
        self._write(seen, standing)
        self._fills_since = max(self._fills_since, began - clock.span_us(self._settings.reconcile_s))

    def _write(self, seen: dict[tuple[str, str, str], Difference], standing: dict[tuple[str, str, str], Difference]) -> None:
        for name, each in sorted(seen.items()):
            explained = name not in standing
            if not explained:
                log.error("the platform and the venue differ: %s", each.detail)
            self._send(each, explained=explained, action=ReconcileAction.LOOKED_UP if explained else ReconcileAction.ALERTED)
        ledgers = "" if self._portfolio.balance is not None else "; the platform has no ledger of the account yet"
        summary = Difference(
            ReconcileKind.ROUND, self._settings.account, str(len(self._portfolio.positions)), None,
            f"{len(self._ledger.open_orders())} open orders, {len(self._portfolio.positions)} positions; {len(seen)} differences, "
            f"{len(standing)} of them unexplained{ledgers}",
        )  # fmt: skip
        self._send(summary, explained=not standing, action=ReconcileAction.NONE, differences=len(standing))
        metrics.UNEXPLAINED.set(len(standing))

    def _send(self, each: Difference, *, explained: bool, action: ReconcileAction, differences: int = 0) -> None:
        now, account, venue = clock.now_us(), self._settings.account, self._settings.venue
        record = ReconcileEvent(
            event_id=f"{venue}:{account}:{each.kind}:{each.subject}:{now}", event_ts=now, ingest_ts=now, account=account, venue=venue,
            kind=each.kind, subject=each.subject, expected=each.expected, found=each.found, explained=explained, action=action,
            detail=each.detail, differences=differences,
        )  # fmt: skip
        self._sink.send(self._topic, account, record)

    async def _compare(self) -> list[Difference]:
        at_venue = await self._account.open_orders()
        found = list(self._orders({(order.client_order_id, order.venue_order_id): order.symbol for order in at_venue}))
        positions = {position.symbol: position.quantity for position in await self._account.positions()}
        wallet = (await self._account.balance(self._settings.asset)).wallet
        await asyncio.to_thread(self._portfolio.refresh)
        if self._portfolio.balance is not None:
            found += self._positions(positions)
            found += self._balance(self._portfolio.balance, wallet)
        symbols = self._ledger.symbols() | {order.symbol for order in at_venue} | positions.keys()
        for symbol in sorted(symbols):
            found += await self._fills(symbol)
        return found

    def _orders(self, at_venue: dict[tuple[str, str], str]) -> Iterator[Difference]:
        ours = set()
        for (client_order_id, venue_order_id), symbol in at_venue.items():
            name = self._ledger.client_id_of(symbol, venue_order_id) or client_order_id
            ours.add(name)
            if self._ledger.order(name) is None:
                expected = "over" if self._ledger.knows(name) else None
                detail = f"order {name} of {symbol} is open at the venue, and {expected or 'not known'} here"
                yield Difference(ReconcileKind.ORDER, name, expected, "open", detail)
        for order in self._ledger.open_orders():
            if order.client_order_id not in ours:
                detail = f"order {order.client_order_id} of {order.symbol} is open here, and not at the venue"
                yield Difference(ReconcileKind.ORDER, order.client_order_id, "open", None, detail)

    async def _fills(self, symbol: str) -> list[Difference]:
        trades = await self._account.trades(symbol, self._fills_since)
        fills = [fill for fill in trades if not self._ledger.has_said(symbol, fill.trade_id)]
        for fill in {fill.venue_order_id: fill for fill in fills}.values():
            await self._adopt(symbol, fill)
        return [
            Difference(
                ReconcileKind.FILL, f"{symbol}:{fill.trade_id}", None, str(fill.quantity),
                f"fill {fill.trade_id} of {fill.quantity} {symbol} at {fill.price} is not on the platform's log",
            )
            for fill in fills
        ]  # fmt: skip

    def _positions(self, at_venue: dict[str, Decimal]) -> Iterator[Difference]:
        ours = self._portfolio.positions
        for symbol in sorted(ours.keys() | at_venue.keys()):
            here, there = ours.get(symbol, Decimal(0)), at_venue.get(symbol, Decimal(0))
            if here != there:
                detail = f"position of {symbol}: {here} here, {there} at the venue"
                yield Difference(ReconcileKind.POSITION, symbol, str(here), str(there), detail, there - here)

    def _balance(self, here: Decimal, there: Decimal) -> Iterator[Difference]:
        if abs(there - here) > self._settings.tolerance:
            asset = self._settings.asset
            detail = f"balance: {here} {asset} here, {there} at the venue"
            yield Difference(ReconcileKind.BALANCE, asset, str(here), str(there), detail, there - here)
