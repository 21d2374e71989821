"""An epoch is over when every actor waits for more."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from processors.runtime.api.event import RecordEvent
from processors.runtime.epochs.inbox import Barrier, Inbox


def event(number: int) -> RecordEvent:
    return cast(RecordEvent, number)


async def actor(inbox: Inbox, done: list[Any], pause: float = 0.0) -> None:
    while True:
        if not inbox.queue:
            await inbox.ready()
        taken = inbox.queue.popleft()
        await asyncio.sleep(pause)
        done.append(taken)


async def settle(barrier: Barrier) -> None:
    await asyncio.wait_for(barrier.wait(), 1)


async def test_a_new_inbox_is_busy_until_its_actors_wait() -> None:
    barrier = Barrier()
    inbox = Inbox(barrier)
    inbox.join()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(barrier.wait(), 0.01)
    task = asyncio.create_task(actor(inbox, []))
    await settle(barrier)
    task.cancel()


async def test_the_barrier_waits_for_the_last_event_of_all_actors() -> None:
    barrier = Barrier()
    inbox, other = Inbox(barrier), Inbox(barrier)
    done: list[Any] = []
    tasks = []
    for each, count in ((inbox, 2), (other, 1)):
        for _ in range(count):
            each.join()
            tasks.append(asyncio.create_task(actor(each, done, 0.01)))
    await settle(barrier)
    for number in range(5):
        inbox.add(event(number))
        other.add(event(10 + number))
    inbox.wake()
    other.wake()
    await settle(barrier)
    assert sorted(done) == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]
    for task in tasks:
        task.cancel()


async def test_a_parked_actor_counts_as_waiting_until_it_is_let_go() -> None:
    barrier = Barrier()
    inbox = Inbox(barrier)
    inbox.join()
    inbox.park()
    await settle(barrier)
    inbox.unpark()
    assert barrier.busy == 1
    task = asyncio.create_task(actor(inbox, []))
    await settle(barrier)
    task.cancel()


async def test_an_inbox_that_is_retired_is_not_waited_for() -> None:
    barrier = Barrier()
    inbox = Inbox(barrier)
    inbox.join()
    assert inbox.leave()
    inbox.retire()
    await settle(barrier)


async def test_a_cancelled_actor_is_not_woken() -> None:
    barrier = Barrier()
    inbox = Inbox(barrier)
    inbox.join()
    done: list[Any] = []
    first = asyncio.create_task(actor(inbox, done))
    await settle(barrier)
    first.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    second = asyncio.create_task(actor(inbox, done))
    await asyncio.sleep(0)
    inbox.add(event(1))
    inbox.wake()
    await settle(barrier)
    assert done == [1]
    second.cancel()
