"""One process of a stage or of components, from its settings to its exit code."""

from __future__ import annotations

import asyncio
import logging
import signal

from prometheus_client import REGISTRY, CollectorRegistry

from infra.components import run_components
from quantum import logging as logs
from quantum import metrics
from quantum.errors import QuantumError
from quantum.settings import Settings

LOGGER = logging.getLogger(__name__)
EXIT_STOPPED = 1


def run_stage(stage: str, settings: Settings, *, worker: str, metrics_port: int = 0) -> int:
    """Run a worker of a stage until SIGTERM or SIGINT; returns its exit code.

    Parameters
    ----------
    stage
        Name of the stage.
    settings
        Settings of the platform.
    worker
        Which of the stage's workers this is.
    metrics_port
        Port of the metrics; 0 for a free one.
    """
    from processors.app import create_app
    from processors.components import learn_schemas, registry
    from processors.runtime import run

    name = f"{stage}-{worker}"
    logs.configure(name, settings.log_level)
    ids = registry(settings)
    learn_schemas(ids, stage)
    series = CollectorRegistry()
    app = create_app(stage, settings, ids, worker=worker, metrics=series)
    metrics.serve(series, settings.folders.run, name, metrics_port, settings.metrics_host)
    return run(app)


def run_component(names: tuple[str, ...], settings: Settings, *, worker: str, metrics_port: int = 0) -> int:
    """Run components until SIGTERM or SIGINT; returns the exit code. Parameters as of ``run_stage``."""
    name = f"{'+'.join(names)}-{worker}"
    logs.configure(name, settings.log_level)
    metrics.serve(REGISTRY, settings.folders.run, name, metrics_port, settings.metrics_host)
    try:
        asyncio.run(_until_signalled(names, settings))
    except QuantumError as error:
        LOGGER.critical("%s ends: %s", name, error)
        return EXIT_STOPPED
    return 0


async def _until_signalled(names: tuple[str, ...], settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await run_components(names, settings, stop)
