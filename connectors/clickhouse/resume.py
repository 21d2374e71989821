"""Where a sink goes on: behind each table's end, if the topic is the one that the table's rows are of."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from connectors.clickhouse.store import Store
from connectors.clickhouse.tables import TopicTable
from connectors.kafka.logs import Logs
from quantum.errors import RetryError

Place = tuple[str, int]
"""Topic and partition."""


class TopicBehindError(RetryError):
    """A topic ends before the table that keeps it, so that its records are not those that the rows go on to; or it is not there."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a partition is gone on with.

    Attributes
    ----------
    end
        Greatest offset of the table; -1 where it has none.
    position
        Offset to read from.
    refused
        Why it must not be read; None where it may.
    """

    end: int
    position: int
    refused: TopicBehindError | None = None


class Resumption:
    """Finds where partitions are gone on with.

    A topic that was deleted and made anew begins at offset 0 again, and so does another Kafka's. A sink that went on behind its table's end
    would wait there until the topic has grown so long, and everything before would be missing. So a partition whose topic ends
    before its table is refused. A topic that has grown beyond the table's end meanwhile cannot be told from the old one.

    Parameters
    ----------
    store
        The tables.
    logs
        The topics.
    """

    def __init__(self, store: Store, logs: Logs) -> None:
        self._store = store
        self._logs = logs

    def starts(self, specs: Mapping[str, TopicTable], places: Collection[Place]) -> dict[Place, Start]:
        """Return where some partitions are gone on with.

        Parameters
        ----------
        specs
            The tables by topic.
        places
            The partitions.

        Raises
        ------
        RetryError
            The store or Kafka is away.
        ConfigurationError
            A table is missing.
        """
        ends: dict[Place, int] = {}
        for topic in sorted({topic for topic, _ in places}):
            found = self._store.ends(specs[topic], [partition for name, partition in places if name == topic])
            ends.update({(topic, partition): end for partition, end in found.items()})
        counts = self._logs.partitions()
        bounds = self._logs.bounds([place for place in places if place[1] < counts.get(place[0], 0)])
        out = {}
        for place, end in ends.items():
            log = bounds.get(place)
            if log is None:  # deleted, or not made yet: others must not wait for it
                out[place] = Start(end, end + 1, TopicBehindError(f"{place[0]} has no partition {place[1]}", "quantum topics apply"))
            elif log.end > end:
                out[place] = Start(end, max(end + 1, log.begin))
            else:
                out[place] = Start(end, log.end, _refusal(specs[place[0]], place, end, log.end))
        return out


def _refusal(spec: TopicTable, place: Place, end: int, behind: int) -> TopicBehindError:
    return TopicBehindError(
        f"{place[0]}, partition {place[1]}, ends before offset {behind}, while {spec.name} has rows of it up to offset {end}: "
        "the topic has been made anew, or the store is another Kafka's; none of its records is carried",
        "let QUANTUM_KAFKA and QUANTUM_CLICKHOUSE name servers that belong together; for a topic that was made anew see docs/operations.md",
    )
