"""The counting task on faust-streaming as it is, at least once: ``python -m tests.bench.peers.faust_stock worker --without-web``.

PREFIX, BOOTSTRAP and STATE, a folder of its own, are in the environment.
"""

from __future__ import annotations

import os
from typing import Any

import faust

PREFIX = os.environ["PREFIX"]
PARTITIONS = 4

app = faust.App(
    f"{PREFIX}-app",
    broker=f"kafka://{os.environ['BOOTSTRAP']}",
    store="memory://",
    topic_partitions=PARTITIONS,
    topic_replication_factor=1,
    datadir=os.environ["STATE"],
)
source = app.topic(f"{PREFIX}-in", key_serializer="raw", value_serializer="raw", partitions=PARTITIONS)
sink = app.topic(f"{PREFIX}-out", key_serializer="raw", value_serializer="raw", partitions=PARTITIONS)
counts: Any = app.Table("counts", default=int, partitions=PARTITIONS)


@app.agent(source)
async def count(stream: Any) -> None:
    """Count by key."""
    async for event in stream.events():
        key = event.key.decode()
        counts[key] += 1
        await sink.send(key=event.key, value=b"%d" % counts[key])


if __name__ == "__main__":
    app.main()
