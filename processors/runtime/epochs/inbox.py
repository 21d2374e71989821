"""The queue between the dispatcher and the actors of one agent, which knows when they have nothing left to do.

An actor that asks for the next event has finished the one before. So an inbox is idle when it is empty and all of its
actors are waiting, and an epoch is over when all inboxes are idle: no acknowledgements, no timer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from processors.runtime.api.event import RecordEvent


class Barrier:
    """Counts busy inboxes and tells when there is none."""

    def __init__(self) -> None:
        self.busy = 0
        self._waiter: asyncio.Future[None] | None = None

    def enter(self) -> None:
        """Count one more busy inbox."""
        self.busy += 1

    def leave(self) -> None:
        """Count one less, and wake who waits for none."""
        self.busy -= 1
        if self.busy == 0 and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        """Return when no inbox is busy."""
        while self.busy:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter


class Inbox:
    """Events for the actors of one agent; all actors of an agent take from one inbox.

    Parameters
    ----------
    barrier
        Counts this inbox while it is busy; a new one is busy until its actors wait for the first time.

    Attributes
    ----------
    add
        Add an event; :meth:`wake` is to follow.
    in_hand
        What its actor works on: the events that are suspect when it raises.
    """

    __slots__ = ("_actors", "_barrier", "_idle", "_parked", "_waiters", "add", "in_hand", "queue")

    def __init__(self, barrier: Barrier) -> None:
        self.queue: deque[RecordEvent] = deque()
        self.add = self.queue.append
        self.in_hand: Sequence[RecordEvent] = ()
        self._barrier = barrier
        self._actors = 0
        self._parked = 0
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._idle = False
        barrier.enter()

    def join(self) -> None:
        """Count one more actor, which is busy until it waits."""
        self._actors += 1
        self._set_idle(False)

    def leave(self) -> bool:
        """Count one actor less; return whether none is left."""
        self._actors -= 1
        return self._actors == 0

    def park(self) -> None:
        """Count an actor that has failed as one that waits."""
        self._parked += 1
        self._settle()

    def unpark(self) -> None:
        """Let a parked actor work again: it is busy until it waits."""
        self._parked -= 1
        self._set_idle(False)

    def retire(self) -> None:
        """Be no longer counted."""
        self.queue.clear()
        self._set_idle(True)

    def wake(self) -> None:
        """Wake as many actors as there are events."""
        if not self.queue:
            return
        self._set_idle(False)
        for _ in range(min(len(self._waiters), len(self.queue))):
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)

    def _set_idle(self, idle: bool) -> None:
        if idle is not self._idle:
            self._idle = idle
            if idle:
                self._barrier.leave()
            else:
                self._barrier.enter()

    def _settle(self) -> None:
        if not self.queue and len(self._waiters) + self._parked == self._actors:
            self._set_idle(True)

    async def ready(self) -> None:
        """Wait until there is an event; to be called by an actor that has finished all that it took."""
        while not self.queue:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            self._settle()
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
                raise
