"""A local order book: it is right, or it says that it is not.

1. Diffs that come before a snapshot are held, as long as they follow each other without a gap.
2. A snapshot is installed once the held diffs join it: the first that says something new must begin at the snapshot's id or
   before it. A snapshot that is too old for that is passed over; a newer one is wanted.
3. From then on every diff must begin at the book's id or before it. One that begins later leaves a gap: the book is thrown away,
   and the diff is the first that is held for the next snapshot. One that ends at the book's id or before it is old news, or,
   where the venue's mark says that it is new, of another numbering whose beginning was lost.
4. A book whose best bid reaches its best ask is thrown away: the venue's own never is.
5. A snapshot reaches only so far down, so each side knows its bound. While a side is nearly used up, the book goes on, but
   wants a new snapshot and holds the diffs for it; when too few levels are left, it is thrown away.
6. A book belongs to one session of the connector. The first frame of another session begins a new one.

The same frames in the same order give the same book, so the feed, which asks for snapshots, and the stage, which writes the
book's levels, need not speak to each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from connectors.exchange.book.side import Side
from connectors.exchange.book.update import NOT_STATED, DepthUpdate, Level
from schemas.common import BookState


@dataclass(frozen=True, slots=True)
class BookRules:
    """How much of a book is kept.

    Attributes
    ----------
    keep
        Levels of a side that are kept.
    renew_below
        Known levels of a side below which a new snapshot is wanted.
    least
        Known levels of a side below which the book says nothing any more.
    held
        Most diffs that are held for a snapshot.
    """

    keep: int = 200
    renew_below: int = 50
    least: int = 10
    held: int = 200


class LocalBook(msgspec.Struct):
    """The book of one symbol at one venue.

    Attributes
    ----------
    session : str
        Session of the connector that it belongs to.
    state : BookState
        Whether its levels are the venue's.
    reason : str
        Why it is not LIVE; empty where it is.
    last : int
        Update id of its levels; -1 without any.
    newest : int
        Greatest update id that was seen in the session; a snapshot that does not reach it is too old.
    mark : int
        Greatest mark that was seen in the session.
    price_places, size_places : int
        Decimal places of its keys and sizes.
    bids, asks : Side
        Levels; empty while it is not LIVE.
    held : list of DepthUpdate
        Diffs that wait for a snapshot, without a gap between them.
    resyncs : int
        Times that it was thrown away.
    """

    session: str = ""
    state: BookState = BookState.SYNCING
    reason: str = "no snapshot has come yet"
    last: int = NOT_STATED
    newest: int = NOT_STATED
    mark: int = NOT_STATED
    price_places: int = 0
    size_places: int = 0
    bids: Side = msgspec.field(default_factory=Side)
    asks: Side = msgspec.field(default_factory=Side)
    held: list[DepthUpdate] = []
    resyncs: int = 0

    def take(self, rules: BookRules, session: str, update: DepthUpdate) -> None:
        """Take what a frame of a session says."""
        if session != self.session:
            self._throw_away(BookState.SYNCING, "a new session of the connector has begun")
            self.session, self.mark, self.newest = session, NOT_STATED, NOT_STATED
        if update.resets:
            self._reset(rules, update)
        elif update.snapshot:
            self._join(rules, update)
        else:
            self._follow(rules, update)

    def wants_snapshot(self, rules: BookRules) -> bool:
        """Return whether a snapshot is wanted; not before the first diff, because an earlier snapshot might not join it."""
        return bool(self.held) and (self.state is not BookState.LIVE or self._nearly_used_up(rules))

    def levels(self, most: int) -> tuple[list[Level], list[Level]]:
        """Return the best bids and asks as (price, size), in units of ``price_places`` and ``size_places``."""
        bids = [(-key, size) for key, size in zip(self.bids.keys[:most], self.bids.sizes[:most], strict=True)]
        return bids, list(zip(self.asks.keys[:most], self.asks.sizes[:most], strict=True))

    def _reset(self, rules: BookRules, update: DepthUpdate) -> None:
        if update.mark < self.mark or (update.mark == self.mark != NOT_STATED and self.state is BookState.LIVE):
            return  # overtaken by what came after it, or said again
        at, following = update.last, []
        for diff in self.held:
            if diff.mark <= update.mark or diff.last <= at or diff.previous > at:
                continue
            following.append(diff)
            at = diff.last
        self._install(rules, update, following)

    def _join(self, rules: BookRules, update: DepthUpdate) -> None:
        if self.state is BookState.LIVE and not self.held and update.last <= self.last:
            return  # nothing that it could tell was asked for
        following = []
        at = update.last
        for diff in self.held:
            if diff.last <= at:
                continue
            if diff.previous > at:
                return  # too old for the diffs that have come
            following.append(diff)
            at = diff.last
        if at >= self.newest:
            self._install(rules, update, following)

    def _follow(self, rules: BookRules, update: DepthUpdate) -> None:
        if self.state is not BookState.LIVE:
            self._hold(rules, update)
        elif _is_old(update, self.last, self.mark):
            return
        elif update.previous > self.last or update.last <= self.last:
            missing = f"gap: updates {self.last + 1} to {update.previous} have not come"
            anew = f"gap: update {update.last} is new although {self.last} was known: the beginning of its numbering has not come"
            self._throw_away(BookState.STALE, missing if update.previous > self.last else anew)
            self._hold(rules, update)
        else:
            self._apply(update)
            if self._nearly_used_up(rules):
                self._hold(rules, update)
            else:
                self.held = []
            self._settle(rules)

    def _hold(self, rules: BookRules, update: DepthUpdate) -> None:
        if self.held:
            before = self.held[-1]
            if _is_old(update, before.last, before.mark):
                return
            if update.previous > before.last or update.last <= before.last:
                self.held = []
        self.held = [*self.held[-rules.held + 1 :], update]
        self.newest = max(self.newest, update.last)

    def _install(self, rules: BookRules, snapshot: DepthUpdate, following: list[DepthUpdate]) -> None:
        self.price_places, self.size_places = snapshot.price_places, snapshot.size_places
        self.bids = Side.of(snapshot.bids, whole=snapshot.whole_bids)
        self.asks = Side.of(snapshot.asks, whole=snapshot.whole_asks)
        self.last, self.mark = snapshot.last, max(self.mark, snapshot.mark)
        self.newest = snapshot.last
        self.state, self.reason, self.held = BookState.LIVE, "", []
        for diff in following:
            self._apply(diff)
        self._settle(rules)

    def _apply(self, update: DepthUpdate) -> None:
        finer_price = 10 ** max(0, update.price_places - self.price_places)
        finer_size = 10 ** max(0, update.size_places - self.size_places)
        if finer_price > 1 or finer_size > 1:
            self.bids.finer(finer_price, finer_size)
            self.asks.finer(finer_price, finer_size)
            self.price_places = max(self.price_places, update.price_places)
            self.size_places = max(self.size_places, update.size_places)
        price_factor = 10 ** (self.price_places - update.price_places)
        size_factor = 10 ** (self.size_places - update.size_places)
        self.bids.put(update.bids, price_factor, size_factor)
        self.asks.put(update.asks, price_factor, size_factor)
        self.last, self.mark = update.last, max(self.mark, update.mark)
        self.newest = max(self.newest, update.last)

    def _settle(self, rules: BookRules) -> None:
        """Throw the book away where it cannot be right or cannot be used; else cut it to its size."""
        if self.bids.keys and self.asks.keys and -self.bids.keys[0] >= self.asks.keys[0]:
            self._throw_away(BookState.STALE, f"crossed at update {self.last}")
        elif self._below(rules.least):
            self._throw_away(BookState.STALE, f"fewer than {rules.least} levels of a side are known at update {self.last}", self.held)
        else:
            self.bids.trim(rules.keep)
            self.asks.trim(rules.keep)

    def _nearly_used_up(self, rules: BookRules) -> bool:
        return any(side.nearly_used_up(rules.least, rules.renew_below) for side in (self.bids, self.asks))

    def _below(self, least: int) -> bool:
        return self.bids.thin(least) or self.asks.thin(least)

    def _throw_away(self, state: BookState, reason: str, held: list[DepthUpdate] | None = None) -> None:
        if self.state is BookState.LIVE:
            self.resyncs += 1
        self.state, self.reason, self.last = state, reason, NOT_STATED
        self.bids, self.asks, self.held = Side(), Side(), held or []


def _is_old(update: DepthUpdate, last: int, mark: int) -> bool:
    """Return whether a book of an update id and a mark knows a diff; by the mark where there is one, since numbers may begin anew."""
    return update.last <= last if update.mark == NOT_STATED else update.mark <= mark
