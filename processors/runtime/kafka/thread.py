"""The one thread that talks to Kafka: librdkafka's calls block, the event loop must not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")
_Job = tuple[Callable[[], Any], "asyncio.Future[Any]", asyncio.AbstractEventLoop]


class KafkaThread:
    """Runs calls one after another on a daemon thread, so that a broker that never answers cannot keep the process alive."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="kafka", daemon=True)
        self._thread.start()

    def call(self, function: Callable[..., ResultT], *args: Any) -> asyncio.Future[ResultT]:
        """Run a call on the thread; the future has what it returns or raises."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[ResultT] = loop.create_future()
        self._jobs.put((lambda: function(*args), future, loop))
        return future

    def close(self) -> None:
        """End the thread after the calls before."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            function, future, loop = job
            try:
                result = function()
            except BaseException as error:  # noqa: BLE001  # it is the awaiting coroutine's error, whatever it is
                self._hand_over(loop, _fail, future, error)
            else:
                self._hand_over(loop, _finish, future, result)

    @staticmethod
    def _hand_over(loop: asyncio.AbstractEventLoop, setter: Callable[..., None], future: asyncio.Future[Any], value: Any) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(setter, future, value)


def _finish(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
