"""How the venue says no: its error codes and messages, with the HTTP status that goes with each."""

from __future__ import annotations

from typing import Any

from quantum.errors import VenueError


class PartlyDoneError(VenueError):
    """A request of several parts of which some failed; `data` says what became of each."""

    def __init__(self, message: str, *, code: int, status: int, data: Any) -> None:
        super().__init__(message, code=code, status=status)
        self.data = data


_MESSAGES: dict[int, tuple[int, str]] = {
    -1003: (429, "Too many requests; current limit is exceeded."),
    -1007: (408, "Timeout waiting for response from backend server. Send status unknown; execution status unknown."),
    -1013: (400, "Filter failure: {}"),
    -1021: (400, "Timestamp for this request is outside of the recvWindow."),
    -1022: (400, "Signature for this request is not valid."),
    -1102: (400, "Mandatory parameter '{}' was not sent, was empty/null, or malformed."),
    -1106: (400, "Parameter '{}' sent when not required."),
    -1111: (400, "Precision is over the maximum defined for this asset."),
    -1115: (400, "Invalid timeInForce."),
    -1116: (400, "Invalid orderType."),
    -1117: (400, "Invalid side."),
    -1120: (400, "Invalid interval."),
    -1121: (400, "Invalid symbol."),
    -1125: (400, "This listenKey does not exist."),
    -1127: (400, "More than {} hours between startTime and endTime."),
    -1128: (400, "Combination of optional parameters invalid."),
    -1130: (400, "Data sent for parameter '{}' is not valid."),
    -2007: (400, "Invalid callBack rate."),
    -2010: (400, "Account has insufficient balance for requested action."),
    -2011: (400, "Unknown order sent."),
    -2013: (400, "Order does not exist."),
    -2014: (401, "API-key format invalid."),
    -2015: (401, "Invalid API-key, IP, or permissions for action."),
    -2019: (400, "Margin is insufficient."),
    -2021: (400, "Order would immediately trigger."),
    -2022: (400, "ReduceOnly Order is rejected."),
    -2027: (400, "Exceeded the maximum allowable position at current leverage."),
    -4003: (400, "Quantity less than or equal to zero."),
    -4004: (400, "Quantity less than min quantity."),
    -4005: (400, "Quantity greater than max quantity."),
    -4001: (400, "Price less than 0."),
    -4002: (400, "Price greater than max price."),
    -4014: (400, "Price not increased by tick size."),
    -4015: (400, "Client order id is not valid."),
    -4021: (400, "Depth limit is not valid."),
    -4023: (400, "Qty not increased by step size."),
    -4028: (400, "Leverage {} is not valid."),
    -4045: (400, "Reach max stop order limit."),
    -4046: (400, "No need to change margin type."),
    -4047: (400, "Margin type cannot be changed if there exists open orders."),
    -4048: (400, "Margin type cannot be changed if there exists position."),
    -4061: (400, "Order's position side does not match user's setting."),
    -4116: (400, "ClientOrderId is duplicated."),
    -4120: (400, "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead."),
    -4164: (400, "Order's notional must be no smaller than {} (unless you choose reduce only)."),
    -5021: (
        400,
        "Due to the order could not be filled immediately, the FOK order has been rejected. "
        "The order will not be recorded in the order history",
    ),
    -5022: (
        400,
        "Due to the order could not be executed as maker, the Post Only order will be rejected. "
        "The order will not be recorded in the order history",
    ),
    -5027: (400, "No need to modify the order."),
}


def refusal(code: int, *details: object, message: str = "", status: int | None = None) -> VenueError:
    """Return the error of a code.

    Parameters
    ----------
    code
        One of the venue's error codes.
    *details
        What the code's message names, such as a parameter.
    message, status
        In place of the code's own.
    """
    default_status, text = _MESSAGES.get(code, (400, message))
    return VenueError(message or text.format(*details), code=code, status=status or default_status)
