"""What the parameters of order requests say, for every product."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import TypeVar

from connectors.exchange.simulated.account.orders import OrderType, Side, TimeInForce, WorkingType
from connectors.exchange.simulated.account.refusal import refusal
from connectors.exchange.simulated.market.instruments import Instrument
from connectors.exchange.simulated.rest.endpoint import Params
from connectors.exchange.simulated.venue.venue import SimulatedVenue

ChoiceT = TypeVar("ChoiceT", Side, OrderType, TimeInForce, WorkingType)
RowT = TypeVar("RowT")


def listed(venue: SimulatedVenue, params: Params) -> Instrument:
    """Return the instrument that `symbol` names.

    Raises
    ------
    VenueError
        It is not listed (-1121).
    """
    rules = venue.instruments.get(params.text("symbol"))
    if rules is None:
        raise refusal(-1121)
    return rules


def identified(venue: SimulatedVenue, params: Params) -> tuple[Instrument, int | None, str | None]:
    """Return the instrument and either id of the order that a request is about; raises VenueError where it names none."""
    rules, order_id, client_id = listed(venue, params), params.integer("orderId"), params.optional("origClientOrderId")
    if order_id is None and client_id is None:
        raise refusal(-1102, "origClientOrderId")
    return rules, order_id, client_id


def within(rows: Iterable[RowT], start_ms: int | None, end_ms: int | None, ts_us: Callable[[RowT], int]) -> list[RowT]:
    """Return the rows of a time range, both ends inclusive and optional."""
    return [r for r in rows if (start_ms is None or ts_us(r) // 1000 >= start_ms) and (end_ms is None or ts_us(r) // 1000 <= end_ms)]


def choice(kind: type[ChoiceT], value: str, code: int) -> ChoiceT:
    """Return the member of an enumeration that a parameter names; raises VenueError with `code` where there is none."""
    try:
        return kind(value)
    except ValueError:
        raise refusal(code) from None


def needed(params: Params, name: str) -> Decimal:
    """Return a mandatory decimal parameter."""
    value = params.decimal(name)
    if value is None:
        raise refusal(-1102, name)
    return value


def without(params: Params, *names: str) -> None:
    """Refuse parameters that do not belong to the type of the order."""
    for name in names:
        if params.optional(name):
            raise refusal(-1106, name)
