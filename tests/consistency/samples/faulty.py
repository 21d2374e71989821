"""Agents that derive streams and raise: in the stream, in a key, in a sink's source; and programs that cannot work at all."""

from __future__ import annotations

import os
from typing import Any

import faust

from processors.runtime import App

PREFIX = os.environ["PREFIX"]
FAULT = os.environ.get("FAULT", "")


class Numbered(faust.Record):
    """A number and its name."""

    name: str
    number: int


app = App(f"{PREFIX}-faulty", broker=os.environ["BROKER"], max_retries=1)
numbers = app.topic(f"{PREFIX}-in", value_type=Numbered)
counted = app.topic(f"{PREFIX}-out", key_type=str)
counts = app.Table("counts", default=int)
raised: set[int] = set()


def name_of(each: Numbered) -> str:
    """Return the key to group by, where there is one."""
    if each.number % 50 == 7:
        raise ValueError(f"{each.number} has no name")
    return each.name


@app.agent(numbers)
async def count(stream: Any) -> None:
    """Count by name; raise once for every fortieth."""
    async for each in stream.group_by(name_of, name="name"):
        counts[each.name] += 1
        await counted.send(key=each.name, value=counts[each.name])
        if each.number % 40 == 11 and each.number not in raised:
            raised.add(each.number)
            raise RuntimeError("after the table and the send")


@app.agent(numbers)
async def watch(stream: Any) -> None:
    """Refuse a number that came through another topic."""
    async for each in stream.through(f"{PREFIX}-passed"):
        if each.number == 33:
            raise KeyError("33")


if FAULT == "combine":

    @app.agent(counted)
    async def combine(stream: Any) -> None:
        """Do what is not supported."""
        async for _ in stream & stream:
            pass


if FAULT == "task":

    async def read() -> None:
        """Read a topic outside of an agent."""
        async for _ in app.stream(numbers):
            pass

    app.task()(read)


if FAULT == "timer":

    async def broken() -> None:
        """Raise."""
        raise RuntimeError("broken timer")

    app.timer(interval=0.1)(broken)


if __name__ == "__main__":
    app.main()
