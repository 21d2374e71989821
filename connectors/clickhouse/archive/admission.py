"""Which rows may be imported beside a sink that trusts its table.

A sink goes on behind the greatest offset that its table has. So an import may raise that end only where the sink then misses
nothing. For each partition of a topic, with the table's end ``e``, the topic's records ``[begin, end)``, and the greatest offset ``b``
of the rows to be imported:

1. ``b <= e``: the end is not raised, the sink's place is as before. (That a row already there is the same row is compared
   row by row, see ``connectors.clickhouse.archive.load``.)
2. ``b > e`` and the rows are of this very topic: what lies between ``e`` and ``b`` is passed over by the sink. Every row that
   the archive's table had there must be among those imported, else a hole would stay for ever.
3. ``b > e`` and the rows are of another topic of that name, on another cluster or before it was made anew: offset for offset they
   are other records. Every record of this topic must have an offset beyond ``b``. A topic that holds nothing is made to begin there;
   one that holds records at or below ``b`` bars the import.

Where an end is raised no sink may be running, because a running one holds its own idea of the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from connectors.clickhouse.archive.layout import Spans
from connectors.kafka.logs import Bounds


@dataclass(frozen=True, slots=True)
class Place:
    """A partition that rows are to be imported for.

    Attributes
    ----------
    table, topic
        The table, and the topic that it keeps.
    partition
        The partition.
    end
        Greatest offset that the table has; -1 for none.
    bounds
        Where the topic's partition begins and ends; None where there is none.
    same
        Whether the rows are of this very topic.
    """

    table: str
    topic: str
    partition: int
    end: int
    bounds: Bounds | None
    same: bool


@dataclass(slots=True)
class Admission:
    """What an import needs, over all of its partitions.

    Attributes
    ----------
    advance
        Where topics that hold nothing must begin.
    raises
        Tables whose end is raised.
    barred
        Why rows cannot be imported, one line each.
    """

    advance: dict[tuple[str, int], int] = field(default_factory=dict)
    raises: set[str] = field(default_factory=set)
    barred: list[str] = field(default_factory=list)

    def consider(self, place: Place, days: Mapping[str, Spans], chosen: Iterable[str]) -> None:
        """Consider the rows of one partition.

        Parameters
        ----------
        place
            The partition.
        days
            What the archive's table had by day.
        chosen
            The days that are imported.
        """
        selected = set(chosen)
        lasts = [days[day][place.partition].last for day in selected if place.partition in days[day]]
        if not lasts or (last := max(lasts)) <= place.end:
            return
        self.raises.add(place.table)
        where = f"{place.table}, partition {place.partition}"
        if place.bounds is None:
            self.barred.append(
                f"{where}: topic {place.topic} has no such partition; quantum topics apply, with the archive's QUANTUM_PARTITIONS"
            )
        elif place.same:
            # What Kafka has no more of its own, no sink could carry any more.
            after = max(place.end, place.bounds.begin - 1)
            left_out = sorted(day for day in days.keys() - selected if _reaches(days[day], place.partition, after, last))
            if left_out:
                self.barred.append(
                    f"{where}: the table ends at offset {place.end}, so that the rows of {', '.join(left_out)} would never come; "
                    "import these days as well, or let the sink carry them first"
                )
        elif place.bounds.begin <= last:
            if place.bounds.empty:
                self.advance[place.topic, place.partition] = last + 1
            else:
                self.barred.append(
                    f"{where}: topic {place.topic} holds other records from offset {place.bounds.begin} on, the archive's rows go "
                    f"to {last}: the sink would pass over those records"
                )


def _reaches(spans: Spans, partition: int, after: int, last: int) -> bool:
    span = spans.get(partition)
    return span is not None and span.last > after and span.first <= last
