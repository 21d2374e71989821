"""Request weights and order counts, per minute and per ten seconds, and the 429 and 418 that follow when they are used up."""

from __future__ import annotations

from dataclasses import dataclass, field

from connectors.exchange.simulated.account.refusal import refusal
from connectors.exchange.simulated.market.instruments import Product
from quantum.errors import VenueError

WEIGHT_PER_MINUTE = {Product.USDM: 2400, Product.SPOT: 6000, Product.COINM: 2400}
ORDERS_PER_MINUTE = 1200
TENS_OF_SECONDS_SHARE = 4
"""Ten seconds allow this part of a minute's orders."""
REFUSALS_BEFORE_BAN = 20
"""Requests refused with 429 within one minute after which the caller is banned."""
BAN_SECONDS = 120
_MINUTE_US = 60_000_000


@dataclass(slots=True)
class Window:
    """A counter that starts anew with each aligned interval."""

    every_us: int
    start_us: int = 0
    used: int = 0

    def add(self, amount: int, now_us: int) -> int:
        """Count, and return what the interval has used."""
        start = now_us // self.every_us * self.every_us
        if start != self.start_us:
            self.start_us, self.used = start, 0
        self.used += amount
        return self.used


@dataclass(slots=True)
class Limits:
    """The limits of one listener; on loopback there is one caller."""

    product: Product
    orders_per_minute: int = ORDERS_PER_MINUTE
    weight: Window = field(default_factory=lambda: Window(_MINUTE_US))
    refused: Window = field(default_factory=lambda: Window(_MINUTE_US))
    orders_minute: Window = field(default_factory=lambda: Window(_MINUTE_US))
    orders_ten_seconds: Window = field(default_factory=lambda: Window(10_000_000))
    banned_until_us: int = 0

    @property
    def orders_per_ten_seconds(self) -> int:
        """Orders that ten seconds allow."""
        return self.orders_per_minute // TENS_OF_SECONDS_SHARE

    def spend(self, weight: int, now_us: int) -> tuple[VenueError, int] | None:
        """Count a request; return (error, seconds to wait) when it must be refused."""
        if now_us < self.banned_until_us:
            return self._banned(now_us)
        if self.weight.add(weight, now_us) <= WEIGHT_PER_MINUTE[self.product]:
            return None
        if self.refused.add(1, now_us) > REFUSALS_BEFORE_BAN:
            self.banned_until_us = now_us + BAN_SECONDS * 1_000_000
            return self._banned(now_us)
        message = (
            f"Too many requests; current limit of IP is {WEIGHT_PER_MINUTE[self.product]} request weight per 1 MINUTE. "
            "Please use WebSocket Streams for live updates to avoid polling the API."
        )
        return refusal(-1003, message=message, status=429), self._seconds(self.weight.start_us + _MINUTE_US - now_us)

    def order(self, now_us: int) -> tuple[VenueError, int] | None:
        """Count an order; return (error, seconds to wait) when it must be refused."""
        minute = self.orders_minute.add(1, now_us)
        ten = self.orders_ten_seconds.add(1, now_us)
        if minute <= self.orders_per_minute and ten <= self.orders_per_ten_seconds:
            return None
        message = f"Too many new orders; current limit is {self.orders_per_ten_seconds} orders per TEN_SECONDS."
        return refusal(-1015, message=message, status=429), self._seconds(self.orders_ten_seconds.start_us + 10_000_000 - now_us)

    def headers(self, now_us: int) -> dict[str, str]:
        """Return the headers that tell what is used."""
        used = str(self.weight.add(0, now_us))
        if self.product is Product.SPOT:
            return {"x-mbx-used-weight": used, "x-mbx-used-weight-1m": used}
        return {"X-MBX-USED-WEIGHT-1M": used}

    def order_headers(self, now_us: int) -> dict[str, str]:
        """Return the headers that tell how many orders were sent."""
        return {
            "X-MBX-ORDER-COUNT-10S": str(self.orders_ten_seconds.add(0, now_us)),
            "X-MBX-ORDER-COUNT-1M": str(self.orders_minute.add(0, now_us)),
        }

    def _banned(self, now_us: int) -> tuple[VenueError, int]:
        until = self.banned_until_us // 1000
        message = f"Way too many requests; IP banned until {until}. Please use WebSocket Streams for live updates to avoid bans."
        return refusal(-1003, message=message, status=418), self._seconds(self.banned_until_us - now_us)

    @staticmethod
    def _seconds(us: int) -> int:
        return max(1, -(-us // 1_000_000))
