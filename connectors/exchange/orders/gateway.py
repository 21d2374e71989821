"""The order gateway: commands from the log to the venue, results and balances from the venue to the log.

What it promises: every command is acted on at the venue once, in effect; every fill and every state of an order is on the log
once, and so is money that moved otherwise, whatever is killed or stopped.

How: a command's offset is committed only after its outcome has been stored. What was said before is read back from the log when
a partition comes, so the gateway has no state of its own; a command that an earlier process may have sent is looked up at the venue
before it is sent (see `sender`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from random import Random

from connectors.exchange.binance.rest import BinanceRest
from connectors.exchange.binance.settings import VenueSettings
from connectors.exchange.errors import VenueAwayError
from connectors.exchange.orders.balance import BalanceReport
from connectors.exchange.orders.commands import CommandLog, CommandTopics, Delivered, OnCorrupt, Polled
from connectors.exchange.orders.dialect import made_by_venue, venues_command
from connectors.exchange.orders.dialect import seen as order_seen
from connectors.exchange.orders.events import FillSeen, OrderSeen, Refused
from connectors.exchange.orders.ledger import Ledger, Order
from connectors.exchange.orders.portfolio import Portfolio
from connectors.exchange.orders.reconcile import Reconciler
from connectors.exchange.orders.results import ResultLog
from connectors.exchange.orders.sender import Sender
from connectors.exchange.orders.settings import OrdersSettings
from connectors.exchange.orders.sink import RecordSink
from connectors.exchange.orders.speaker import Speaker
from connectors.exchange.orders.trading import TradingAccount
from connectors.exchange.orders.transfers import TransferReport
from connectors.exchange.orders.user_events import UserEvent
from connectors.exchange.orders.user_stream import UserStream
from connectors.exchange.tasks import sleep_unless, together
from connectors.exchange.venues import venue_named
from quantum import clock
from quantum.errors import FencedError, VenueError
from quantum.trace import root_headers
from schemas.common import OrderAction, OrderStatus
from schemas.execution.records import OrderCommand

log = logging.getLogger(__name__)

TICK_S = 0.05
GRACE_S = 5.0


class OrderGateway:
    """One account at one venue.

    Parameters
    ----------
    account
        The account at the venue.
    settings
        What is traded, limits and times.
    stream_url
        Base URL of the venue's websockets.
    commands
        The log of commands.
    topics
        Names of the topics that are written.
    results
        Where results and transfers go.
    portfolio
        What the platform holds by its own books.
    sink
        Where balances and what reconciliation finds go.
    random
        Source of the jitter of retries.
    """

    def __init__(
        self,
        account: TradingAccount,
        settings: OrdersSettings,
        stream_url: str,
        commands: CommandLog,
        topics: CommandTopics,
        results: ResultLog,
        portfolio: Portfolio,
        sink: RecordSink,
        random: Random,
    ) -> None:
        self._account = account
        self._settings = settings
        self._commands = commands
        self._random = random
        self._ledger = Ledger()
        self._sender = Sender(account, random)
        self._stream = UserStream(account, stream_url, settings, self._on_event, self._look_at_all, random)
        self._lanes: dict[str, asyncio.Task[None]] = {}
        self._due: dict[str, float] = {}
        self._missed: dict[str, int] = {}
        self._balance = BalanceReport(account, settings, topics.balances, sink, random)
        self._speaker = Speaker(commands, results, self._balance.hurry)
        self._transfers = TransferReport(account, settings, self._speaker.say, random)
        self._reconciler = Reconciler(account, settings, self._ledger, portfolio, topics.reconciles, sink, self._look_at_all, self._adopt)
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set; what is in hand is finished first as far as the venue answers.

        Raises
        ------
        FencedError
            Another process has taken this one's place.
        RetryError
            Results cannot be stored; the process must begin again, and will find everything on the log.
        """
        try:
            work = (self._take_commands(stop), self._stream_until(stop), self._look_at_orders(stop))
            reports = (self._balance.run(stop), self._transfers.run(stop), self._reconciler.run(stop))
            await together(*work, *reports, self._speaker.run(stop))
            await self._finish_in_hand()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._speaker.store(), GRACE_S)
        finally:
            for task in self._lanes.values():
                task.cancel()
            await asyncio.gather(*self._lanes.values(), return_exceptions=True)
            if self._failure.done():
                self._failure.exception()
            await self._commands.close()

    async def _finish_in_hand(self) -> None:
        working = [task for task in self._lanes.values() if not task.done()]
        if working:
            _, left = await asyncio.wait(working, timeout=GRACE_S)
            log.info("%d symbols have commands that the next process will look up", len(left))

    async def _take_commands(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            polled = await self._commands.poll()
            if self._failure.done():
                self._failure.result()
            self._speaker.forget(polled.lost)
            for partition in polled.lost:
                self._ledger.drop(partition)
            if polled.lost and self._commands.home_of(self._settings.account) is None:
                self._transfers.drop()
                self._reconciler.drop()
            for partition, result, headers in polled.said:
                self._ledger.restore(result, headers, partition)
            if polled.gained:
                self._sender.distrust()
                self._take_account(polled)
                self._look_at_all()
                log.info("partitions %s: %d orders are open", polled.gained, len(self._ledger.open_orders()))
            self._speaker.release()
            for delivered in polled.commands:
                lane = delivered.command.symbol
                task = asyncio.create_task(self._work(delivered, self._lanes.get(lane)))
                task.add_done_callback(self._worked)
                self._lanes[lane] = task

    def _take_account(self, polled: Polled) -> None:
        """Answer for the account itself where its partition has come to this process."""
        home = self._commands.home_of(self._settings.account)
        if home in polled.gained:
            self._transfers.take(home, [transfer for partition, transfer, _ in polled.moved if partition == home])
            said = [result.event_ts for partition, result, _ in polled.said if partition == home]
            self._reconciler.take(max(said, default=self._now()))

    async def _work(self, delivered: Delivered, before: asyncio.Task[None] | None) -> None:
        """Work on a command after the one before it in its symbol."""
        if before is not None:
            await asyncio.wait({before})
        command = delivered.command
        try:
            await self._act(delivered)
        except FencedError as error:
            log.warning("%s", error)
            return
        await self._speaker.store()
        self._commands.done(delivered)
        log.debug("command %s is done", command.event_id)

    def _worked(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None and not self._failure.done():
            self._failure.set_exception(error)

    async def _act(self, delivered: Delivered) -> None:
        command = delivered.command
        client_order_id = command.client_order_id
        if command.action is OrderAction.CANCEL:
            await self._cancel(delivered)
        elif not self._ledger.knows(client_order_id):
            self._ledger.expect(command, delivered.headers, delivered.partition)
            outcome: OrderSeen | Refused | None = self._not_ours(command)
            if outcome is None:
                outcome = await self._sender.submit(
                    command, uncertain=delivered.uncertain, expires_s=delivered.expires_s, may_send=lambda: self._commands.owns(delivered)
                )
            self._due[client_order_id] = time.monotonic() + self._settings.first_poll_s
            self._speaker.say(self._ledger.seen(outcome, client_order_id))

    async def _cancel(self, delivered: Delivered) -> None:
        command = delivered.command
        if not await self._commands.owns(delivered):
            raise FencedError(f"cancellation of {command.client_order_id} belongs to another process now")
        refused = self._not_ours(command)
        seen = None if refused is not None else await self._sender.cancel(command)
        if seen is not None:
            self._speaker.say(self._ledger.seen(seen, command.client_order_id))
            self._due[command.client_order_id] = 0.0
        elif not self._ledger.knows(command.client_order_id):
            self._ledger.expect(command, delivered.headers, delivered.partition)
            unknown = Refused(code="-2013", message="the venue has no order with this id", event_ts=self._now())
            self._speaker.say(self._ledger.seen(refused or unknown, command.client_order_id))

    def _not_ours(self, command: OrderCommand) -> Refused | None:
        """Return why a command is not for this gateway, if it is not."""
        now = self._now()
        if command.venue != self._settings.venue:
            return Refused(code="VENUE_NOT_CONNECTED", message=f"this gateway trades on {self._settings.venue}", event_ts=now)
        if command.account != self._settings.account:
            return Refused(code="ACCOUNT_NOT_CONNECTED", message=f"this gateway trades for {self._settings.account}", event_ts=now)
        if command.action is not OrderAction.SUBMIT and command.action is not OrderAction.CANCEL:
            return Refused(code="ACTION_NOT_KNOWN", message=f"this gateway does not know {command.action}", event_ts=now)
        return None

    def _now(self) -> int:
        return clock.event_time(self._account.rest.now_us())

    def _on_event(self, event: UserEvent) -> None:
        for news in event.news:
            # What a stop has made trades under an id of its own; the venue's id ties the two together.
            made_by = self._ledger.client_id_of(event.symbol, news.venue_order_id)
            self._speaker.say(self._ledger.seen(news, made_by or event.client_order_id))
        if event.news and made_by_venue(event.client_order_id):
            self._reconciler.hurry()
        if event.money:
            self._balance.hurry()
        if event.moved_ts:
            self._transfers.hurry(event.moved_ts)

    def _look_at_all(self) -> None:
        self._transfers.hurry()
        for order in self._ledger.open_orders():
            self._due[order.client_order_id] = 0.0

    async def _stream_until(self, stop: asyncio.Event) -> None:
        stream = asyncio.create_task(self._stream.run(stop))
        stopped = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait({stream, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if stream in done:
                stream.result()
        finally:
            for task in (stream, stopped):
                task.cancel()
            await asyncio.gather(stream, stopped, return_exceptions=True)

    async def _look_at_orders(self, stop: asyncio.Event) -> None:
        """Ask about every open order now and then: the stream may have missed something."""
        while not stop.is_set():
            await sleep_unless(stop, TICK_S)
            now = time.monotonic()
            orders = self._ledger.open_orders()
            self._due = {order.client_order_id: self._due.get(order.client_order_id, now + self._settings.poll_s) for order in orders}
            for order in orders:
                if self._due[order.client_order_id] <= now:
                    self._due[order.client_order_id] = now + self._settings.poll_s
                    try:
                        await self._look_at(order)
                    except (VenueAwayError, VenueError) as error:
                        log.warning("order %s could not be looked at: %s", order.client_order_id, error)

    async def _look_at(self, order: Order) -> None:
        seen = await self._account.query(order.symbol, order.client_order_id)
        if seen is None:
            self._miss(order)
            return
        self._missed.pop(order.client_order_id, None)
        fills: list[FillSeen] = []
        if seen.executed > order.filled:
            fills = await self._account.fills(order.symbol, order.client_order_id, seen.venue_order_id)
        for fill in fills:
            self._speaker.say(self._ledger.seen(fill, order.client_order_id))
        self._speaker.say(self._ledger.seen(seen, order.client_order_id))

    async def _adopt(self, symbol: str, fill: FillSeen) -> None:
        """Take an order that the venue itself has given for one of the account's, where a fill belongs to such a one."""
        home = self._commands.home_of(self._settings.account)
        answer = None if home is None else await self._account.venues_own(symbol, fill.venue_order_id)
        if answer is None or home is None or self._ledger.knows(answer.client_order_id):
            return
        name = answer.client_order_id
        log.error("%s has closed %s of %s by itself: order %s", self._settings.venue, answer.executed_qty, symbol, name)
        command = venues_command(answer, symbol, fill.price, self._settings)
        self._ledger.expect(command, root_headers(command.event_id), home)
        for each in await self._account.fills(symbol, name, fill.venue_order_id):
            self._speaker.say(self._ledger.seen(each, name))
        self._speaker.say(self._ledger.seen(order_seen(answer), name))

    def _miss(self, order: Order) -> None:
        """Take it that an order is over which the venue, asked again and again, does not know: it keeps every open one."""
        name = order.client_order_id
        missed = self._missed[name] = self._missed.get(name, 0) + 1
        log.error("order %s was accepted, but %s does not know it (%d times in a row)", name, self._settings.venue, missed)
        if missed >= self._settings.lost_after:
            del self._missed[name]
            gone = OrderSeen(
                client_order_id=name, venue_order_id=order.venue_order_id or "", status=OrderStatus.EXPIRED, executed=order.filled,
                event_ts=self._now(),
            )  # fmt: skip
            self._speaker.say(self._ledger.seen(gone, name))


async def run_gateway(
    settings: OrdersSettings,
    access: VenueSettings,
    bootstrap: str,
    topics: CommandTopics,
    sink: RecordSink,
    on_corrupt: OnCorrupt,
    stop: asyncio.Event,
) -> None:
    """Run the gateway until ``stop`` is set. See `OrderGateway`.

    Parameters
    ----------
    settings, access
        What is traded, where, with which key.
    bootstrap
        Kafka's bootstrap servers.
    topics
        Topics, and the codecs of those that are read.
    sink
        Where balances go.
    on_corrupt
        Called on another thread with a command that cannot be read.
    stop
        Ends it.
    """
    venue = venue_named(settings.venue)
    async with BinanceRest(venue, access) as rest:
        account = TradingAccount(rest)
        results = ResultLog(bootstrap, topics.said, settings.group)
        portfolio = Portfolio(bootstrap, topics, settings.account, settings.venue)
        commands = CommandLog(bootstrap, topics, settings, on_corrupt, results)
        gateway = OrderGateway(account, settings, access.stream_url(venue), commands, topics, results, portfolio, sink, Random())
        await gateway.run(stop)
