"""A symbol of ``exchangeInfo`` as the instrument's rules."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from connectors.exchange.market_data import Instrument
from connectors.exchange.payload import corrupt, decoded
from schemas.common import InstrumentRules
from schemas.exchange.records import ExchangeFrame

ZERO = Decimal(0)
SPOT_LEVERAGE = 1.0
FUTURES_REQUIRED_MARGIN_PERCENT = Decimal(5)
"""Initial margin of a futures symbol that does not name its own: 20 times leverage, the venue's own default."""
FUTURES_MAINTENANCE_PERCENT = Decimal("2.5")
"""Maintenance margin of a futures symbol that does not name its own."""


class Filter(msgspec.Struct):
    """One filter; the venue's names of all the filters that are read, each has some of them."""

    kind: str = msgspec.field(name="filterType")
    tick_size: Decimal = msgspec.field(name="tickSize", default=ZERO)
    step_size: Decimal = msgspec.field(name="stepSize", default=ZERO)
    min_quantity: Decimal = msgspec.field(name="minQty", default=ZERO)
    max_quantity: Decimal = msgspec.field(name="maxQty", default=ZERO)
    min_notional: Decimal = msgspec.field(name="minNotional", default=ZERO)
    notional: Decimal = ZERO


class Bracket(msgspec.Struct):
    """First row of the venue's leverage brackets, where the connector has put them into the symbol."""

    leverage: float = msgspec.field(name="initialLeverage")
    maintenance: float = msgspec.field(name="maintMarginRatio")


class Symbol(msgspec.Struct):
    """One symbol of ``exchangeInfo``, spot or futures."""

    base: str = msgspec.field(name="baseAsset")
    quote: str = msgspec.field(name="quoteAsset")
    filters: list[Filter]
    contract: str | None = msgspec.field(name="contractType", default=None)
    maintenance_percent: Decimal = msgspec.field(name="maintMarginPercent", default=FUTURES_MAINTENANCE_PERCENT)
    required_percent: Decimal = msgspec.field(name="requiredMarginPercent", default=FUTURES_REQUIRED_MARGIN_PERCENT)
    brackets: list[Bracket] = []


_SYMBOL = msgspec.json.Decoder(Symbol, strict=False)


def instrument_of(frame: ExchangeFrame) -> Instrument:
    """Return the instrument of a frame; raises CorruptRecordError where its price or lot filter is missing.

    A market order obeys LOT_SIZE and MARKET_LOT_SIZE, so the coarser step, the larger minimum and the smaller maximum hold. A
    step or maximum of 0 in MARKET_LOT_SIZE means that the venue does not limit it. A venue without a notional filter
    (coin-margined futures) has a least notional of 0.
    """
    symbol: Symbol = decoded(_SYMBOL, frame)
    filters = {each.kind: each for each in symbol.filters}
    price, lot = filters.get("PRICE_FILTER"), filters.get("LOT_SIZE")
    if price is None or price.tick_size <= 0 or lot is None or lot.step_size <= 0 or lot.max_quantity <= 0:
        raise corrupt(frame, f"no usable PRICE_FILTER and LOT_SIZE among {', '.join(sorted(filters))}")
    market_lot = filters.get("MARKET_LOT_SIZE", lot)
    leverage, maintenance = _margin(symbol)
    return Instrument(
        base_asset=symbol.base,
        quote_asset=symbol.quote,
        rules=InstrumentRules(
            tick_size=price.tick_size.normalize(),
            lot_size=max(lot.step_size, market_lot.step_size).normalize(),
            min_quantity=max(lot.min_quantity, market_lot.min_quantity).normalize(),
            max_quantity=min(lot.max_quantity, market_lot.max_quantity or lot.max_quantity),
            min_notional=_least_notional(filters),
            max_leverage=leverage,
            maintenance_rate=maintenance,
        ),
    )


def _least_notional(filters: dict[str, Any]) -> Decimal:
    found = [max(each.min_notional, each.notional) for kind in ("NOTIONAL", "MIN_NOTIONAL") if (each := filters.get(kind)) is not None]
    return max(found, default=ZERO)


def _margin(symbol: Symbol) -> tuple[float, float]:
    """Return most leverage and maintenance rate: of the first bracket, else of the symbol's own margins; spot has neither."""
    if symbol.contract is None:
        return SPOT_LEVERAGE, 0.0
    if symbol.brackets:
        first = max(symbol.brackets, key=lambda bracket: bracket.leverage)
        return first.leverage, first.maintenance
    required = symbol.required_percent if symbol.required_percent > 0 else FUTURES_REQUIRED_MARGIN_PERCENT
    return float(100 / required), float(symbol.maintenance_percent / 100)
