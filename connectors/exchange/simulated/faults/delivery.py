"""The way of a frame from its stream to the readers: at once, or as the faults in force have it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from connectors.exchange.simulated.faults.plan import DropFrame, DuplicateFrame, Faults, Gap, LateUserEvent, ReorderFrame, Stall
from connectors.exchange.simulated.market.instruments import Product

HELD_SECONDS = 2.0
"""How long a frame that is to be sent after the next one waits for it."""
Send = Callable[[], None]


class Later(Protocol):
    """Calls something after a while; ``loop.call_later`` does."""

    def __call__(self, seconds: float, call: Callable[[], object], /) -> object:
        """Call it after this many seconds."""


class Delivery:
    """Delivers the frames of one product.

    Parameters
    ----------
    product
        The product.
    faults
        The faults in force.
    clock
        Returns the time, microseconds.
    later
        Calls something after a while.
    """

    def __init__(self, product: Product, faults: Faults, clock: Callable[[], int], later: Later) -> None:
        self._product = product
        self._faults = faults
        self._clock = clock
        self._later = later
        self._missing: dict[str, int] = {}
        self._overtaken: dict[str, Send] = {}
        self._stalled: dict[str, list[Send]] = {}

    def deliver(self, stream: str, send: Send, *, private: bool) -> None:
        """Deliver a frame of a stream; `private` says that it is an event of an account."""
        if private and (late := self._faults.strike(LateUserEvent, self._product, stream, self._clock())) is not None:
            self._later(late.delay_seconds, send)
        elif self._missing.get(stream):
            self._missing[stream] -= 1
        elif stream in self._stalled:
            self._stalled[stream].append(send)
        else:
            self._misdeliver(stream, send)

    def _misdeliver(self, stream: str, send: Send) -> None:
        faults, product, now = self._faults, self._product, self._clock()
        if (stall := faults.strike(Stall, product, stream, now)) is not None:
            self._stalled[stream] = [send]
            self._later(stall.stall_seconds, lambda: self._resume(stream))
        elif (gap := faults.strike(Gap, product, stream, now)) is not None:
            self._missing[stream] = gap.frames - 1
        elif faults.strike(DropFrame, product, stream, now) is None:
            if stream not in self._overtaken and faults.strike(ReorderFrame, product, stream, now) is not None:
                self._overtaken[stream] = send
                self._later(HELD_SECONDS, lambda: self._release(stream, send))
                return
            send()
            if faults.strike(DuplicateFrame, product, stream, now) is not None:
                send()
            if (overtaken := self._overtaken.get(stream)) is not None:
                self._release(stream, overtaken)

    def _release(self, stream: str, send: Send) -> None:
        if self._overtaken.get(stream) is send:
            del self._overtaken[stream]
            send()

    def _resume(self, stream: str) -> None:
        for send in self._stalled.pop(stream, ()):
            send()
