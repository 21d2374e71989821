"""Instruments of a recording, which has none of its own.

For the symbols of `rules.json` they are the venue's real rules of August 2024. For another symbol the steps are what the
observed prices and quantities are all multiples of, which is never finer than the venue's own step and, over thousands of
frames, nearly always equal to it; the least quantity is one step, the most is the largest that was seen. What cannot be observed
(least notional, margin) is left out of the frame, not made up.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from math import gcd
from pathlib import Path

import msgspec

from connectors.exchange.venues import Venue

_FILE = Path(__file__).with_name("rules.json")
_QUOTES = ("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USD", "BTC", "ETH", "BNB", "EUR", "TRY", "BRL")
_PLACES = 12
_UNIT = 10**_PLACES


class _Seen(msgspec.Struct):
    """Prices and quantities of a trade (p, q; by REST price, qty) or of the best bid and ask (b, B, a, A)."""

    p: Decimal | None = None
    q: Decimal | None = None
    b: Decimal | None = None
    a: Decimal | None = None
    B: Decimal | None = None
    A: Decimal | None = None
    price: Decimal | None = None
    qty: Decimal | None = None


_SEEN = msgspec.json.Decoder(_Seen)


class Observed:
    """Steps that prices and quantities are multiples of: their greatest common divisors, in units of 1e-12."""

    def __init__(self) -> None:
        self._tick = 0
        self._lot = 0
        self._most = Decimal(0)

    def see(self, payload: str) -> None:
        """Take the prices and quantities of a trade or quote; one without numbers says nothing, whoever processes it will complain."""
        try:
            seen = _SEEN.decode(payload)
        except msgspec.ValidationError:
            return
        for price in (seen.p, seen.b, seen.a, seen.price):
            if price is not None:
                self._tick = gcd(self._tick, int(price * _UNIT))
        for quantity in (seen.q, seen.B, seen.A, seen.qty):
            if quantity is not None:
                self._lot = gcd(self._lot, int(quantity * _UNIT))
                self._most = max(self._most, quantity)

    def merge(self, other: Observed) -> None:
        """Take what another one has seen."""
        self._tick = gcd(self._tick, other._tick)
        self._lot = gcd(self._lot, other._lot)
        self._most = max(self._most, other._most)

    @property
    def most_quantity(self) -> Decimal:
        """Largest quantity of a trade or a quote."""
        return self._most

    @property
    def tick_size(self) -> Decimal | None:
        """Step of prices; None where none was seen."""
        return _plain(self._tick)

    @property
    def lot_size(self) -> Decimal | None:
        """Step of quantities; None where none was seen."""
        return _plain(self._lot)


def instrument_of(venue: Venue, symbol: str, observed: Observed) -> str | None:
    """Return the ``exchangeInfo`` part of a symbol, as text; None where nothing is known of it."""
    known = _known().get(f"{venue.name}:{symbol}")
    if known is not None:
        return str(memoryview(known), "utf-8")
    tick, lot = observed.tick_size, observed.lot_size
    if tick is None or lot is None:
        return None
    pair, _, contract = symbol.partition("_")
    quote = next((name for name in _QUOTES if pair.endswith(name) and pair != name), "")
    info: dict[str, object] = {
        "symbol": symbol,
        "pair": pair,
        "status": "TRADING",
        "baseAsset": pair.removesuffix(quote),
        "quoteAsset": quote,
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": f"{tick:f}"},
            {"filterType": "LOT_SIZE", "stepSize": f"{lot:f}", "minQty": f"{lot:f}", "maxQty": f"{observed.most_quantity:f}"},
        ],
    }
    if venue.futures:
        info["contractType"] = "PERPETUAL" if contract in ("", "PERP") else "CURRENT_QUARTER"
    return msgspec.json.encode(info).decode()


@cache
def _known() -> dict[str, msgspec.Raw]:
    return msgspec.json.decode(_FILE.read_bytes(), type=dict[str, msgspec.Raw])


def _plain(units: int) -> Decimal | None:
    return None if units == 0 else Decimal(f"{(Decimal(units) / _UNIT).normalize():f}")
