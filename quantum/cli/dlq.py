"""``quantum dlq``: records that were given up, why, and back onto their topics."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import click
import msgspec
from confluent_kafka import OFFSET_BEGINNING
from rich.console import Console
from rich.table import Table

from connectors.kafka.dead_letters import SUFFIX, Letter, letters, replay
from connectors.kafka.logs import Logs
from processors.components import key_partition, read_from, registry
from processors.topology import TOPICS
from quantum.errors import ConfigurationError, QuantumError
from quantum.settings import Settings, load
from schemas.codec import RecordCodec

_TOPIC = click.argument("topic", type=click.Choice(list(TOPICS)), metavar="TOPIC")
_JSON = click.option("--json", "as_json", is_flag=True, help="Write a JSON array.")
_SHOWN_BYTES = 200
_HOUR_S = 3_600


@click.group()
def dlq() -> None:
    """Look at the records that could not be processed, and put them back.

    They stand on TOPIC.dlq for 30 days; the history keeps them for 90, in dead_letters.
    """


@dlq.command("list")
@_JSON
def list_letters(as_json: bool) -> None:
    """Show how many there are, by topic, who gave them up and why."""
    found: Counter[tuple[str, str, str]] = Counter()
    back: Counter[tuple[str, str, str]] = Counter()
    newest: dict[tuple[str, str, str], Letter] = {}
    for letter in _read(load(), list(TOPICS)):
        kind = letter.topic, letter.stage, letter.error
        found[kind] += 1
        back[kind] += letter.replayed
        newest[kind] = max(newest.get(kind, letter), letter, key=lambda each: each.entry.timestamp_ms)
    rows: list[dict[str, Any]] = [
        {
            "topic": kind[0], "stage": kind[1], "error": kind[2], "letters": count, "replayed": back[kind],
            "newest": _when(newest[kind]), "says": newest[kind].message,
        }
        for kind, count in sorted(found.items())
    ]  # fmt: skip
    _write(rows, as_json, "there are no dead letters")


@dlq.command("show")
@_TOPIC
@click.option("--partition", type=int, help="Partition of the dead-letter topic.")
@click.option("--offset", type=int, help="Offset there.")
@click.option("--limit", default=20, show_default=True, help="Show so many, the newest.")
@_JSON
def show(topic: str, partition: int | None, offset: int | None, limit: int, as_json: bool) -> None:
    """Show the letters of TOPIC: where they stand, why, and the record as far as it can be read."""
    settings = load()
    chosen = [
        letter
        for letter in _read(settings, [topic])
        if (partition is None or letter.partition == partition) and (offset is None or letter.entry.offset == offset)
    ]
    chosen.sort(key=lambda letter: letter.entry.timestamp_ms)
    with registry(settings) as ids:
        codec: RecordCodec[Any] = RecordCodec(TOPICS[topic].subject, TOPICS[topic].record, ids)
        rows = [
            {
                "partition": letter.partition, "offset": letter.entry.offset, "given up": _when(letter), "stage": letter.stage,
                "error": letter.error, "says": letter.message, "record at": f"{letter.record_partition}:{letter.record_offset}",
                "key": (letter.entry.key or b"").decode("utf-8", "backslashreplace"), "bytes": len(letter.entry.value or b""),
                "record": _readable(codec, letter), "replayed": letter.replayed,
            }
            for letter in chosen[-limit:]
        ]  # fmt: skip
    _write(rows, as_json, f"{topic} has no such dead letters")


@dlq.command("replay")
@_TOPIC
@click.option("--partition", type=int, help="Partition of one letter on the dead-letter topic.")
@click.option("--offset", type=int, help="Its offset there.")
@click.option("--stage", help="Letters that this stage gave up.")
@click.option("--error", help="Letters with this type of error.")
@click.option("--all", "every", is_flag=True, help="All letters of the topic.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def replay_letters(
    topic: str, partition: int | None, offset: int | None, stage: str | None, error: str | None, every: bool, yes: bool
) -> None:
    """Put records back onto TOPIC, as they were, behind what is there now.

    Each is put back once, however often this is called. All readers of TOPIC get them again, also those that had no trouble with them: mend
    what gave them up first, and think of what an old record does now.
    """
    settings = load()
    if TOPICS[topic].state:
        raise ConfigurationError(
            f"the newest record of a key is the state on {topic}: an old one put back would take its place", "write the state anew"
        )
    if not (every or stage or error or (partition is not None and offset is not None)):
        raise ConfigurationError("it is not said which letters", "--partition P --offset O, --stage S, --error E, or --all")
    read = _read(settings, [topic])
    chosen = [
        letter
        for letter in read
        if (partition is None or letter.partition == partition)
        and (offset is None or letter.entry.offset == offset)
        and (stage is None or letter.stage == stage)
        and (error is None or letter.error == error)
    ]
    left = [letter for letter in chosen if not letter.replayed]
    if not left:
        click.echo(f"nothing to put back: {len(chosen)} such letters, all of them put back already" if chosen else "no such letters")
        return
    age_h = (time.time() - min(letter.entry.timestamp_ms for letter in left) / 1000) / _HOUR_S
    if not yes:
        click.confirm(f"Put {len(left)} records, up to {age_h:.1f} hours old, back onto {topic}?", abort=True, err=True)
    done = replay(
        settings.kafka, topic, {letter.place for letter in left}, lambda: _read(settings, [topic]), lambda letter: _home(settings, letter)
    )
    click.echo(f"{done} records put back onto {topic}, {len(chosen) - done} had been before")


def _read(settings: Settings, topics: list[str]) -> list[Letter]:
    """Return all letters of some topics."""
    counts = Logs(settings.kafka).partitions()
    names = [f"{topic}{SUFFIX}" for topic in topics]
    places = {(name, partition): OFFSET_BEGINNING for name in names for partition in range(counts.get(name, 0))}
    return letters(read_from(settings.kafka, places)) if places else []


def _home(settings: Settings, letter: Letter) -> int:
    """Return the partition that a record was on; its key's, where the letter does not say it."""
    if letter.record_partition is not None:
        return letter.record_partition
    return key_partition(TOPICS[letter.topic], (letter.entry.key or b"").decode("utf-8", "replace"), settings.partitions)


def _readable(codec: RecordCodec[Any], letter: Letter) -> str:
    """Return a record as JSON; where its bytes are none of its type, the first of them in hexadecimal."""
    value = letter.entry.value
    if value is None:
        return "tombstone"
    try:
        return msgspec.json.encode(codec.decode(value)).decode()
    except QuantumError:
        return value[:_SHOWN_BYTES].hex(" ") + (" ..." if len(value) > _SHOWN_BYTES else "")


def _when(letter: Letter) -> str:
    return datetime.fromtimestamp(letter.entry.timestamp_ms / 1000, UTC).isoformat(timespec="seconds")


def _write(rows: list[dict[str, Any]], as_json: bool, none: str) -> None:
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode())
    elif not rows:
        click.echo(none)
    else:
        table = Table(show_edge=False, header_style="bold")
        for name, value in rows[0].items():
            table.add_column(name, justify="right" if isinstance(value, int) else "left", overflow="fold")
        for row in rows:
            table.add_row(*("yes" if value is True else "" if value is False else str(value) for value in row.values()))
        Console().print(table)
