"""Running what was recorded again, and comparing every decision.

A stage's input topics and its order log determine its tables and what it writes. Here its agents, the same code on empty tables,
work through both once more, in one process that nothing disturbs. What comes out must be what the workers committed, whatever
happened to them on the way: record by record, headers too, and table by table. It needs the topics from their beginning.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Message

from connectors.kafka.tapes import Tapes
from connectors.registry.client import Registry
from processors.app import application_id, create_app
from processors.components import read_from, read_messages
from processors.runtime.api.topics import Outgoing
from processors.runtime.epochs.order import Order, Run, order_topic, read_order
from processors.runtime.epochs.rerun import Rerun
from processors.topology import NODES, STAGES, writers
from quantum.errors import ConfigurationError, RetryError
from quantum.settings import DECISIVE, Settings

Place = tuple[str, int]
_MOST_NOTES = 5


@dataclass(slots=True)
class Verdict:
    """What the re-run of a stage found.

    Attributes
    ----------
    records
        Input records that were worked through again.
    epochs
        Transactions in which the stage's workers had committed them.
    outputs
        Records that the re-run sent.
    skipped
        Input records that no worker dispatched, or that one dispatched twice: a run did not begin where the one before had ended.
    missing
        Records that the re-run sent and the workers did not.
    out_of_order
        Records that both sent, in another order within a partition.
    surplus
        Records that the workers sent and the re-run did not; counted where every writer of the topic is a stage that was re-run.
    keys
        Keys of the tables after the last epoch.
    keys_differing
        Keys whose changelog says something else.
    notes
        The first differences, in words.
    """

    stage: str
    records: int = 0
    epochs: int = 0
    outputs: int = 0
    skipped: int = 0
    missing: int = 0
    out_of_order: int = 0
    surplus: int = 0
    keys: int = 0
    keys_differing: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not (self.skipped or self.missing or self.out_of_order or self.surplus or self.keys_differing)

    def note(self, text: str) -> None:
        """Keep a difference in words, if it is one of the first."""
        if len(self.notes) < _MOST_NOTES:
            self.notes.append(text)


@dataclass(slots=True)
class History:
    """What the order log of a stage says.

    Attributes
    ----------
    orders
        What each epoch dispatched, by partition.
    used
        The settings that it ran with, by name of their type.
    revisions
        The git revisions that it ran as.
    """

    orders: dict[int, list[Order]] = field(default_factory=dict)
    used: dict[str, dict[str, Any]] = field(default_factory=dict)
    revisions: set[str] = field(default_factory=set)


def read_history(settings: Settings, stage: str) -> History:
    """Return what the order log of a stage says; raises as :func:`verify` does."""
    log = order_topic(application_id(stage))
    history = History({partition: [] for partition in range(settings.partitions)})
    for message in read_messages(settings.kafka, log, settings.partitions):
        order = read_order(message.value() or b"")
        history.orders[int(message.partition() or 0)].append(order)
        pairs: Any = message.headers()
        for name, value in pairs or ():
            if name == "revision":
                history.revisions.add(value.decode())
            elif name == "settings":
                used = msgspec.json.decode(value)
                if history.used not in ({}, used):
                    raise ConfigurationError(
                        f"{stage} ran with {history.used} and from epoch {order.epoch} on with {used}", "only one of them can be run again"
                    )
                history.used = used
    return history


class Recorded:
    """What the stages' workers had sent, as digests, to be ticked off."""

    def __init__(self, bootstrap: str, topics: Iterable[str], partitions: int) -> None:
        self._places: dict[Place, dict[bytes, deque[int]]] = defaultdict(lambda: defaultdict(deque))
        starts = {(topic, partition): OFFSET_BEGINNING for topic in topics for partition in range(partitions)}
        for message in read_from(bootstrap, starts) if starts else ():
            headers: Any = message.headers()
            place, offset = (str(message.topic()), int(message.partition() or 0)), int(message.offset() or 0)
            self._places[place][_digest(message.key(), message.value(), headers)].append(offset)

    def tick_off(self, sent: Outgoing) -> int | None:
        """Return the offset at which a record stands, and count it no more; None where it does not."""
        topic, partition, key, value, headers, _ = sent
        offsets = self._places[topic, partition].get(_digest(key, value, headers))
        return offsets.popleft() if offsets else None

    def left(self, topic: str) -> list[tuple[int, int]]:
        """Return partition and offset of the records of a topic that were not ticked off."""
        places = [(place[1], digests) for place, digests in self._places.items() if place[0] == topic]
        return sorted((partition, offset) for partition, digests in places for offsets in digests.values() for offset in offsets)


def _digest(key: Any, value: Any, headers: Any) -> bytes:
    found = blake2b(digest_size=16)
    for part in (key, value, *(each for pair in headers or () for each in pair)):
        data = part.encode() if isinstance(part, str) else part
        found.update(b"-" if data is None else b"%d:" % len(data))
        found.update(data or b"")
    return found.digest()


