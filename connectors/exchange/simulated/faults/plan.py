"""Misbehaviour on request: which fault meets which request or frame. Pure: time is an argument, chance is seeded.

A fault is in force for its next `count` occasions, for `seconds`, or for both, whatever ends first; with neither, for one occasion, or for
ever where it has a `probability` below one.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from connectors.exchange.simulated.account.refusal import refusal
from connectors.exchange.simulated.market.instruments import Product
from quantum.errors import VenueError

_Positive = Annotated[float, msgspec.Meta(gt=0)]
_Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
_Count = Annotated[int, msgspec.Meta(ge=1)]


class _Fault(msgspec.Struct, tag_field="kind", forbid_unknown_fields=True, kw_only=True):
    """What every fault has: the product that it is for (all by default), how often, how long, with which chance."""

    product: Product | None = None
    count: _Count | None = None
    seconds: _Positive | None = None
    probability: _Share = 1.0


class _RequestFault(_Fault):
    """A fault of requests whose ``METHOD path`` contains `path`."""

    path: str = ""


class Respond(_RequestFault, tag="respond", kw_only=True):
    """Answer with `status` and do nothing; 418 and 429 say when to come back."""

    status: Literal[418, 429, 500, 502, 503, 504]
    retry_after: _Count = 1


class Delay(_RequestFault, tag="delay", kw_only=True):
    """Wait before anything is done."""

    delay_seconds: _Positive


class WrongTime(_RequestFault, tag="wrong_time"):
    """Refuse the timestamp of a signed request: -1021."""


class UnknownOrder(_RequestFault, tag="unknown_order"):
    """Say of an order that is asked for that it does not exist: -2013."""


class AcceptThenTimeOut(_RequestFault, tag="accept_then_time_out"):
    """Take an order, then answer 408 and -1007; or, with `hang_seconds`, stay silent that long and cut the connection."""

    hang_seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class _FrameFault(_Fault):
    """A fault of frames of streams whose name contains `stream`."""

    stream: str = ""


class DropFrame(_FrameFault, tag="drop_frame"):
    """Leave a frame out."""


class Gap(_FrameFault, tag="gap"):
    """Leave `frames` frames of one stream out in a row."""

    frames: _Count = 10


class DuplicateFrame(_FrameFault, tag="duplicate_frame"):
    """Send a frame twice."""


class ReorderFrame(_FrameFault, tag="reorder_frame"):
    """Send a frame after the next one of its stream."""


class Stall(_FrameFault, tag="stall", kw_only=True):
    """Hold a stream's frames back for a while, then send them all."""

    stall_seconds: _Positive


class LateUserEvent(_Fault, tag="late_user_event", kw_only=True):
    """Send an event of an account's stream late; others may overtake it."""

    delay_seconds: _Positive


class DropSockets(_Fault, tag="drop_sockets"):
    """Cut every websocket now, with no closing handshake."""


class Maintenance(_Fault, tag="maintenance"):
    """Cut every websocket now, and answer 503 to everything until it is over, for a minute where `seconds` says nothing."""


Fault = (
    Respond | Delay | WrongTime | UnknownOrder | AcceptThenTimeOut | DropFrame | Gap | DuplicateFrame | ReorderFrame | Stall
    | LateUserEvent | DropSockets | Maintenance
)  # fmt: skip
FaultT = TypeVar("FaultT", bound=_Fault)

MAINTENANCE_SECONDS = 60.0
_STATUS_ERRORS: dict[int, tuple[int, str]] = {
    418: (-1003, "Way too many requests; IP banned. Please use WebSocket Streams for live updates to avoid bans."),
    429: (-1003, "Too many requests; please use WebSocket Streams for live updates to avoid polling the API."),
    500: (-1000, "An unknown error occurred while processing the request."),
    502: (-1001, "Internal error; unable to process your request. Please try again."),
    503: (-1008, "Server is currently overloaded with other requests. Please try again in a few minutes."),
    504: (-1007, "Timeout waiting for response from backend server. Send status unknown; execution status unknown."),
}


def error_of(fault: Respond) -> VenueError:
    """Return the error that a request is answered with."""
    code, message = _STATUS_ERRORS[fault.status]
    return refusal(code, message=message, status=fault.status)


@dataclass(slots=True)
class _Rule:
    fault: Fault
    left: int | None
    until_us: int | None
    hits: int = 0


@dataclass(slots=True)
class Faults:
    """The faults in force.

    Attributes
    ----------
    seed
        Seed of the chances.
    requests
        Answered requests: (product, ``METHOD path``, status or error code) to how many.
    strikes
        What faults have done since the start: (kind, product, ``METHOD path`` or stream) to how often.
    """

    seed: int = 0
    requests: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    strikes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    _rules: dict[int, _Rule] = field(default_factory=dict)
    _next_id: int = 1
    _rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)

    def add(self, fault: Fault, now_us: int) -> int:
        """Put a fault in force; return its id."""
        count, seconds = fault.count, fault.seconds
        if isinstance(fault, Maintenance):
            seconds = seconds or MAINTENANCE_SECONDS
        elif count is None and seconds is None and fault.probability == 1.0:
            count = 1
        number = self._next_id
        self._next_id += 1
        self._rules[number] = _Rule(fault, count, None if seconds is None else now_us + round(seconds * 1e6))
        return number

    def remove(self, number: int) -> bool:
        """Take a fault out of force; return whether it was there."""
        return self._rules.pop(number, None) is not None

    def clear(self) -> None:
        """Take every fault out of force."""
        self._rules.clear()

    def rows(self, now_us: int) -> list[dict[str, Any]]:
        """Return what is in force, and how often each fault has struck."""
        self._expire(now_us)
        return [
            {"id": number, "fault": rule.fault, "left": rule.left, "until_ms": rule.until_us and rule.until_us // 1000, "hits": rule.hits}
            for number, rule in self._rules.items()
        ]

    def strike(self, kind: type[FaultT], product: Product, what: str, now_us: int) -> FaultT | None:
        """Return the fault of a kind that meets a request or a frame now, and count it; None for none.

        Parameters
        ----------
        kind
            Kind of the fault.
        product
            Where the request or frame belongs to.
        what
            ``METHOD path`` of the request, or name of the stream.
        now_us
            Time, microseconds.
        """
        if not self._rules:
            return None
        self._expire(now_us)
        for number, rule in list(self._rules.items()):
            fault = rule.fault
            if not isinstance(fault, kind) or fault.product not in (None, product):
                continue
            wanted = getattr(fault, "path", "") or getattr(fault, "stream", "")
            if wanted not in what or self._rng.random() >= fault.probability:
                continue
            rule.hits += 1
            self.strikes[str(kind.__struct_config__.tag), product, what] += 1
            if rule.left is not None:
                rule.left -= 1
                if not rule.left:
                    del self._rules[number]
            return fault
        return None

    def _expire(self, now_us: int) -> None:
        for number in [n for n, rule in self._rules.items() if rule.until_us is not None and now_us >= rule.until_us]:
            del self._rules[number]
