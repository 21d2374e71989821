"""The platform of one demo: its home made ready, its processes started in order, and ended in the reverse order."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import msgspec

from connectors.exchange.binance.settings import VenueSettings
from connectors.registry.client import Registry
from infra.local.stack import Stack
from infra.local.supervisor import Supervisor, WorkerChange, WorkerSpec
from processors.components import node_publisher, publisher
from processors.contracts import apply_schemas, apply_tables, apply_topics
from processors.governance.changes import audit
from processors.governance.defaults import default_policy
from quantum import clock
from quantum.demo import workers
from quantum.demo.offsets import Offsets
from quantum.errors import ConfigurationError, DependencyError
from quantum.home import Home
from quantum.revision import revision
from quantum.settings import Settings
from schemas.common import HealthState
from schemas.health.records import HealthEvent

LOGGER = logging.getLogger(__name__)
MARKER = "demo.json"
WIPED = ("data", "state", "models", "run")
READY_S = 60.0
POLL_S = 0.1
GRACE_S = 8.0
Tell = Callable[[str], None]


def wait_for(what: str, done: Callable[[], bool], limit_s: float, log: Path) -> None:
    """Wait until something is so; raises DependencyError with the log to look into where it takes too long."""
    deadline = time.monotonic() + limit_s
    while not done():
        if time.monotonic() > deadline:
            raise DependencyError(f"{what} did not happen within {limit_s:g} s", f"see the logs in {log}")
        time.sleep(POLL_S)


class Platform:
    """Servers and workers of the demo.

    Parameters
    ----------
    home
        Where everything is kept.
    tell
        Told what happens, a line each.
    cleanup
        Ends what was started, in the reverse order.
    """

    def __init__(self, home: Home, tell: Tell, cleanup: ExitStack) -> None:
        self.home = home
        self.stack = Stack(home)
        self.supervisors: list[Supervisor] = []
        self.errors: list[str] = []
        self._tell = tell
        self._cleanup = cleanup
        self._ending = False

    def up(self, *, keep_up: bool) -> Settings:
        """Start the servers on an empty home and bring topics, schemas and tables to what is declared."""
        was_running = any(server.state != "down" for server in self.stack.status())
        self._remove_the_demo_before()
        if not (keep_up or was_running):
            self._cleanup.callback(self._down)
        endpoints = self.stack.up(self._tell)
        settings = Settings(
            home=self.home.root, kafka=endpoints.kafka, registry=endpoints.registry, clickhouse=endpoints.clickhouse,
            feature_interval="1s",
        )  # fmt: skip
        self._tell("applying topics, schemas and tables")
        apply_topics(settings)
        self._refuse_foreign_data(settings)
        (self.home.root / MARKER).write_text('{"made_by": "quantum demo"}\n')
        with Registry(settings.registry) as registry:
            apply_schemas(registry)
        apply_tables(settings)
        return settings

    def _remove_the_demo_before(self) -> None:
        if not (self.home.root / MARKER).exists():
            return
        self._tell(f"removing the data of the demo before from {self.home.root}")
        self.stack.down()
        for name in WIPED:
            shutil.rmtree(self.home.root / name, ignore_errors=True)

    def _refuse_foreign_data(self, settings: Settings) -> None:
        if (self.home.root / MARKER).exists():
            return
        if Offsets(settings).look(("exchange.raw", "market.tick"), ()).written(("exchange.raw", "market.tick")):
            raise ConfigurationError(
                f"{self.home.root} holds market data that no demo made", "give the demo a folder of its own: QUANTUM_HOME=.quantum-demo"
            )

    def _down(self) -> None:
        self._tell("ending the servers")
        self.stack.down()

    def supervise(self, settings: Settings, specs: list[WorkerSpec]) -> Supervisor:
        """Start workers that are restarted when they die and whose health is written to ``health.events``."""
        out = node_publisher(settings, "supervisor")

        def on_change(change: WorkerChange) -> None:
            now = clock.now_us()
            if change.state in (HealthState.DEGRADED, HealthState.DOWN) and not self._ending:
                self.errors.append(f"{change.name}: {change.detail}")
            out.send(
                "health.events",
                change.component,
                HealthEvent(
                    event_id=f"{change.name}:{now}", event_ts=now, ingest_ts=now, component=change.component, worker=change.name,
                    state=change.state, detail=change.detail, restarts=change.restarts, revision=revision(),
                ),
            )  # fmt: skip

        supervisor = Supervisor(self.home, specs, on_change)
        self.supervisors.append(supervisor)
        self._cleanup.callback(self._stop, supervisor)
        supervisor.start()
        return supervisor

    def _stop(self, supervisor: Supervisor) -> None:
        self._ending = True
        supervisor.stop(GRACE_S)

    def until_healthy(self, supervisor: Supervisor) -> None:
        """Wait until all workers of a supervisor have stayed up."""

        def up() -> bool:
            states = supervisor.workers()
            given_up = [f"{worker.name}: {worker.detail}" for worker in states if worker.state is HealthState.DOWN]
            if given_up:
                raise DependencyError(f"workers do not stay up: {'; '.join(given_up)}", f"see the logs in {self.home.logs}")
            return all(worker.state is HealthState.HEALTHY for worker in states)

        wait_for("all workers up", up, READY_S, self.home.logs)

    def start_simulated_venue(self, settings: Settings, seed: int, *more: str) -> tuple[VenueSettings, dict[str, str]]:
        """Start the simulated venue, with more options; returns how to reach it and the environment of the other processes."""
        usdm, spot = workers.free_port(), workers.free_port()
        access, env = self._access(settings, usdm, spot)
        ready = self.home.run / "venue.ready.json"
        ready.unlink(missing_ok=True)
        self._tell("starting the simulated venue")
        self.supervise(settings, [workers.simulated_venue(seed, usdm, spot, ready, env, *more)])
        wait_for("the simulated venue's start", ready.exists, READY_S, self.home.logs)
        return access, env

    def start_paper_venue(self, settings: Settings) -> tuple[VenueSettings, dict[str, str]]:
        """Start a paper account on the market data that are replayed; returns as ``start_simulated_venue`` does."""
        access, env = self._access(settings, workers.free_port(), workers.free_port())
        self.supervise(settings, [workers.component("venue", env)])
        return access, env

    @staticmethod
    def _access(settings: Settings, usdm: int, spot: int) -> tuple[VenueSettings, dict[str, str]]:
        access = VenueSettings(environment="simulated", usdm_url=f"http://127.0.0.1:{usdm}", spot_url=f"http://127.0.0.1:{spot}")
        key, secret = access.api_key.get_secret_value(), access.api_secret.get_secret_value()
        return access, workers.environment(settings, access.usdm_url, access.spot_url, key, secret)

    def set_policy(self, settings: Settings, universe: list[str]) -> None:
        """Write the policy of the demo: its profile, by the person who runs it."""
        now = time.time_ns() // 1_000
        policy = default_policy(
            settings.account, now_us=now, author="demo", universe=universe, profile="DEMO", reason="the demo's profile, paper money"
        )
        with publisher(settings, "operator") as out:
            out.send("policy", settings.account, policy)
            out.send("policy.audit", settings.account, audit(None, policy))


def write_summary(path: Path, summary: msgspec.Struct) -> None:
    """Write the summary as JSON; raises ConfigurationError where the file cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n")
    except OSError as error:
        raise ConfigurationError(f"the summary cannot be written to {path}: {error}", "give --summary another path") from error
