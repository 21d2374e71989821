"""How well a symbol can be traded: measured a second at a time, written a minute at a time; pure.

The quote and the book that stood at the end of every 1 s bar are looked at, so that a state counts by how long it lasted and not by
how often it changed: the time-weighted quoted spread and depth of the microstructure literature (Chordia, Roll and Subrahmanyam 2001;
Holden and Jacobsen 2014), sampled once a second. Realised volatility is the root of the sum of squared one-minute log returns (Andersen
and Bollerslev 1998). Seconds are summed into minutes and the last sixty minutes are kept, so a window costs the same whatever it holds.

What counts as good data is what an entry may rest on: a quote of the last five seconds, a book that is known, trade ids without a hole.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from ml.features.context import spread_bps
from processors.features.context import Books
from processors.features.held import TimedT
from processors.features.quotes import Quotes
from processors.features.score import MINUTES_KEPT, Measured, problem_of, scores
from processors.governance.changes import rank
from processors.output import Output
from schemas.common import UniverseRules
from schemas.governance.records import Policy
from schemas.market.records import MarketKline
from schemas.universe.records import SymbolQuality

SECOND = 1_000_000
MINUTE = 60 * SECOND
"""Microseconds."""
DEFAULT_MINUTES = 30
"""Window where no rules say one."""
FRESH_US = 5 * SECOND
"""Age up to which a quote or a book is fresh."""
MINUTES_A_YEAR = 365 * 24 * 60


@dataclass(frozen=True, slots=True)
class Market:
    """Whose symbols are measured, and by whose rules they are scored.

    Attributes
    ----------
    account
        Account whose policy has the rules.
    venue
        Venue whose bars, quotes and books count.
    """

    account: str
    venue: str

    def counts(self, bar: MarketKline) -> bool:
        """Return whether a bar is a second of the venue."""
        return bar.interval == "1s" and bar.venue == self.venue

    def ends_minute(self, bar: MarketKline) -> bool:
        """Return whether a bar is the last second of a minute of the venue."""
        return bar.close_ts % MINUTE == 0 and self.counts(bar)


class Minute(msgspec.Struct, array_like=True):
    """What the seconds of a minute add up to.

    Attributes
    ----------
    end_ts : int
        Its end, microseconds.
    seconds, observed, traded, quoted, followed, booked : int
        Seconds that have passed; those with a bar and a quote before its end; of these those with a trade, with a fresh quote, with a
        book that is followed, and with one that is known and fresh.
    spread_bps, touch_notional, depth_notional : float
        Sums over the seconds that are quoted (the first two) or booked; basis points and quote currency.
    quote_volume : float
        Traded value, quote currency.
    ids, trades : int
        How far the venue's trade ids have come, and how many trades were in the bars.
    log_return : float | None
        From the close of the minute before to that of this one; None where the minute was not whole.
    """

    end_ts: int = 0
    seconds: int = 0
    observed: int = 0
    traded: int = 0
    quoted: int = 0
    followed: int = 0
    booked: int = 0
    spread_bps: float = 0.0
    touch_notional: float = 0.0
    depth_notional: float = 0.0
    quote_volume: float = 0.0
    ids: int = 0
    trades: int = 0
    log_return: float | None = None


class OpenMinute(msgspec.Struct):
    """The minute that is not over; kept by itself because every second writes it.

    Attributes
    ----------
    sums : Minute
        What its seconds add up to.
    closed_to : int
        End of the last bar, microseconds; 0 before the first.
    last_trade_id : int
        Id of the last trade; -1 before the first, or where the venue's ids do not count up.
    minute_close : float
        Price at the end of the minute before, quote currency; 0 before the first.
    followed : bool
        Whether a quote has come: what was before (trades fetched from the past) says nothing of how well the symbol is followed.
    """

    sums: Minute = msgspec.field(default_factory=Minute)
    closed_to: int = 0
    last_trade_id: int = -1
    minute_close: float = 0.0
    followed: bool = False


class Window(msgspec.Struct):
    """The last minutes of a symbol, oldest first; at most ``MINUTES_KEPT``."""

    minutes: list[Minute] = []


class RulesInForce(msgspec.Struct):
    """The universe rules of the account's newest policy.

    Attributes
    ----------
    rank : tuple
        Order of that policy among policies; see ``processors.governance.changes.rank``.
    rules : UniverseRules | None
        Its rules; None where the universe is a person's list, and where they cannot be gone by.
    """

    rank: tuple[int, bool, int] = (0, False, 0)
    rules: UniverseRules | None = None


def on_policy(market: Market, state: RulesInForce, policy: Policy) -> Iterable[Output]:
    """Keep the rules of the account's newest policy."""
    if policy.account == market.account and rank(policy) > state.rank:
        rules = policy.universe_rules
        state.rank, state.rules = rank(policy), None if rules is None or problem_of(rules) else rules
    return ()


