"""The checks that an order passes before it reaches the book: its id, and the filters of its instrument."""

from __future__ import annotations

import re
from decimal import Decimal

from connectors.exchange.simulated.account.orders import OrderRequest, OrderType
from connectors.exchange.simulated.account.refusal import refusal
from connectors.exchange.simulated.market.instruments import Instrument, Product
from quantum.errors import VenueError

_CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
_SPOT_FILTERS = {
    -4003: "LOT_SIZE",
    -4023: "LOT_SIZE",
    -4004: "LOT_SIZE",
    -4005: "LOT_SIZE",
    -4001: "PRICE_FILTER",
    -4002: "PRICE_FILTER",
    -4014: "PRICE_FILTER",
    -4164: "NOTIONAL",
}
"""Spot names the filter where the futures have a code for each."""


def check_client_order_id(value: str) -> None:
    """Refuse an id that the venue would not take."""
    if not _CLIENT_ID.fullmatch(value):
        raise refusal(-4015)


def check_filters(rules: Instrument, request: OrderRequest, reference: Decimal) -> None:
    """Check precision and size against the instrument's filters, and say what is wrong in the product's own codes.

    Parameters
    ----------
    rules
        The instrument.
    request
        The order.
    reference
        Price that a market order's notional is computed with, quote asset.
    """
    try:
        _check(rules, request, reference)
    except VenueError as error:
        name = _SPOT_FILTERS.get(error.code)
        if rules.product is Product.SPOT and name is not None:
            raise refusal(-1013, name) from error
        raise


def _check(rules: Instrument, request: OrderRequest, reference: Decimal) -> None:
    quantity, price = request.quantity, request.price
    market = not request.type.limited
    if not request.close_position:  # whose quantity is that of the position when it triggers
        if quantity <= 0:
            raise refusal(-4003)
        if _decimals(quantity) > rules.quantity_decimals:
            raise refusal(-1111)
        if quantity % rules.step_size:
            raise refusal(-4023)
        if quantity < rules.min_quantity:
            raise refusal(-4004)
        if quantity > (rules.market_max_quantity if market else rules.max_quantity):
            raise refusal(-4005)
    if request.trigger or (request.type.conditional and request.type is not OrderType.TRAILING_STOP_MARKET):
        _check_price(rules, request.trigger)
        reference = request.trigger
    if not market:
        _check_price(rules, price)
        reference = price
    if not (request.reduce_only or request.close_position) and quantity * reference < rules.min_notional:
        raise refusal(-4164, f"{rules.min_notional:.1f}")


def _check_price(rules: Instrument, price: Decimal) -> None:
    if price <= 0:
        raise refusal(-4001)
    if price > rules.max_price:
        raise refusal(-4002)
    if _decimals(price) > rules.price_decimals:
        raise refusal(-1111)
    if price % rules.tick_size:
        raise refusal(-4014)


def _decimals(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else 0
