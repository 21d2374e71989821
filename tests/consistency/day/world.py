"""The platform beside a venue whose markets run fast: its servers, its processes, and what they are told."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Self

import msgspec

from infra.local.stack import Stack
from infra.local.supervisor import Supervisor
from processors.components import publisher
from processors.governance.changes import audit
from processors.governance.defaults import default_policy
from quantum import clock
from quantum.demo import workers
from quantum.demo.platform import Platform, Tell
from quantum.home import Home
from quantum.settings import Settings
from tests.consistency.day.venue import Venue

PROFILE = "DEMO"
RECONCILE_S = 10.0
TIME_STOP_S = 7_200


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run.

    Attributes
    ----------
    hours, speed
        Length in hours of the market, and market seconds a second.
    seed
        Decides the market, the faults and the trades by hand.
    symbols
        What is traded.
    every
        The market makes one in so many of its trades and quotes.
    funding_minutes
        Minutes between two settlements of funding.
    fault_every_s, trade_every_s
        Mean time between two faults and between two trades by hand, seconds of the wall clock.
    """

    hours: float = 24.0
    speed: float = 170.0
    seed: int = 6
    symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT")
    every: int = 20
    funding_minutes: int = 480
    fault_every_s: float = 2.5
    trade_every_s: float = 3.0

    @property
    def seconds(self) -> float:
        """How long it takes, seconds."""
        return self.hours * 3_600 / self.speed


class World:
    """Servers, venue and workers of one run; a context manager that ends them all.

    Parameters
    ----------
    plan
        What is run.
    folder
        Where everything is kept.
    tell
        Told what happens.

    Attributes
    ----------
    settings
        Settings of the platform.
    venue
        The venue, past the platform.
    inputs
        The feed and the clock.
    platform
        The platform of the demo.
    """

    def __init__(self, plan: Plan, folder: Path, tell: Tell) -> None:
        self._cleanup = ExitStack()
        self._plan = plan
        self._tell = tell
        self._home = Home(folder)
        self.platform = Platform(self._home, tell, self._cleanup)
        self.settings: Settings
        self.venue: Venue
        self.inputs: Supervisor
        self._rest: Supervisor

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.callback(self._cleanup.close)
            self._start()
            undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def _start(self) -> None:
        plan, platform = self._plan, self.platform
        stack = Stack(self._home, ports={"kafka": 0, "registry": 0, "store": 0}, die_with_parent=True)
        self._cleanup.callback(stack.down)
        stack.up(self._tell)
        self.settings = settings = platform.up(keep_up=True)
        access, env = platform.start_simulated_venue(
            settings, plan.seed, "--symbols", ",".join(plan.symbols), "--products", "usdm", "--speed", str(plan.speed),
            "--every", str(plan.every), "--funding-minutes", str(plan.funding_minutes), "--history-minutes", "10", "--control",
        )  # fmt: skip
        ready = json.loads((self._home.run / "venue.ready.json").read_text())
        self.venue = Venue(access, ready["control"])
        time_of_market = {"QUANTUM_CLOCK_SPEED": str(plan.speed), "QUANTUM_CLOCK_ORIGIN_US": str(ready["began_us"])}
        os.environ.update(time_of_market)
        clock.settings.cache_clear()
        env |= time_of_market | self._limits()
        self._set_policy()
        names = ("orders", "sink")
        self._rest = platform.supervise(settings, [*workers.stages(env), *(workers.component(name, env) for name in names)])
        platform.until_healthy(self._rest)
        self.inputs = platform.supervise(settings, [workers.component("feed", env), workers.component("clock", env)])
        platform.until_healthy(self.inputs)

    def _limits(self) -> dict[str, str]:
        """Return limits that are stretched where they are in time of the market, and drawn together where a day must show them at work."""
        return {
            "QUANTUM_FEATURE_INTERVAL": "1m",
            "QUANTUM_FEED_VENUES": '["binance-usdm"]',
            "QUANTUM_FEED_SYMBOLS": json.dumps(self._plan.symbols),
            "QUANTUM_FEED_RENEW_S": "60",
            "QUANTUM_HEALTH_LATE_S": str(2.0 * self._plan.speed),
            "QUANTUM_ORDERS_LISTEN_KEY_S": "15",
            "QUANTUM_ORDERS_RECONCILE_S": str(RECONCILE_S),
            "QUANTUM_ORDERS_CONFIRM_S": "1.5",
        }

    def _set_policy(self) -> None:
        settings = self.settings
        policy = default_policy(
            settings.account, now_us=clock.now_us(), author="campaign", universe=list(self._plan.symbols), profile=PROFILE, reason="a day"
        )
        policy = msgspec.structs.replace(
            policy,
            exits=msgspec.structs.replace(policy.exits, time_stop_s=TIME_STOP_S),
            limits=msgspec.structs.replace(policy.limits, max_daily_loss=Decimal(10_000), max_drawdown=0.99),
        )
        with publisher(settings, "operator") as out:
            out.send("policy", settings.account, policy)
            out.send("policy.audit", settings.account, audit(None, policy))

    def restarts(self) -> dict[str, int]:
        """Return how often each process was started again, of those that were."""
        found = [worker for supervisor in self.platform.supervisors for worker in supervisor.workers()]
        return {worker.name: worker.restarts for worker in found if worker.restarts}
