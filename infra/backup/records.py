"""Records of whole topics, with their offsets, as a file of JSON lines: the first line says where the partitions end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from connectors.clickhouse.archive.layout import damaged
from connectors.kafka.logs import Logs
from connectors.kafka.placement import Entry, LogWriter, entry_of
from infra.backup.layout import RECORDS
from processors.components import read_from
from processors.topology import NODES

TOPICS = NODES["operator"].writes
"""What a person decides stands on these topics and nowhere else."""


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    """A record, and its partition."""

    partition: int
    entry: Entry


def file(folder: Path, topic: str) -> Path:
    """Return where the records of a topic are within a backup."""
    return folder / RECORDS / f"{topic}.jsonl"


def dump(logs: Logs, topic: str, partitions: int, path: Path) -> int:
    """Write the committed records of a topic to a file; returns how many.

    Raises
    ------
    RetryError
        Kafka does not answer.
    """
    places = [(topic, partition) for partition in range(partitions)]
    bounds = logs.bounds(places)
    lines = []
    for message in read_from(logs.bootstrap, {place: bounds[place].begin for place in places}):
        partition, entry = message.partition() or 0, entry_of(message)
        if entry.offset < bounds[topic, partition].end:
            lines.append(_Line(partition=partition, entry=entry))
    lines.sort(key=lambda line: (line.partition, line.entry.offset))
    head = {partition: bounds[topic, partition].end for partition in range(partitions)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in (head, *lines)))
    return len(lines)


def restore(writer: LogWriter, topic: str, path: Path) -> int:
    """Write the records of a file to a topic that holds nothing, each at its own offset; returns how many.

    Raises
    ------
    ArchiveError
        The file cannot be read.
    DependencyError
        Somebody else writes to the topic.
    """
    written = 0
    for partition, end, entries in _read(path):
        writer.write(topic, partition, entries, end)
        written += len(entries)
    return written


def _read(path: Path) -> Iterator[tuple[int, int, list[Entry]]]:
    try:
        head, *lines = path.read_bytes().splitlines()
        ends = msgspec.json.decode(head, type=dict[int, int])
        records = [msgspec.json.decode(line, type=_Line) for line in lines]
    except (OSError, ValueError, msgspec.DecodeError) as error:
        raise damaged(path, str(error)) from error
    for partition, end in sorted(ends.items()):
        yield partition, end, [line.entry for line in records if line.partition == partition]
