"""An application's agents over recorded input in the recorded order, without Kafka: the same tables and outputs again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from confluent_kafka import Message

from processors.runtime.api.event import Source
from processors.runtime.api.topics import Outgoing
from processors.runtime.epochs.hub import Hub
from processors.runtime.epochs.order import Run
from processors.runtime.state.changes import changelog_records, changes_of
from processors.runtime.state.table import Table
from quantum.errors import ConfigurationError, StopError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from processors.runtime.api.app import App


class Rerun(Hub):
    """Stands in the engine's place in an application that is not started.

    ``async with`` starts the agents; :meth:`begin` takes empty tables for a partition number, :meth:`dispatch` works through a
    run, and :meth:`commit` ends an epoch and gives what it sent. Timers and tasks of the application are not started: what they
    send has no input that it could be repeated from.

    Parameters
    ----------
    app
        The application.

    Raises
    ------
    ConfigurationError
        The application has an engine already.
    """

    def __init__(self, app: App) -> None:
        super().__init__(app)
        if "engine" in vars(app):
            raise ConfigurationError(f"{app.conf.id} has been started", "make the application again for a re-run")
        vars(app)["engine"] = self  # the cached property's place
        self._tables: list[Table] = []
        self._sources: dict[tuple[Any, Any], Source] = {}

    async def __aenter__(self) -> Self:
        self.app.finalize()
        self._tables = [cast(Table, table) for table in self.app.tables.values()]
        for slot, table in enumerate(self._tables):
            table.slot = slot
        await self.app.agents.start()
        await self._dispatcher.barrier.wait()
        self._raise_failure()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.app.agents.stop()

    @property
    def topics(self) -> list[str]:
        """The topics that the agents read."""
        return sorted(self._dispatcher.topics)

    def begin(self, partition: int) -> None:
        """Begin with empty tables on a partition number."""
        shards = [table.new_shard() for table in self._tables]
        for table, shard in zip(self._tables, shards, strict=True):
            table.close_partitions()
            table.open_partition(partition, shard)
        self._sources = {(topic, partition): Source(topic, partition, shards=shards) for topic in self.topics}
        self.epoch += 1

    async def dispatch(self, run: Run, records: Sequence[Message]) -> None:
        """Give a run's records to the agents and wait until they are done.

        Raises
        ------
        StopError
            An agent raises, or a record cannot be decoded now that was decoded then.
        """
        if run.dead:
            return
        delivered, _ = self._dispatcher.deliver(records, self._sources, self.epoch)
        await self._dispatcher.barrier.wait()
        self._raise_failure()
        if delivered < len(records):
            raise StopError(f"{run.topic} from offset {run.offset} cannot be decoded", "start the registry")

    def commit(self) -> tuple[list[Outgoing], list[Outgoing]]:
        """End an epoch.

        Returns
        -------
        What its agents sent, and what it would have written to the changelogs.
        """
        self.epoch += 1
        changes = changes_of(self._tables)
        for _, _, shard, changed in changes:
            shard.apply(changed)
        sent, self._outbox = self._outbox, []
        self.epoch += 1
        return sent, changelog_records(changes)

    def _raise_failure(self) -> None:
        if self._failures:
            error, _ = self._failures[0]
            raise StopError(f"an agent raises in the re-run: {type(error).__name__}: {error}", "look at what else it reads") from error
