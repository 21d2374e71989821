"""One Faust application a stage."""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import msgspec
from faust.types import EventT
from prometheus_client import CollectorRegistry, Histogram

from processors.runtime import App
from processors.topology import NODES, STAGES
from processors.wiring import Wiring
from quantum.errors import ConfigurationError
from quantum.revision import revision
from quantum.settings import Settings
from schemas.codec import SchemaIds

LATENCY_BUCKETS = (
    0.001, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip


def application_id(stage: str) -> str:
    """Return the id of a stage's application: its consumer group, and the beginning of its changelogs' names."""
    return f"quantum-{stage}"


def create_app(
    stage: str, settings: Settings, ids: SchemaIds, *, worker: str = "0", metrics: CollectorRegistry | None = None,
    recorded: Mapping[str, Mapping[str, Any]] | None = None,
) -> App:  # fmt: skip
    """Return the Faust application of a stage, its agents and tables wired, not yet started.

    Parameters
    ----------
    stage
        Name of a stage in the topology.
    settings
        Settings of the platform.
    ids
        The schema registry.
    worker
        Which of the stage's workers this is; a worker that comes back under its name takes up its partitions at once.
    metrics
        Where the metrics are kept; a registry of its own where None.
    recorded
        The stage's own settings as its order log has them, for a re-run; without it they are read from the environment.

    Raises
    ------
    ConfigurationError
        There is no such stage.
    """
    if stage not in STAGES:
        raise ConfigurationError(f"there is no stage {stage!r}", f"the stages are {', '.join(STAGES)}")
    registry = metrics or CollectorRegistry()
    latency = Histogram(
        "quantum_stage_latency_seconds",
        "From the time that an input record was written to the time that what it caused was sent, by stage.",
        ["stage"], registry=registry, buckets=LATENCY_BUCKETS,
    ).labels(stage)  # fmt: skip

    def on_sent(event: EventT[Any], _topic: str) -> None:
        latency.observe(max(0.0, time.time() - event.message.timestamp))

    app = App(
        application_id(stage),
        broker=f"kafka://{settings.kafka}",
        worker=worker,
        metrics=registry,
        datadir=str(settings.folders.state / f"{stage}-{worker}"),
        topic_partitions=settings.partitions,
        topic_replication_factor=settings.replication,
        order_log=True,
        gather=dict.fromkeys(NODES[stage].gathers, NODES[stage].gather_ms / 1000),
    )
    wiring = Wiring(app, stage, settings, ids, on_sent, recorded)
    import_module(f"processors.{stage}.agent").create_agents(wiring)
    app.about = {"revision": revision().encode(), "settings": msgspec.json.encode(wiring.used)}
    return app
