"""One symbol at one venue: what has come of it, and whether that can be relied on."""

from __future__ import annotations

from typing import NamedTuple

from connectors.exchange.health.pace import Pace
from connectors.exchange.settings import HealthSettings
from schemas.common import HealthState


class Verdict(NamedTuple):
    """A state, and in words why."""

    state: HealthState
    detail: str


class Lifeline:
    """A connection, as far as it shows that the venue is there.

    Attributes
    ----------
    open
        Whether it stands.
    heard
        When the venue last gave a sign of life on it: a frame or the answer to a ping.
    """

    __slots__ = ("heard", "open")

    def __init__(self, now: float) -> None:
        self.open = True
        self.heard = now


class SymbolFeed:
    """What is known of a symbol's frames. Times are seconds of a clock that does not go back.

    Attributes
    ----------
    paces
        Pace by channel.
    gaps
        Times that trades, or changes of its book, were missing.
    resyncs
        Times that its book was thrown away.
    """

    def __init__(self) -> None:
        self.paces: dict[str, Pace] = {}
        self.gaps = 0
        self.resyncs = 0
        self._line: Lifeline | None = None
        self._current = False
        self._any = False
        self._last_trade: int | None = None
        self._bookless_since: float | None = None
        self._trouble = ""
        self._settled_at = 0.0

    def follow(self, line: Lifeline, now: float) -> None:
        """Begin on a connection: nothing of what went before it joins."""
        self._line = line
        self._current = self._any = False
        self._last_trade = self._bookless_since = None
        for pace in self.paces.values():
            pace.resume(now)

    def lost(self, line: Lifeline, detail: str, now: float, settings: HealthSettings) -> None:
        """Take that a connection was lost, or could not be made; it counts where the symbol is on it, or on none so far."""
        if self._line is None or self._line is line:
            self._line = line
            self.trouble(detail, now, settings)

    def caught_up(self, newest: int | None) -> None:
        """Take that the trades before those of the stream have been sent, up to an id, where they count up."""
        self._current = True
        if newest is not None and self._last_trade is not None:
            self._last_trade = max(newest, self._last_trade)

    def saw(self, channel: str, now: float, settings: HealthSettings) -> None:
        """Take a frame of the stream."""
        pace = self.paces.get(channel)
        if pace is None:
            pace = self.paces[channel] = Pace(now)
        pace.saw(now, settings.stale_s)
        self._any = True

    def traded(self, newest: int) -> int | None:
        """Take the id of the newest trade of the stream, of trades that count up; return the one after which some are missing."""
        before = self._last_trade
        self._last_trade = newest if before is None else max(newest, before)
        return before if before is not None and newest > before + 1 else None

    def book(self, live: bool, now: float) -> None:
        """Take whether the order book is known after a change of it."""
        if live:
            self._bookless_since = None
        elif self._bookless_since is None:
            self._bookless_since = now

    def trouble(self, detail: str, now: float, settings: HealthSettings) -> None:
        """Take that something was wrong; it counts until nothing more was for a while."""
        self._trouble, self._settled_at = detail, now + settings.settle_s

    def age_s(self, now: float) -> float | None:
        """Return the time since its newest frame, seconds; None where none has come."""
        return min((now - pace.last for pace in self.paces.values()), default=None)

    def verdict(self, now: float, settings: HealthSettings, late_s: float | None) -> Verdict:
        """Return whether its frames can be relied on.

        1. Without a connection it is DOWN; before the first one, until what was missed is fetched and until a frame has come, STARTING.
        2. It is DEGRADED while the connection gives no sign of life, a channel is silent for longer than its pace allows, its book is
           not known for long, or the venue's frames come ``late_s`` late.
        3. It stays DEGRADED for a while after that, and after a gap.

        Parameters
        ----------
        now
            The time.
        settings
            Limits.
        late_s
            By how much the venue's frames are late, where that is too much, seconds.
        """
        if self._line is None:
            return Verdict(HealthState.STARTING, "no connection has been made yet")
        if not self._line.open:
            return Verdict(HealthState.DOWN, "no connection")
        if not self._current:
            return Verdict(HealthState.STARTING, "trades that were missed are being fetched")
        if not self._any:
            return Verdict(HealthState.STARTING, "no frame has come on this connection")
        if (wrong := self._wrong(now, self._line, settings, late_s)) is not None:
            self.trouble(wrong, now, settings)
        if now < self._settled_at:
            return Verdict(HealthState.DEGRADED, self._trouble)
        return Verdict(HealthState.HEALTHY, "frames come")

    def _wrong(self, now: float, line: Lifeline, settings: HealthSettings, late_s: float | None) -> str | None:
        if now - line.heard > settings.lifeless_s:
            return f"the connection has given no sign of life for {now - line.heard:.1f} s"
        for channel, pace in self.paces.items():
            silent = pace.silent_s(now, settings.stale_s)
            if silent is not None:
                return f"no {channel} for {silent:.1f} s"
        if self._bookless_since is not None and now - self._bookless_since > settings.stale_s:
            return f"its order book is not known for {now - self._bookless_since:.1f} s"
        return None if late_s is None else f"frames come {late_s:.1f} s late"
