"""The counting task on Quix Streams, exactly once: ``python quix_streams.py`` in an environment that has quixstreams.

PREFIX, BOOTSTRAP and STATE, a folder of its own, are in the environment. The benchmark gives it an environment of its own, since
quixstreams wants other versions of some libraries than the platform has.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any


def count(_value: str, state: Any) -> str:
    """Return the count of the record's key."""
    number = state.get("count", 0) + 1
    state.set("count", number)
    return str(number)


def main() -> None:
    """Count until the process is told to end."""
    prefix = os.environ["PREFIX"]
    app = import_module("quixstreams").Application(
        broker_address=os.environ["BOOTSTRAP"],
        consumer_group=f"{prefix}-app",
        processing_guarantee="exactly-once",
        auto_offset_reset="earliest",
        state_dir=os.environ["STATE"],
        commit_interval=1.0,
        loglevel="WARNING",
    )
    source = app.topic(f"{prefix}-in", key_deserializer="str", value_deserializer="str")
    sink = app.topic(f"{prefix}-out", key_serializer="str", value_serializer="str")
    app.dataframe(source).apply(count, stateful=True).to_topic(sink)
    app.run()


if __name__ == "__main__":
    main()
