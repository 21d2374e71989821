"""The tables of one worker: which partitions it has of them, where they are kept, and how far a restart could rely on that."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from processors.runtime.state.checkpoint import Checkpoints, Place
from processors.runtime.state.disk import DiskStores
from processors.runtime.state.restore import Changelog, restore
from processors.runtime.state.store import Mark, Shard
from processors.runtime.state.table import Table

Shards = dict[int, list[Shard]]


class Tables:
    """Tables and their shards.

    Parameters
    ----------
    tables
        The application's tables, each at its slot.
    config
        librdkafka's settings of the cluster.
    folder
        The worker's folder, for tables that are kept on disk.
    stopping
        Whether the worker wants to stop.

    Attributes
    ----------
    held
        The shards that are open, by partition number and slot.
    """

    def __init__(self, tables: list[Table], config: Mapping[str, Any], folder: Path, stopping: Callable[[], bool]) -> None:
        self._tables = tables
        self._config = config
        self._stopping = stopping
        self._disk = DiskStores(folder) if any(table.on_disk for table in tables) else None
        self._checkpoints = Checkpoints(config)
        self.held: Shards = {}

    def acquire(self) -> None:
        """Take the worker's folder, where a table is on disk; see :meth:`processors.runtime.state.disk.DiskStores.acquire`."""
        if self._disk is not None:
            self._disk.acquire(self._stopping)

    def restore(self, numbers: Collection[int]) -> tuple[Shards, int]:
        """Open shards of partition numbers and restore them.

        Returns
        -------
        The shards, which :meth:`serve` takes, and how many records of changelogs were read.
        """
        opened: Shards = {}
        changelogs: list[Changelog] = []
        try:
            for number in sorted(numbers):
                opened[number] = []
                for table in self._tables:
                    shard = table.new_shard(number, self._disk)
                    opened[number].append(shard)
                    changelogs.append(Changelog(table.changelog_topic_name, number, shard))
            return opened, restore(self._config, changelogs, self._stopping)
        except BaseException:
            _close(opened)
            raise

    def serve(self, opened: Shards) -> None:
        """Have the tables read from and write to these shards besides those that are held already."""
        self.held.update(opened)
        for table in self._tables:
            table.close_partitions()
            for number, shards in self.held.items():
                table.open_partition(number, shards[table.slot])

    def drop(self, keep: Collection[int] = ()) -> None:
        """Give up all partition numbers but these."""
        dropped = {number: shards for number, shards in self.held.items() if number not in keep}
        self.held = {number: shards for number, shards in self.held.items() if number in keep}
        self._checkpoints.forget()
        for table in self._tables:
            table.close_partitions(keep)
        _close(dropped)

    def release(self) -> None:
        """Give up everything, the folder too."""
        self.drop()
        if self._disk is not None:
            self._disk.release()

    def marks(self) -> list[tuple[Shard, Mark]]:
        """Return what may be said of stores on disk once the transaction that is about to begin is committed; see :mod:`.checkpoint`."""
        return [] if self._disk is None else self._checkpoints.before(self._places)

    def _places(self) -> Iterator[tuple[Place, Shard]]:
        for number, shards in self.held.items():
            for table, shard in zip(self._tables, shards, strict=True):
                yield (table.changelog_topic_name, number), shard


def _close(shards: Shards) -> None:
    for shard in (shard for each in shards.values() for shard in each):
        shard.store.close()