def on_bar(
    market: Market, state: OpenMinute, window: Window | None, quotes: Quotes, books: Books, known: RulesInForce | None, bar: MarketKline
) -> Iterable[Output]:
    """Take a second; return the symbol's quality at the end of a minute. ``window`` and ``known`` are given with the last second of one."""
    if bar.close_ts <= state.closed_to:
        return ()
    add(state, quotes, books, bar)
    if window is None or known is None:
        return ()
    close(state, window, bar)
    rules, quote = known.rules, standing(quotes.seconds, bar.close_ts)
    minutes = DEFAULT_MINUTES if rules is None else rules.window_minutes
    measured = measure(window.minutes, bar.close_ts - minutes * MINUTE)
    made = None if rules is None or measured.observed_s < rules.min_observed_s else scores(rules, measured)
    record = SymbolQuality(
        event_id=f"{market.account}:{bar.venue}:{bar.symbol}:quality:{bar.close_ts}", event_ts=bar.close_ts, ingest_ts=bar.ingest_ts,
        account=market.account, venue=bar.venue, symbol=bar.symbol, **msgspec.structs.asdict(measured),
        quote_age_s=None if quote is None else (bar.close_ts - quote.ts) / SECOND,
        policy_version=0 if made is None else known.rank[0],
        **({} if made is None else msgspec.structs.asdict(made)),
    )  # fmt: skip
    return (Output("universe.quality", f"{market.account}:{bar.symbol}", record),)


def standing(held: Sequence[TimedT], end_ts: int) -> TimedT | None:
    """Return what was said last before a time; None where nothing is known of then. Nothing is forgotten: another handler asks as well."""
    return next((said for said in reversed(held) if said.ts < end_ts), None)


def add(state: OpenMinute, quotes: Quotes, books: Books, bar: MarketKline) -> None:
    """Add a second to the open minute; seconds without a bar since the last one count as missing, an hour of them at most."""
    sums = state.sums
    passed = (bar.close_ts - state.closed_to) // SECOND if state.closed_to else 1
    state.closed_to = bar.close_ts
    quote, book = standing(quotes.seconds, bar.close_ts), standing(books.held, bar.close_ts)
    if not state.followed:
        if quote is None:
            return
        state.followed, passed = True, 1
    sums.seconds += min(passed, MINUTES_KEPT * 60)
    sums.quote_volume += bar.quote_volume
    if bar.last_trade_id is not None:
        if state.last_trade_id >= 0:
            sums.ids += bar.last_trade_id - state.last_trade_id
            sums.trades += bar.trades
        state.last_trade_id = bar.last_trade_id
    if quote is None:
        return
    sums.observed += 1
    sums.traded += bar.trades > 0
    if bar.close_ts - quote.ts <= FRESH_US:
        sums.quoted += 1
        sums.spread_bps += spread_bps(quote.bid_price, quote.ask_price)
        sums.touch_notional += min(quote.bid_price * quote.bid_quantity, quote.ask_price * quote.ask_quantity)
    if book is not None:
        sums.followed += 1
        if book.notional is not None and bar.close_ts - book.ts <= FRESH_US:
            sums.booked += 1
            sums.depth_notional += book.notional


def close(state: OpenMinute, window: Window, bar: MarketKline) -> None:
    """Close the open minute at its last second and begin the next one."""
    sums = state.sums
    sums.end_ts = bar.close_ts
    if state.minute_close > 0 and sums.seconds == MINUTE // SECOND:
        sums.log_return = math.log(bar.close / state.minute_close)
    window.minutes.append(sums)
    del window.minutes[:-MINUTES_KEPT]
    state.sums, state.minute_close = Minute(), bar.close


def measure(minutes: Sequence[Minute], since: int) -> Measured:
    """Return what the minutes that end after ``since``, microseconds, say together."""
    inside = [each for each in minutes if each.end_ts > since]
    seconds, observed = sum(each.seconds for each in inside), sum(each.observed for each in inside)
    quoted, booked = sum(each.quoted for each in inside), sum(each.booked for each in inside)
    followed, ids = sum(each.followed for each in inside), sum(each.ids for each in inside)
    returns = [each.log_return for each in inside if each.log_return is not None]
    return Measured(
        window_s=seconds, observed_s=observed,
        quote_volume=sum(each.quote_volume for each in inside) * 60 / max(seconds, 1),
        traded_share=sum(each.traded for each in inside) / max(observed, 1),
        spread_bps=sum(each.spread_bps for each in inside) / quoted if quoted else None,
        touch_notional=sum(each.touch_notional for each in inside) / quoted if quoted else None,
        depth_notional=sum(each.depth_notional for each in inside) / booked if booked else None,
        volatility=math.sqrt(sum(r * r for r in returns) / len(returns) * MINUTES_A_YEAR) if len(returns) > 1 else None,
        missing_share=1 - observed / max(seconds, 1), stale_share=1 - quoted / max(observed, 1) if observed else 0.0,
        book_stale_share=1 - booked / followed if followed else None,
        lost_share=max(0, ids - sum(each.trades for each in inside)) / ids if ids > 0 else 0.0,
    )  # fmt: skip
