"""Health of the platform's containers, by asking each for its metrics: ``python -m infra.compose.watch``.

On one machine the supervisor starts the workers and knows how they are. In containers Docker starts them, and this process
tells the platform: without its word no stage counts as healthy, and nothing is entered.
"""

from __future__ import annotations

import http.client
import logging
import signal
import threading
import time
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import click
from prometheus_client import CollectorRegistry, Gauge

from processors.components import publisher
from processors.topology import STAGES
from quantum import logging as logs
from quantum import metrics
from quantum.revision import revision
from quantum.settings import Settings, load
from schemas.common import HealthState
from schemas.health.records import HealthEvent

LOGGER = logging.getLogger("quantum.watch")
PORT = 9400
HOSTS: dict[str, str] = {name: name for name in (*STAGES, "feed", "clock", "orders", "sink", "trainer")} | {"venue": "orders"}
"""The service that each stage and component runs in."""
INTERVAL_S = 2.0
TIMEOUT_S = 2.0
DOWN_AFTER = 5
"""Unanswered questions in a row after which a component is down; one makes it degraded."""


@dataclass
class Watch:
    """What is known of the components; it says when that changes.

    Attributes
    ----------
    code_revision
        Git revision that the records name.
    states
        Newest state by component.
    silent
        Unanswered questions in a row by component.
    """

    code_revision: str
    states: dict[str, HealthState] = field(default_factory=dict)
    silent: dict[str, int] = field(default_factory=dict)

    def observe(self, component: str, answered: bool, now_us: int) -> HealthEvent | None:
        """Return the health of a component where it has changed.

        A component that has not answered since the watch began is starting until it counts as down.

        Parameters
        ----------
        component
            Component that was asked.
        answered
            Whether it answered.
        now_us
            Time, microseconds since the epoch, UTC.
        """
        before = self.states.get(component, HealthState.UNKNOWN)
        silent = self.silent[component] = 0 if answered else self.silent.get(component, 0) + 1
        if answered:
            state, detail = HealthState.HEALTHY, "answers"
        elif silent >= DOWN_AFTER:
            state, detail = HealthState.DOWN, f"has not answered {DOWN_AFTER} times in a row"
        elif before in (HealthState.UNKNOWN, HealthState.STARTING):
            state, detail = HealthState.STARTING, "has not answered yet"
        elif before is HealthState.HEALTHY:
            state, detail = HealthState.DEGRADED, "did not answer"
        else:
            return None
        if state is before:
            return None
        self.states[component] = state
        return HealthEvent(
            event_id=f"health:{component}:{now_us}", event_ts=now_us, ingest_ts=now_us, component=component, worker=f"{component}-0",
            state=state, detail=detail, restarts=0, revision=self.code_revision,
        )  # fmt: skip


def answers(host: str) -> bool:
    """Return whether a container answers for its metrics."""
    try:
        with urllib.request.urlopen(f"http://{host}:{PORT}/metrics", timeout=TIMEOUT_S) as response:
            return bool(response.status == 200)
    except (OSError, http.client.HTTPException):  # away, slow, or not what it should be: the watch says so, it does not end
        return False


def run(settings: Settings, hosts: Mapping[str, str], stop: threading.Event, healthy: Gauge) -> None:
    """Ask every container every two seconds and write what has changed, until told to end."""
    watch = Watch(revision())
    with publisher(settings, "supervisor") as out, ThreadPoolExecutor(max_workers=8) as pool:
        while not stop.is_set():
            asked = sorted(set(hosts.values()))
            found = dict(zip(asked, pool.map(answers, asked), strict=True))
            for component, host in hosts.items():
                event = watch.observe(component, found[host], time.time_ns() // 1000)
                healthy.labels(component).set(found[host])
                if event is not None:
                    LOGGER.info("%s is %s: %s", component, event.state.value, event.detail)
                    out.send("health.events", component, event)
            out.flush()
            stop.wait(INTERVAL_S)


@click.command()
@click.option("--metrics-port", default=0, show_default=True, help="Port of GET /metrics; 0 for a free one.")
def main(metrics_port: int) -> None:
    """Watch the platform's containers and write their health."""
    settings = load()
    logs.configure("supervisor", settings.log_level)
    registry = CollectorRegistry()
    healthy = Gauge("quantum_component_healthy", "Whether a component answers.", ["component"], registry=registry)
    metrics.serve(registry, settings.folders.run, "supervisor", metrics_port, settings.metrics_host)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    run(settings, HOSTS, stop, healthy)


if __name__ == "__main__":
    main()
