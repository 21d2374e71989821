"""The feed's side of the books: reads the frames that it sends as the stage will, and has what is missing sent again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from connectors.exchange.book.book import BookRules, LocalBook
from connectors.exchange.dialects import dialect_of
from connectors.exchange.errors import VENUE_IS_AWAY
from connectors.exchange.venues import DEPTH_CHANNELS
from quantum.errors import CorruptRecordError
from schemas.common import BookState
from schemas.exchange.records import ExchangeFrame

log = logging.getLogger(__name__)

Heal = Callable[[str], Awaitable[None]]
"""Has another snapshot of a symbol's book sent."""
OnBook = Callable[[str, bool, str], None]
"""Is told of a symbol's book whether it is known, and why it was thrown away where it just was."""


class BookKeeper:
    """Books of the symbols of one connection.

    Parameters
    ----------
    heal
        Has a snapshot sent; one symbol at a time, so that a broken connection does not ask for all at once.
    rules
        How much of a book is kept; the stage's, so that both come to the same conclusions.
    again_s
        Least time between two wishes for the same book, seconds.
    told
        Told after each frame of a book how it is.
    """

    def __init__(self, heal: Heal, rules: BookRules, again_s: float = 1.0, told: OnBook | None = None) -> None:
        self.books: dict[str, LocalBook] = {}
        self._heal = heal
        self._rules = rules
        self._again_s = again_s
        self._told = told
        self._wishes: asyncio.Queue[str] = asyncio.Queue()
        self._wished: set[str] = set()

    def watch(self, frame: ExchangeFrame) -> None:
        """Read a frame that has been sent."""
        if frame.channel not in DEPTH_CHANNELS:
            return
        try:
            update = dialect_of(frame).depth(frame)
        except CorruptRecordError as error:
            log.warning("%s", error)  # the stage sets it aside, and both books miss it
            return
        book = self.books.setdefault(frame.symbol, LocalBook())
        before = book.state
        book.take(self._rules, frame.session, update)
        live = book.state is BookState.LIVE
        lost = book.reason if before is BookState.LIVE and not live else ""
        if lost:
            log.warning("%s %s: the book is thrown away, %s", frame.venue, frame.symbol, lost)
        if self._told is not None:
            self._told(frame.symbol, live, lost)
        if book.wants_snapshot(self._rules):
            self._wish(frame.symbol)

    async def run(self) -> None:
        """Fulfil wishes for ever."""
        while True:
            symbol = await self._wishes.get()
            try:
                await self._heal(symbol)
            except VENUE_IS_AWAY as error:
                log.warning("%s: no snapshot of its book: %s", symbol, error)
            asyncio.get_running_loop().call_later(self._again_s, self._look_again, symbol)

    def _wish(self, symbol: str) -> None:
        if symbol not in self._wished:
            self._wished.add(symbol)
            self._wishes.put_nowait(symbol)

    def _look_again(self, symbol: str) -> None:
        self._wished.discard(symbol)
        if self.books[symbol].wants_snapshot(self._rules):
            self._wish(symbol)
