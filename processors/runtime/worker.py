"""Running an application without Faust's command line."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from contextlib import suppress
from typing import NoReturn

from processors.runtime.app import FINISH_S, App
from quantum.errors import StopError

log = logging.getLogger(__name__)


async def run_worker(app: App) -> None:
    """Run an application until SIGTERM or SIGINT, or until an error ends it.

    It stops by finishing the open epoch, committing it and leaving the group at once, within 3 s.

    Raises
    ------
    StopError
        The worker must end, and why.
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
            await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        app.engine.stop()
        await _end(app, starting)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
    if starting.done() and not starting.cancelled():
        starting.result()
    running = app.engine_service.running
    if running is not None and running.done() and not running.cancelled():
        running.result()


async def _end(app: App, starting: asyncio.Task[None]) -> None:
    await app.engine_service.finish(FINISH_S)
    if not starting.done():
        starting.cancel()
        with suppress(asyncio.CancelledError):
            await starting
    await app.stop()


def run(app: App) -> NoReturn:
    """Run an application as this process; the exit status is 0 after a stop that was asked for, 1 after an error.

    The garbage collector is told that what exists now stays, and to look less often: events are freed by their reference count.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    try:
        asyncio.run(run_worker(app))
    except StopError as error:
        print(f"{app.conf.id} stops: {error}", file=sys.stderr)
        sys.exit(1)
    sys.exit(0)
