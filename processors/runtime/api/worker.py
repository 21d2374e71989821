"""Running an application without Faust's command line."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from contextlib import suppress
from typing import NoReturn

from processors.runtime.api.app import FINISH_S, App
from processors.runtime.api.collector import look_less_often
from quantum.errors import StopError

log = logging.getLogger(__name__)


async def run_worker(app: App) -> None:
    """Run an application until SIGTERM or SIGINT, or until an error ends it.

    It stops by finishing the open epoch, committing it and leaving the group at once, within 3 s.

    Raises
    ------
    StopError
        The worker must end, and why.
    Exception
        What a task, a timer or a service of the application has raised.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    starting = loop.create_task(app.start(), name="start")
    stopping = loop.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
        running = app.engine_service.running
        if running is not None:
            crashing = loop.create_task(app.wait_for_stopped(), name="crash")
            await asyncio.wait([running, stopping, crashing], return_when=asyncio.FIRST_COMPLETED)
            crashing.cancel()
    finally:
        stopping.cancel()
        await _end(app, starting)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
    if starting.done() and not starting.cancelled():
        starting.result()
    running = app.engine_service.running
    if running is not None and running.done() and not running.cancelled():
        running.result()
    if app.crash_reason is not None:
        raise app.crash_reason


async def _end(app: App, starting: asyncio.Task[None]) -> None:
    if not starting.done():
        await app.engine_service.finish(FINISH_S)
        starting.cancel()
        with suppress(asyncio.CancelledError):
            await starting
    await app.stop()


def run(app: App) -> NoReturn:
    """Run an application as this process; the exit status is 0 after a stop that was asked for, 1 after an error."""
    look_less_often()
    try:
        asyncio.run(run_worker(app))
    except StopError as error:
        print(f"{app.conf.id} stops: {error}", file=sys.stderr)
        sys.exit(1)
    sys.exit(0)
