"""What an epoch changed in the tables, and the changelogs' records of it."""

from __future__ import annotations

from collections.abc import Iterable

from processors.runtime.api.topics import Outgoing
from processors.runtime.state.store import Change, Shard
from processors.runtime.state.table import Table

#: The shards that changed, each with its table and partition number, and their changes as bytes.
Changes = list[tuple[Table, int, Shard, list[Change]]]


def changes_of(tables: Iterable[Table]) -> Changes:
    """Return what the open epoch changed in tables, serialised; windows that it leaves behind are deleted with it."""
    found: Changes = []
    for table in tables:
        for partition, shard in table.shards.items():
            if shard.touched:
                table.expire(partition, shard.written())
                found.append((table, partition, shard, shard.changes()))
    return found


def changelog_records(changes: Changes) -> list[Outgoing]:
    """Return the changelogs' records of an epoch."""
    return [
        (table.changelog_topic_name, partition, table.encode_key(key), data, None, 0)
        for table, partition, _, changed in changes
        for key, data in changed
    ]
