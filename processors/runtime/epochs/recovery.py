"""What a worker does when an agent raises: drop the open epoch, judge the failure, and plan its records again."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from confluent_kafka import Message

from processors.runtime.epochs.buffer import Buffer, TimeOrderedBuffer
from processors.runtime.epochs.hub import Hub
from processors.runtime.epochs.metrics import metrics_of
from processors.runtime.epochs.order import OrderLog
from processors.runtime.epochs.trial import Trial
from quantum.errors import StopError

if TYPE_CHECKING:
    from processors.runtime.api.app import App
    from processors.runtime.kafka.membership import Membership

log = logging.getLogger(__name__)


class Recovery(Hub):
    """The records that wait, and the way back to the last commit.

    Parameters
    ----------
    app
        The application.
    """

    _worker: Membership

    def __init__(self, app: App) -> None:
        super().__init__(app)
        self.options = app.runtime
        self._stop = asyncio.Event()
        self._metrics = metrics_of(app.runtime.metrics)
        self._buffer: Buffer = TimeOrderedBuffer() if app.runtime.event_time_order else Buffer()
        self._trial = Trial(app.runtime.max_retries)
        self._order = OrderLog(app.conf.id, app.about) if app.runtime.order_log else None
        self._early = 0

    @property
    def stopping(self) -> bool:
        """Whether the worker is to end."""
        return self._stop.is_set()

    def _forget(self) -> None:
        self._outbox = []
        if self._order is not None:
            self._order.clear()

    def _roll_back(self) -> None:
        self._forget()
        self._dispatcher.clear()
        self._worker.roll_back()

    async def _failed(self, taken: list[Message]) -> None:
        """Drop the open epoch, judge why it failed, and plan its records again."""
        self.epoch += 1
        failures, self._failures = self._failures, []
        for each, _ in failures:
            if isinstance(each, StopError):
                raise each
        self._roll_back()
        self._buffer.put_back(taken)
        error, suspects = failures[0]
        name = self.app.conf.id
        self._metrics.aborts.labels(name, type(error).__name__).inc()
        self._metrics.retried.labels(name).inc(len(taken))
        log.warning("epoch of %d records dropped: %s: %s", len(taken), type(error).__name__, error, exc_info=error)
        await self._pause(self._trial.judge(taken, error, [event.raw for event in suspects]))
        self._revive()

    async def _quiet(self) -> None:
        """Wait until all agents wait; one that raises before it has an event is started again within the budget."""
        await self._dispatcher.barrier.wait()
        while self._failures:
            error = self._failures[0][0]
            self._failures = []
            self._early += 1
            log.warning("an agent raised before it had an event: %s", error, exc_info=error)
            if isinstance(error, StopError) or self._early > self.options.max_retries:
                raise (
                    error
                    if isinstance(error, StopError)
                    else StopError(f"an agent raises before it has an event: {error!r}", "mend the agent")
                ) from error
            await self._pause(0.05 * 2**self._early)
            self._revive()
            await self._dispatcher.barrier.wait()
        self._early = 0

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)
