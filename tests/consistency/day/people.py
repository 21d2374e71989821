"""Who disturbs the day: somebody who trades by hand all the time, and a venue that misbehaves in every way, both by a seed."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from connectors.kafka.publisher import Publisher
from processors.components import node_publisher
from quantum import clock
from quantum.settings import Settings
from schemas.common import OrderType, Origin, Side
from schemas.risk.records import TradeIntent
from tests.consistency.day.venue import Venue

log = logging.getLogger(__name__)

STATUSES = (418, 429, 500, 502, 503, 504)
PATHS = ("", "/order", "/income", "/balance", "/positionRisk", "/depth", "/listenKey", "/openOrders")
PUBLIC = ("@trade", "@depth", "@bookTicker", "@markPrice")
"""Streams of the market; the others are an account's."""
QUANTITIES = {"BTCUSDT": Decimal("0.002"), "ETHUSDT": Decimal("0.03")}
TICKS = {"BTCUSDT": Decimal("0.1"), "ETHUSDT": Decimal("0.01")}
LEVERAGE = 3.0
KINDS = (
    "respond", "delay", "wrong_time", "unknown_order", "accept_then_time_out", "drop_frame", "gap", "duplicate_frame", "reorder_frame",
    "stall", "late_user_event", "drop_sockets", "maintenance",
)  # fmt: skip


def fault(kind: str, rng: random.Random) -> dict[str, Any]:
    """Return a fault of a kind; times are the wall clock's."""
    stream = rng.choice(PUBLIC)
    often = {"probability": rng.uniform(0.02, 0.2), "seconds": rng.uniform(0.5, 4.0)}
    shapes: dict[str, dict[str, Any]] = {
        "respond": {"status": rng.choice(STATUSES), "path": rng.choice(PATHS), "probability": 0.4, "seconds": rng.uniform(0.3, 2.0)},
        "delay": {"delay_seconds": rng.uniform(0.05, 1.5), "path": rng.choice(PATHS), "probability": 0.5, "seconds": rng.uniform(0.5, 3.0)},
        "wrong_time": {"count": rng.randint(1, 4)},
        "unknown_order": {"count": rng.randint(1, 5)},
        "accept_then_time_out": {"count": rng.randint(1, 3), "hang_seconds": rng.choice((0.0, 0.0, 1.0, 6.0))},
        "drop_frame": {"stream": stream, **often},
        "gap": {"stream": stream, "frames": rng.randint(2, 40)},
        "duplicate_frame": {"stream": rng.choice(("", stream)), **often},
        "reorder_frame": {"stream": rng.choice(("", stream)), **often},
        "stall": {"stream": rng.choice(("", stream)), "stall_seconds": rng.uniform(0.2, 4.0)},
        "late_user_event": {"delay_seconds": rng.uniform(0.1, 3.0), "count": rng.randint(1, 6)},
        "drop_sockets": {},
        "maintenance": {"seconds": rng.uniform(0.5, 4.0)},
    }
    return {"kind": kind, **shapes[kind]}


class Hand(threading.Thread):
    """Does something again and again, at random times, until it is told to end.

    Parameters
    ----------
    name
        Name of the thread.
    every_s
        Mean time between two turns, seconds.
    seed
        Decides when and what.
    """

    def __init__(self, name: str, every_s: float, seed: int) -> None:
        super().__init__(name=name, daemon=True)
        self.rng = random.Random(f"{name},{seed}")
        self.error: BaseException | None = None
        self._every = every_s
        self._over = threading.Event()

    def run(self) -> None:
        """Do it; what goes wrong but for a venue that does not answer ends it, and is kept."""
        try:
            while not self._over.wait(self.rng.uniform(0.4, 1.6) * self._every):
                try:
                    self.turn()
                except OSError as error:
                    log.info("%s: %s", self.name, error)
        except BaseException as error:
            self.error = error
            raise

    def turn(self) -> None:
        """Do it once."""
        raise NotImplementedError

    def end(self) -> None:
        """End it; raises what went wrong in it."""
        self._over.set()
        self.join()
        if self.error is not None:
            raise self.error


