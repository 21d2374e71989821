"""One symbol of one product: its book, who makes it, its trades, its mark price, and what everybody in it holds."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple, Protocol

from connectors.exchange.simulated.market.agents import Agent, LadderMaker, TouchMaker
from connectors.exchange.simulated.market.book import OrderBook, Owner
from connectors.exchange.simulated.market.instruments import Instrument
from connectors.exchange.simulated.market.tape import INTERVALS_US, Bar, Tape, Trade

QUOTE, TAKE, MARK = 0, 1, 2
RATE_SCALE = 8
"""Funding rates are whole multiples of ten to the minus this."""


class Listener(Protocol):
    """What is told about a market as it happens."""

    def on_quote(self, market: SymbolMarket, ts_us: int) -> None:
        """Take note that the best prices or their quantities changed, and that whatever changed them is over."""

    def on_trade(self, market: SymbolMarket, trade: Trade, starts_aggregate: bool) -> None:
        """Take note of a trade; `starts_aggregate` says that the aggregate before it is complete. Orders must wait for `on_quote`."""

    def on_mark(self, market: SymbolMarket, ts_us: int) -> None:
        """Take note of new mark and index prices (once a second)."""

    def on_funding(self, market: SymbolMarket, rate: Decimal, ts_us: int) -> None:
        """Take note that funding was settled."""


class Taken(NamedTuple):
    """One trade of an order that took from the book: price in ticks, quantity in lots."""

    trade_id: int
    price: int
    lots: int


@dataclass(slots=True)
class MarkPrice:
    """Mark and index price (quote asset), and the funding rate that would be settled now."""

    mark: Decimal
    index: Decimal
    rate: Decimal
    next_funding_us: int


@dataclass(slots=True)
class SymbolMarket:
    """One symbol of one product.

    Attributes
    ----------
    holdings
        Position by owner, lots; they sum to zero, because every trade has two sides.
    cash
        By owner, ticks times lots: what its trades have brought in. They sum to zero too: fees are the accounts' own matter.
    funding
        By owner, ticks times lots times 1e-8: funding received. They sum to zero.
    before
        Lots that were held before the venue's first trade; part of the open interest.
    """

    rules: Instrument
    book: OrderBook
    tape: Tape
    mark: MarkPrice
    funding_us: int
    touch: TouchMaker
    ladder: LadderMaker
    before: int = 0
    noise: Agent = field(default_factory=lambda: Agent("noise takers"))
    momentum: Agent = field(default_factory=lambda: Agent("momentum takers"))
    funding_history: list[tuple[int, Decimal, Decimal]] = field(default_factory=list)
    """Settled funding: (time, rate, mark price)."""
    listeners: list[Listener] = field(default_factory=list)
    pending: list[tuple[int, ...]] = field(default_factory=list)
    cursor: int = 0
    bars: dict[str, Bar] = field(default_factory=dict)
    quote_us: int = 0
    holdings: defaultdict[Owner, int] = field(default_factory=lambda: defaultdict(int))
    cash: defaultdict[Owner, int] = field(default_factory=lambda: defaultdict(int))
    funding: defaultdict[Owner, int] = field(default_factory=lambda: defaultdict(int))

    def play(self, now_us: int) -> None:
        """Let the makers and takers do what is due up to `now_us`."""
        while self.cursor < len(self.pending) and self.pending[self.cursor][0] <= now_us:
            event = self.pending[self.cursor]
            self.cursor += 1
            if event[1] == QUOTE:
                self._make(event)
            elif event[1] == TAKE:
                ts_us, _, lots, buyer_maker, momentum = event
                self.sweep(self.momentum if momentum else self.noise, lots, None, bid=not buyer_maker, ts_us=ts_us)
                self.quoted(ts_us)
            else:
                self._mark(event)

    # --- trading -----------------------------------------------------------------------------------------------------------------------

    def take(self, owner: Owner, lots: int, limit: int | None, *, bid: bool, ts_us: int) -> Taken | None:
        """Trade with the first order of the other side, if its price is within a limit.

        An order of the same owner does not trade: it is taken out of the book instead.

        Parameters
        ----------
        owner, lots, bid
            Who wants to trade how much, and whether to buy.
        limit
            Worst price, ticks; None for any.
        ts_us
            Time, microseconds.

        Returns
        -------
        Taken or None
            The trade; None where nothing is left within the limit.
        """
        while (resting := self.book.head(bid=not bid)) is not None:
            if limit is not None and (resting.price > limit if bid else resting.price < limit):
                return None
            if resting.owner is owner:
                self.book.cancel(resting)
                owner.prevented(resting, ts_us)
                continue
            price, done = resting.price, min(lots, resting.lots)
            self.book.reduce(resting, done)
            trade = self._print(price, done, ts_us, buyer_maker=not bid)
            signed = done if bid else -done
            for party, change in ((owner, signed), (resting.owner, -signed)):
                self.holdings[party] += change
                self.cash[party] -= change * price
            resting.owner.filled(resting, price, done, trade.id, trade.ts_us)
            return Taken(trade.id, price, done)
        return None

    def sweep(self, owner: Owner, lots: int, limit: int | None, *, bid: bool, ts_us: int) -> int:
        """Trade against the book up to a limit; return what was traded."""
        left = lots
        while left > 0 and (taken := self.take(owner, left, limit, bid=bid, ts_us=ts_us)) is not None:
            left -= taken.lots
        return lots - left

    def holding(self, owner: Owner) -> int:
        """Return an owner's position, lots."""
        return self.holdings.get(owner, 0)

    def open_interest(self) -> int:
        """Return the lots that are held long."""
        return self.before + sum(held for held in self.holdings.values() if held > 0)

    def quoted(self, ts_us: int) -> None:
        """Say that what changed the book is over."""
        self.quote_us = max(ts_us, self.quote_us)
        for listener in self.listeners:
            listener.on_quote(self, self.quote_us)

    def _print(self, price: int, lots: int, ts_us: int, *, buyer_maker: bool) -> Trade:
        last = self.tape.last
        ts_us = max(ts_us, last.ts_us if last else 0)
        trade, starts = self.tape.append(price, lots, ts_us, buyer_maker)
        for interval, width in INTERVALS_US.items():
            bar = self.bars[interval]
            if ts_us >= bar.close_us:
                start = ts_us // width * width
                bar = self.bars[interval] = Bar(start, start + width, bar.close, bar.close, bar.close, bar.close)
            bar.add(trade)
        for listener in self.listeners:
            listener.on_trade(self, trade, starts)
        return trade

    # --- what is due -------------------------------------------------------------------------------------------------------------------

    def _make(self, event: tuple[int, ...]) -> None:
        ts_us, _, bid, ask, bid_lots, ask_lots = event
        book = self.book
        shown = (book.bid, book.bid_lots, book.ask, book.ask_lots)
        self.touch.withdraw(self, bid, ask)
        self.ladder.withdraw(self, bid, ask)
        self.touch.quote(self, bid, ask, bid_lots, ask_lots, ts_us)
        self.ladder.fill(self, bid, ask)
        if shown != (book.bid, book.bid_lots, book.ask, book.ask_lots):
            self.quoted(ts_us)

    def _mark(self, event: tuple[int, ...]) -> None:
        ts_us, _, mark_ticks, index_ticks, rate = event
        self.mark.mark, self.mark.index = self.rules.price(mark_ticks), self.rules.price(index_ticks)
        self.mark.rate = Decimal(rate).scaleb(-RATE_SCALE)
        if ts_us >= self.mark.next_funding_us:
            at = self.mark.next_funding_us
            self.funding_history.append((at, self.mark.rate, self.mark.mark))
            self.mark.next_funding_us += self.funding_us
            for owner, held in self.holdings.items():
                self.funding[owner] -= held * mark_ticks * rate
            for listener in self.listeners:
                listener.on_funding(self, self.mark.rate, at)
        for listener in self.listeners:
            listener.on_mark(self, ts_us)
