"""What a venue says about orders, in no venue's dialect."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from schemas.common import Liquidity, OrderStatus, TransferKind

ENDED = {OrderStatus.CANCELLED, OrderStatus.EXPIRED, OrderStatus.REJECTED}
"""States after which nothing more is filled; FILLED is reached by fills alone."""


class OrderSeen(Struct, frozen=True, kw_only=True):
    """State of an order at the venue.

    Attributes
    ----------
    client_order_id, venue_order_id
        Its ids.
    status
        State at ``event_ts``.
    executed
        Quantity filled so far, base asset.
    event_ts
        Venue's time of the state, microseconds.
    """

    client_order_id: str
    venue_order_id: str
    status: OrderStatus
    executed: Decimal
    event_ts: int


class FillSeen(Struct, frozen=True, kw_only=True):
    """One fill of an order.

    Attributes
    ----------
    client_order_id, venue_order_id
        Ids of the order; the former is empty where the venue does not say it.
    trade_id
        The venue's id of the fill; unique within the symbol.
    quantity, price
        Base asset and quote currency.
    commission, commission_asset
        What it cost.
    liquidity
        Maker or taker.
    event_ts
        Venue's time of the fill, microseconds.
    realised
        Profit before fees that it realised, as the venue booked it, quote currency; None where the venue does not say.
    """

    client_order_id: str
    venue_order_id: str
    trade_id: str
    quantity: Decimal
    price: Decimal
    commission: Decimal
    commission_asset: str
    liquidity: Liquidity
    event_ts: int
    realised: Decimal | None = None


class Refused(Struct, frozen=True, kw_only=True):
    """The venue or the gateway has refused an order for good.

    Attributes
    ----------
    code, message
        Why.
    event_ts
        When, by the venue's clock, microseconds.
    """

    code: str
    message: str
    event_ts: int


class OpenSeen(Struct, frozen=True):
    """An order that is open at the venue, with its ids there."""

    symbol: str
    client_order_id: str
    venue_order_id: str


class BalanceSeen(Struct, frozen=True, kw_only=True):
    """Balance of one asset: wallet without unrealised profit, and what is free."""

    wallet: Decimal
    available: Decimal


class TransferSeen(Struct, frozen=True, kw_only=True):
    """Money that moved into or out of the wallet other than by a fill.

    Attributes
    ----------
    transfer_id, venue_kind
        The venue's id of it, unique within its name of the kind.
    kind
        What moved it.
    symbol
        Symbol of the position that it belongs to; empty where it belongs to the whole account.
    asset, amount
        What the wallet received; negative where it paid.
    event_ts
        Venue's time of it, microseconds.
    """

    transfer_id: str
    venue_kind: str
    kind: TransferKind
    symbol: str
    asset: str
    amount: Decimal
    event_ts: int


class PositionSeen(Struct, frozen=True, kw_only=True):
    """A position at the venue.

    Attributes
    ----------
    quantity
        Base asset; negative is short.
    entry_price, mark_price, liquidation_price
        Quote currency; None where it cannot be liquidated.
    leverage
        Leverage of the symbol.
    isolated
        Whether a margin of its own backs it.
    """

    symbol: str
    quantity: Decimal
    entry_price: Decimal
    mark_price: Decimal
    liquidation_price: Decimal | None
    leverage: int
    isolated: bool