class Misfortune(Hand):
    """Puts faults in force, each kind as often as the others.

    Attributes
    ----------
    done : Counter
        How often each kind was put in force.
    """

    def __init__(self, venue: Venue, every_s: float, seed: int) -> None:
        super().__init__("misfortune", every_s, seed)
        self.done: Counter[str] = Counter()
        self._venue = venue
        self._queue: list[str] = []

    def turn(self) -> None:
        """Put the next fault in force."""
        if not self._queue:
            self._queue = self.rng.sample(KINDS, len(KINDS))
        kind = self._queue.pop()
        self._venue.fault(**fault(kind, self.rng))
        self.done[kind] += 1


class Trader(Hand):
    """Trades by hand: opens, adds, takes off, turns round, rests for a while; and moves money now and then.

    Parameters
    ----------
    settings
        Settings of the platform.
    venue
        Asked for prices and positions.
    symbols
        What is traded.
    """

    def __init__(self, settings: Settings, venue: Venue, symbols: tuple[str, ...], every_s: float, seed: int) -> None:
        super().__init__("trader", every_s, seed)
        self.intents = 0
        self.transfers = 0
        self._settings = settings
        self._venue = venue
        self._symbols = symbols
        self._out: Publisher = node_publisher(settings, "risk")

    def turn(self) -> None:
        """Do one thing."""
        if self.rng.random() < 0.04:
            self._venue.transfer(Decimal(self.rng.choice((250, 100, -50, -20))))
            self.transfers += 1
            return
        symbol = self.rng.choice(self._symbols)
        held = self._venue.positions().get(symbol, Decimal(0))
        mark, size = self._venue.mark(symbol), QUANTITIES[symbol] * self.rng.randint(1, 6)
        if not held:
            self._want(symbol, self.rng.choice((Side.BUY, Side.SELL)), size, mark)
            return
        with_it, against = (Side.BUY, Side.SELL) if held > 0 else (Side.SELL, Side.BUY)
        what = self.rng.random()
        if what < 0.35:
            self._want(symbol, with_it, size, mark)
        elif what < 0.7:
            self._want(symbol, against, min(size, abs(held)), mark, reduce_only=True)
        elif what < 0.85:
            self._want(symbol, against, abs(held) + size, mark)
        else:
            self._want(symbol, against, abs(held), mark, reduce_only=True)

    def _want(self, symbol: str, side: Side, quantity: Decimal, mark: Decimal, *, reduce_only: bool = False) -> None:
        now = clock.now_us()
        limit = None
        if not reduce_only and self.rng.random() < 0.3:
            away = Decimal(str(round(self.rng.uniform(-0.0005, 0.0005), 6)))
            limit = (mark * (1 + away) / TICKS[symbol]).quantize(Decimal(1)) * TICKS[symbol]
        self.intents += 1
        kind = OrderType.MARKET if limit is None else OrderType.LIMIT
        intent = TradeIntent(
            event_id=f"by-hand-{self.intents}-{now}", event_ts=now, ingest_ts=now, account=self._settings.account, symbol=symbol,
            venue=self._settings.venue, origin=Origin.MANUAL, strategy="by-hand", side=side, order_type=kind, quantity=quantity,
            limit_price=limit, reduce_only=reduce_only, leverage=LEVERAGE, stop_price=None if reduce_only else _stop(side, mark),
            risk_amount=None, reference_price=mark, leg=0, reason="BY_HAND", policy_version=0,
        )  # fmt: skip
        self._out.send("trade.intent", intent.account, intent)
        self._out.flush()


def _stop(side: Side, mark: Decimal) -> Decimal:
    return (mark * (Decimal("0.97") if side is Side.BUY else Decimal("1.03"))).quantize(Decimal("0.1"))


def until(what: str, holds: Callable[[], bool], limit_s: float) -> None:
    """Wait until something holds; raises TimeoutError with its name where that takes too long."""
    deadline = time.monotonic() + limit_s
    while True:
        try:
            if holds():
                return
        except OSError as error:
            log.info("%s: %s", what, error)
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {limit_s:g} s")
        time.sleep(0.3)
