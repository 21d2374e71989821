"""Transfers: sinks, concurrency, tasks, timers, a command, casts, echo, through, filter, enumerate, take, headers, forwards."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

import faust

from processors.runtime import App

PREFIX = os.environ["PREFIX"]
NUMBER: Any = int


class Transfer(faust.Record):
    """Money from one account to another."""

    account: str
    amount: int


app = App(f"{PREFIX}-bank", broker=os.environ["BROKER"], topic_partitions=4, autodiscover=False, origin="tests")
transfers = app.topic(f"{PREFIX}-transfers", key_type=str, value_type=Transfer)
booked = app.topic(f"{PREFIX}-booked", key_type=str, value_type=Transfer)
large = app.topic(f"{PREFIX}-large", value_type=Transfer)
copies = app.topic(f"{PREFIX}-copies", value_type=Transfer)
numbered = app.topic(f"{PREFIX}-numbered", value_type=str, value_serializer="raw")
batches = app.topic(f"{PREFIX}-batches", value_type=NUMBER)
beats = app.topic(f"{PREFIX}-beats", value_type=str, value_serializer="raw")
balances = app.Table("balances", default=int, key_type=str)
profiles = app.topic(f"{PREFIX}-profiles", key_type=str, value_serializer="json", compacting=True, partitions=4)
recovered: list[bool] = []
assigned: list[int] = []


@app.agent(transfers, sink=[booked], concurrency=2)
async def book(stream: Any) -> AsyncIterator[Transfer]:
    """Book transfers and pass large ones on."""
    async for event in stream.events():
        transfer = event.value
        balances[transfer.account] += transfer.amount
        if transfer.amount >= 100:
            await event.forward(large)
            await audit.cast(transfer.amount, key=transfer.account)
        yield transfer


@app.agent(value_type=int)
async def audit(stream: Any) -> None:
    """Take the sizes of large transfers in batches, from the agent's own topic."""
    async for amounts in stream.take(10, within=1.0):
        for amount in amounts:
            await batches.send(value=amount)


@app.agent(booked)
async def number(stream: Any) -> None:
    """Number what is booked, leaving small change out."""
    async for index, transfer in stream.echo(copies).filter(lambda each: each.amount > 1).enumerate(1):
        await numbered.send(value=f"{index > 0}:{transfer.account}:{transfer.amount}")


@app.agent(profiles)
async def touch(stream: Any) -> None:
    """Pass profiles through a topic."""
    async for key, profile in stream.through(f"{PREFIX}-passed").items():
        await beats.send(key=key, value=f"profile {profile['name']}")


async def on_recover() -> None:
    """Note that the table is there."""
    recovered.append(True)


balances.on_recover(on_recover)


async def on_assigned(_app: Any, assigned_partitions: Any, **_kwargs: Any) -> None:
    """Note what the worker works on."""
    assigned.append(len(assigned_partitions))


signal: Any = app.on_partitions_assigned
signal.connect(on_assigned)


async def at_start(_app: Any) -> None:
    """Say that the table was restored before tasks began."""
    await beats.send(key="task", value=f"recovered {recovered} assigned {bool(assigned and assigned[-1])}", headers={"by": b"task"})


app.task()(at_start)


async def beat() -> None:
    """Say that it lives."""
    await beats.send(key="timer", value="beat")


app.timer(interval=0.2)(beat)


async def lead() -> None:
    """Say who leads."""
    await beats.send(key="leader", value=os.environ.get("WORKER", ""))


app.timer(interval=0.2, on_leader=True)(lead)


@app.command()
async def deposit() -> None:
    """Put money into an account, from the command line."""
    for n in range(3):
        await transfers.send(key="cli", value=Transfer("cli", n + 1))


if __name__ == "__main__":
    app.main()
