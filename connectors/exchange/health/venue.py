"""One venue: the measures of its connections and symbols, and what is said of them on ``health.events``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from connectors.exchange.dialects import counts_trades
from connectors.exchange.health import metrics
from connectors.exchange.health.round_trips import RoundTrips
from connectors.exchange.health.symbol import Lifeline, SymbolFeed, Verdict
from connectors.exchange.health.window import Window, quantiles
from connectors.exchange.settings import HealthSettings
from connectors.exchange.venues import Channel
from quantum.revision import revision
from schemas.common import FrameKind, HealthState
from schemas.exchange.records import ExchangeFrame
from schemas.health.records import HealthEvent

OnHealth = Callable[[HealthEvent], None]
COMPONENT = "feed"
DELAYS_SPACING_S = 0.01
DELAYS_KEPT_S = 60.0
LEAST_DELAYS = 20
"""Delays without which frames are not called late."""


class VenueHealth:
    """How well a venue is followed. Times called ``now`` are seconds of a clock that does not go back.

    Parameters
    ----------
    venue
        Name of the venue.
    symbols
        Symbols that are to be followed, before the first connection; others may join.
    settings
        Limits.
    origin
        What tells this feed's words from those of others: part of every event's id.
    round_trips
        Round trips by REST; None where nothing is asked, as in a replay.

    Attributes
    ----------
    delays
        Seconds from the venue's time of an event to its receipt, by channel.
    pings
        Round trips of the websocket, seconds.
    offset_us
        Venue's clock minus ours, microseconds; None where it was not read.
    reconnects
        Connections that ended and were made again.
    """

    def __init__(
        self, venue: str, symbols: Iterable[str], settings: HealthSettings, origin: str, round_trips: RoundTrips | None = None
    ) -> None:
        self.delays: dict[str, Window] = {}
        self.pings = Window()
        self.offset_us: int | None = None
        self.reconnects = 0
        self._observers: dict[str, Callable[[float], None]] = {}
        self._venue = venue
        self._settings = settings
        self._origin = origin
        self._round_trips = round_trips
        self._counts_trades = counts_trades(venue)
        self._symbols = {symbol: SymbolFeed() for symbol in symbols}
        self._said: dict[str, HealthState] = {}  # by symbol; that of the venue under no name
        self._said_at = float("-inf")
        self._events = 0

    # What the connections tell.

    def opened(self, symbols: Iterable[str], now: float) -> Lifeline:
        """Take that a connection has been made that follows some symbols; it tells the line of its signs of life."""
        line = Lifeline(now)
        for symbol in symbols:
            self._symbols.setdefault(symbol, SymbolFeed()).follow(line, now)
        return line

    def lost(self, line: Lifeline | None, cause: str, now: float) -> None:
        """Take that a connection has ended, or, without a line, could not be made, and in a word why; it will be made again."""
        line = Lifeline(now) if line is None else line
        line.open = False
        for feed in self._symbols.values():
            feed.lost(line, f"the connection was lost: {cause}", now, self._settings)
        self.reconnects += 1
        metrics.RECONNECTS.labels(self._venue, cause).inc()

    def caught_up(self, symbol: str, now: float, known: int | None = None, trades: Sequence[int] = ()) -> None:
        """Take that what the venue gave of the trades after a known one was sent; they are named by their marks."""
        feed = self._symbols[symbol]
        if not (trades and self._counts_trades):
            feed.caught_up(None)
            return
        feed.caught_up(trades[-1])
        if known is not None and trades[0] > known + 1:
            self._gap(symbol, feed, "trade", "trades could not be fetched", now)

    def received(self, frame: ExchangeFrame, now: float, offset_us: int, newest_trade: int | None) -> int | None:
        """Take a frame when it is received; only the stream's count. Return the id of the trade after which some are missing, if any are.

        Parameters
        ----------
        frame
            The frame.
        now
            The time.
        offset_us
            Venue's clock minus ours, microseconds.
        newest_trade
            Mark of the symbol's newest trade, where the frame is a trade.
        """
        feed = self._symbols.get(frame.symbol)
        if feed is None or frame.kind is not FrameKind.STREAM:
            return None  # not asked for, or fetched: that says nothing of the stream
        feed.saw(frame.channel, now, self._settings)
        delay_us = frame.ingest_ts + offset_us - frame.event_ts
        if delay_us:  # it is 0 where the venue does not say when it happened
            if frame.channel not in self.delays:
                self.delays[frame.channel] = Window(keep_s=DELAYS_KEPT_S, spacing_s=DELAYS_SPACING_S)
                self._observers[frame.channel] = metrics.DELAY.labels(self._venue, frame.channel).observe
            self.delays[frame.channel].add(now, delay_us / 1e6)
            self._observers[frame.channel](max(0.0, delay_us / 1e6))
        if frame.channel != Channel.TRADE or not self._counts_trades or newest_trade is None:
            return None
        before = feed.traded(newest_trade)
        if before is not None:
            self._gap(frame.symbol, feed, "trade", "trades are missing", now)
        return before

    def book(self, symbol: str, lost: str, *, live: bool, now: float) -> None:
        """Take whether a book is known after a frame of it, and why it was thrown away where it was just then."""
        feed = self._symbols[symbol]
        feed.book(live, now)
        if lost:
            feed.resyncs += 1
            metrics.RESYNCS.labels(self._venue, symbol).inc()
            if lost.startswith("gap"):
                self._gap(symbol, feed, "book", f"its order book was thrown away, {lost}", now)
            else:
                feed.trouble(f"its order book was thrown away, {lost}", now, self._settings)

    def pinged(self, seconds: float, now: float) -> None:
        """Take the round trip of a ping."""
        self.pings.add(now, seconds)
        metrics.PING.labels(self._venue).observe(seconds)

    def _gap(self, symbol: str, feed: SymbolFeed, of: str, detail: str, now: float) -> None:
        feed.gaps += 1
        metrics.GAPS.labels(self._venue, symbol, of).inc()
        feed.trouble(detail, now, self._settings)

    # What is said.

    def look(self, now: float, now_us: int, received_us: int) -> list[HealthEvent]:
        """Return what is to be said now: of each symbol whose state has changed, and of the venue where one has or it is time again.

        Parameters
        ----------
        now
            The time.
        now_us
            Event time: the venue's, microseconds since the epoch.
        received_us
            The same by our clock.
        """
        late = self._late_s(now)
        verdicts = {symbol: feed.verdict(now, self._settings, late) for symbol, feed in self._symbols.items()}
        self._measure(verdicts, now)
        changed = [symbol for symbol, verdict in verdicts.items() if self._said.get(symbol) is not verdict.state]
        whole = self._whole(verdicts)
        if not (changed or self._said.get("") is not whole.state or now - self._said_at >= self._settings.every_s):
            return []
        self._said = {symbol: verdict.state for symbol, verdict in verdicts.items()} | {"": whole.state}
        self._said_at = now
        times = (now_us, received_us)
        return [*(self._of_symbol(symbol, verdicts[symbol], now, times) for symbol in changed), self._of_venue(whole, verdicts, now, times)]

    def _late_s(self, now: float) -> float | None:
        """Return by how much frames are late, where that is too much, seconds."""
        values = [value for window in self.delays.values() for value in window.values(now)]
        found = quantiles(values)
        return found.p95 if found is not None and len(values) >= LEAST_DELAYS and found.p95 > self._settings.late_s else None

    @staticmethod
    def _whole(verdicts: Mapping[str, Verdict]) -> Verdict:
        states = {verdict.state for verdict in verdicts.values()}
        bad = [f"{symbol}: {verdict.detail}" for symbol, verdict in verdicts.items() if verdict.state is not HealthState.HEALTHY]
        detail = f"{len(verdicts) - len(bad)} of {len(verdicts)} symbols are healthy" + "".join(f"; {each}" for each in bad[:3])
        if len(states) == 1:
            return Verdict(states.pop(), detail)
        broken = HealthState.DEGRADED in states or HealthState.DOWN in states
        return Verdict(HealthState.DEGRADED if broken else HealthState.STARTING, detail)

    def _measure(self, verdicts: Mapping[str, Verdict], now: float) -> None:
        for symbol, feed in self._symbols.items():
            metrics.HEALTHY.labels(self._venue, symbol).set(verdicts[symbol].state is HealthState.HEALTHY)
            for channel, pace in feed.paces.items():
                metrics.AGE.labels(self._venue, symbol, channel).set(now - pace.last)
        if self.offset_us is not None:
            metrics.CLOCK_OFFSET.labels(self._venue).set(self.offset_us / 1e6)

    def _of_symbol(self, symbol: str, verdict: Verdict, now: float, times: tuple[int, int]) -> HealthEvent:
        feed = self._symbols[symbol]
        return self._event(
            verdict,
            times,
            symbol=symbol,
            feed_age_ms=_ms(feed.age_s(now)),
            gaps=feed.gaps,
            resyncs=feed.resyncs,
            reconnects=self.reconnects,
        )

    def _of_venue(self, whole: Verdict, verdicts: Mapping[str, Verdict], now: float, times: tuple[int, int]) -> HealthEvent:
        feeds = self._symbols.values()
        ages = [age for feed in feeds if (age := feed.age_s(now)) is not None]
        trips = [] if self._round_trips is None else self._round_trips.values()
        delays = [value for window in self.delays.values() for value in window.values(now)]
        return self._event(
            whole, times,
            healthy_symbols=[symbol for symbol, verdict in verdicts.items() if verdict.state is HealthState.HEALTHY],
            unhealthy_symbols=[symbol for symbol, verdict in verdicts.items() if verdict.state is not HealthState.HEALTHY],
            feed_age_ms=_ms(min(ages, default=None)), gaps=sum(feed.gaps for feed in feeds), resyncs=sum(feed.resyncs for feed in feeds),
            reconnects=self.reconnects, clock_offset_ms=None if self.offset_us is None else self.offset_us / 1e3,
            **_figures("round_trip", trips), **_figures("ping", self.pings.values(now)), **_figures("delay", delays),
        )  # fmt: skip

    def _event(self, verdict: Verdict, times: tuple[int, int], **figures: Any) -> HealthEvent:
        self._events += 1
        event = HealthEvent(
            event_id=f"health:{self._venue}:{self._origin}:{self._events}", event_ts=times[0], ingest_ts=times[1], component=COMPONENT,
            worker=f"{COMPONENT}-{self._venue}", state=verdict.state, detail=verdict.detail, restarts=0, revision=revision(),
            venue=self._venue,
        )  # fmt: skip
        return msgspec.structs.replace(event, **figures)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 3)


def _figures(name: str, seconds: Iterable[float]) -> dict[str, float | None]:
    found = quantiles(seconds)
    return {} if found is None else {f"{name}_{quantile}_ms": _ms(value) for quantile, value in found._asdict().items()}
