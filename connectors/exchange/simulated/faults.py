"""Misbehaviour on request: what ``POST /control/fault`` asks for and the next requests get."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from connectors.exchange.simulated.refusal import refusal
from quantum.errors import VenueError


class DropSockets(msgspec.Struct, tag_field="kind", tag="drop_sockets", forbid_unknown_fields=True):
    """Cut every websocket now, with no closing handshake."""


class Respond(msgspec.Struct, tag_field="kind", tag="respond", forbid_unknown_fields=True):
    """Answer the next `count` requests with `status` and do nothing."""

    status: Literal[418, 429, 500, 502, 503, 504]
    count: int = 1


class AcceptThenTimeOut(msgspec.Struct, tag_field="kind", tag="accept_then_time_out", forbid_unknown_fields=True):
    """Take the next `count` orders, then answer 408 and -1007; or, with `hang_seconds`, stay silent that long and cut the connection."""

    count: int = 1
    hang_seconds: float = 0.0


Fault = DropSockets | Respond | AcceptThenTimeOut

_STATUS_ERRORS: dict[int, tuple[int, str]] = {
    418: (-1003, "Way too many requests; IP banned. Please use WebSocket Streams for live updates to avoid bans."),
    429: (-1003, "Too many requests; please use WebSocket Streams for live updates to avoid polling the API."),
    500: (-1000, "An unknown error occurred while processing the request."),
    502: (-1001, "Internal error; unable to process your request. Please try again."),
    503: (-1008, "Server is currently overloaded with other requests. Please try again in a few minutes."),
    504: (-1007, "Timeout waiting for response from backend server. Send status unknown; execution status unknown."),
}


@dataclass(slots=True)
class Faults:
    """Faults that wait for the next requests of one listener."""

    _responses: deque[int] = field(default_factory=deque)
    _time_outs: deque[float] = field(default_factory=deque)

    def plan(self, fault: Respond | AcceptThenTimeOut) -> None:
        """Add a fault."""
        if isinstance(fault, Respond):
            self._responses.extend([fault.status] * fault.count)
        else:
            self._time_outs.extend([fault.hang_seconds] * fault.count)

    def next_response(self) -> VenueError | None:
        """Return the error that this request must get, if any."""
        if not self._responses:
            return None
        status = self._responses.popleft()
        code, message = _STATUS_ERRORS[status]
        return refusal(code, message=message, status=status)

    def next_time_out(self) -> float | None:
        """Return how long this accepted order's answer hangs (0: 408 at once), or None for a plain answer."""
        return self._time_outs.popleft() if self._time_outs else None