async def verify(settings: Settings, stages: Sequence[str] = STAGES, tell: Callable[[str], None] = lambda _: None) -> list[Verdict]:
    """Run stages again over everything that is recorded, and compare.

    The platform must be at rest: what a worker commits meanwhile would count as surplus.

    Parameters
    ----------
    settings
        Where things are; what the stages' decisions depend on is taken from their order logs.
    stages
        Names of stages.
    tell
        Told what is done, a line each.

    Raises
    ------
    ConfigurationError
        A stage ran with one setting and later with another.
    RetryError
        A topic does not reach back to its beginning any more, or the broker does not answer.
    """
    written = sorted({topic for stage in stages for topic in NODES[stage].writes})
    tell(f"reading {len(written)} topics")
    recorded = Recorded(settings.kafka, written, settings.partitions)
    with Registry(settings.registry) as ids:
        verdicts = [await _stage(settings, stage, ids, recorded, tell) for stage in stages]
    for verdict in verdicts:
        for topic in NODES[verdict.stage].writes:
            if set(writers(topic)) <= set(stages) and writers(topic)[0] == verdict.stage:
                _surplus(verdict, topic, recorded)
    return verdicts


async def _stage(settings: Settings, stage: str, ids: Registry, recorded: Recorded, tell: Callable[[str], None]) -> Verdict:
    history = read_history(settings, stage)
    tell(f"running {stage} again, as {' and '.join(sorted(history.revisions)) or 'nothing'} did")
    verdict = Verdict(stage, epochs=sum(map(len, history.orders.values())))
    used = {name: value for name, value in history.used.items() if name != Settings.__name__}
    as_then = settings.model_copy(update=Settings(**history.used.get(Settings.__name__, {})).model_dump(include=set(DECISIVE)))
    app = create_app(stage, as_then, ids, worker="replay", recorded=used)
    changelogs = [table.changelog_topic_name for table in app.tables.values()]
    tables: dict[Place, dict[bytes, bytes]] = {(name, partition): {} for name in changelogs for partition in range(settings.partitions)}
    async with Rerun(app) as rerun:
        for partition, orders in history.orders.items():
            topics = {run.topic for order in orders for run in order.runs}
            with Tapes(settings.kafka, topics, partition) as tapes:
                await _partition(rerun, verdict, partition, orders, tapes, tables, recorded)
    _compare_tables(settings.kafka, tables, verdict)
    return verdict


def _surplus(verdict: Verdict, topic: str, recorded: Recorded) -> None:
    for partition, offset in recorded.left(topic):
        verdict.surplus += 1
        verdict.note(f"{topic} {partition} offset {offset} is not sent again")


async def _partition(
    rerun: Rerun, verdict: Verdict, partition: int, orders: list[Order], tapes: Tapes,
    tables: dict[Place, dict[bytes, bytes]], recorded: Recorded,
) -> None:  # fmt: skip
    """Work through one partition number of a stage."""
    last: dict[Place, int] = {}
    rerun.begin(partition)
    for order in orders:
        for run in order.runs:
            records = _records(tapes, run, verdict, order)
            verdict.records += len(records)
            await rerun.dispatch(run, records)
        sent, changed = rerun.commit()
        verdict.outputs += len(sent)
        for each in sent:
            _compare(each, verdict, recorded, last, order)
        for changelog, _, key, data, _, _ in changed:
            _write(tables[changelog, partition], key or b"", data)


def _write(table: dict[bytes, bytes], key: bytes, data: bytes | None) -> None:
    if data is None:
        table.pop(key, None)
    else:
        table[key] = data


def _records(tapes: Tapes, run: Run, verdict: Verdict, order: Order) -> list[Message]:
    """Return a run's records: the topic's next, since whatever comes before them should have been in a run before."""
    records = tapes.take(run.topic, run.count)
    while (found := int(records[0].offset() or 0)) < run.offset:
        verdict.skipped += 1
        verdict.note(f"{run.topic} {records[0].partition()} offset {found} was not dispatched before {order.epoch}")
        records = [*records[1:], *tapes.take(run.topic, 1)]
    if found > run.offset:
        raise RetryError(
            f"{run.topic} {records[0].partition()} has no offset {run.offset}, which {order.epoch} dispatched, or it was dispatched before",
            "the topic must reach back to its beginning: only a whole recording can be run again",
        )
    return records


def _compare(sent: Outgoing, verdict: Verdict, recorded: Recorded, last: dict[Place, int], order: Order) -> None:
    place = sent[0], sent[1]
    offset = recorded.tick_off(sent)
    if offset is None:
        verdict.missing += 1
        verdict.note(f"{sent[0]} {sent[1]} key {(sent[2] or b'').decode()} of {order.epoch} is not on the topic as it is sent again")
    elif offset < last.get(place, -1):
        verdict.out_of_order += 1
        verdict.note(f"{sent[0]} {sent[1]} offset {offset} of {order.epoch} stands before what was sent before it")
    else:
        last[place] = offset


def _compare_tables(bootstrap: str, tables: dict[Place, dict[bytes, bytes]], verdict: Verdict) -> None:
    logged: dict[Place, dict[bytes, bytes]] = {place: {} for place in tables}
    for message in read_from(bootstrap, dict.fromkeys(tables, OFFSET_BEGINNING)) if tables else ():
        key: Any = message.key()
        value: Any = message.value()
        _write(logged[str(message.topic()), int(message.partition() or 0)], key, value)
    for place, table in tables.items():
        verdict.keys += len(table)
        for key in table.keys() | logged[place].keys():
            if table.get(key) != logged[place].get(key):
                verdict.keys_differing += 1
                verdict.note(f"{place} key {key.decode()}: {logged[place].get(key)!r:.300} against {table.get(key)!r:.300}")
