"""Dead letters on their topics: what they say, and how their records are put back.

A record that is put back goes to the topic that it was on, and a mark goes to the dead-letter topic, in one transaction: either both
stand there or neither. The mark names the letter's offset. Whoever puts letters back reads the marks first, after having fenced
everybody else who does it for this topic, so that a record is put back once, however often that is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from connectors.kafka.config import client_config
from connectors.kafka.headers import header_map
from connectors.kafka.logs import REMEDY
from connectors.kafka.placement import Entry, entry_of
from quantum.errors import RetryError

SUFFIX = ".dlq"
ABOUT = "dlq."
"""What the headers begin with that say where a record was and why it was given up."""
REPLAYED = "dlq.replayed"
"""Header of a mark: the offset, in the mark's own partition, of the letter whose record has been put back."""
FROM = "replayed_from"
"""Header of a record that was put back: topic, partition and offset of the letter."""
_STAGE = "operator"
_TIMEOUT_S = 30.0
_AT_ONCE = 1_000
"""Letters of one transaction."""
_Headers = list[tuple[str, str | bytes | None]]


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter.

    Attributes
    ----------
    topic
        Topic that the record was on.
    partition
        Partition of the dead-letter topic.
    entry
        The letter as it stands there: the record's key, bytes and headers, and those that say why.
    record_partition, record_offset
        Where the record stood; None where the letter does not say it.
    stage, error, message
        Who gave it up, the type of the error, and its text.
    replayed
        Whether its record has been put back.
    """

    topic: str
    partition: int
    entry: Entry
    record_partition: int | None
    record_offset: int | None
    stage: str
    error: str
    message: str
    replayed: bool

    @property
    def place(self) -> tuple[int, int]:
        """Partition and offset of the letter."""
        return self.partition, self.entry.offset


def about(message: Message) -> dict[str, str]:
    """Return what a message's headers say of a record that was given up."""
    return {name: value.decode("utf-8", "backslashreplace") for name, value in header_map(message).items() if name.startswith(ABOUT)}


def number(text: str | None) -> int | None:
    """Return a number that a header says; None where it says none, or one of more than 18 digits."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 19 else None


def letters(messages: Iterable[Message]) -> list[Letter]:
    """Return the letters among all the messages of dead-letter topics, in order of topic, partition and offset."""
    found: dict[tuple[str, int, int], tuple[Entry, dict[str, str]]] = {}
    marked: set[tuple[str, int, int]] = set()
    for message in messages:
        topic, partition, told = message.topic() or "", message.partition() or 0, about(message)
        replays = number(told.get(REPLAYED))
        if replays is None:
            entry = entry_of(message)
            found[topic, partition, entry.offset] = entry, told
        else:
            marked.add((topic, partition, replays))
    return [
        Letter(
            place[0].removesuffix(SUFFIX), place[1], entry, number(told.get("dlq.partition")), number(told.get("dlq.offset")),
            told.get("dlq.stage", ""), told.get("dlq.error", ""), told.get("dlq.message", ""), place in marked,
        )
        for place, (entry, told) in sorted(found.items(), key=lambda item: item[0])
    ]  # fmt: skip


def replay(
    bootstrap: str, topic: str, wanted: Collection[tuple[int, int]], read: Callable[[], list[Letter]], partition_of: Callable[[Letter], int]
) -> int:
    """Put the records of letters back onto their topic; returns how many were put back now.

    Parameters
    ----------
    bootstrap
        Kafka's bootstrap servers.
    topic
        Topic that the records were on.
    wanted
        The letters' places; those that have been put back already are passed over.
    read
        Reads all letters of the topic.
    partition_of
        Says which partition of its topic a record goes to.

    Raises
    ------
    RetryError
        Kafka does not answer, or somebody else puts letters of this topic back: repeat it.
    """
    producer = Producer(client_config(bootstrap, transactional_id=f"quantum-replay-{topic}", linger_ms=5))
    try:
        producer.init_transactions(_TIMEOUT_S)  # what another one has begun is over now, and it cannot go on
        left = [letter for letter in read() if letter.place in wanted and not letter.replayed]
        for first in range(0, len(left), _AT_ONCE):
            _transaction(producer, left[first : first + _AT_ONCE], partition_of)
    except (KafkaException, SystemError) as error:  # the latter is the binding's, where a delivery is told after a fatal error
        raise RetryError(
            f"letters of {topic} could not all be put back: {error}", f"repeat it, none is put back twice; {REMEDY}"
        ) from error
    return len(left)


def _transaction(producer: Producer, some: list[Letter], partition_of: Callable[[Letter], int]) -> None:
    failed: list[KafkaError] = []

    def delivered(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            failed.append(error)

    producer.begin_transaction()
    for letter in some:
        entry, dead = letter.entry, f"{letter.topic}{SUFFIX}"
        own = [(name, value) for name, value in entry.headers if not name.startswith(ABOUT) and name != FROM]
        headers: _Headers = [*own, (FROM, f"{dead}:{letter.partition}:{entry.offset}".encode())]
        producer.produce(letter.topic, entry.value, entry.key, partition_of(letter), on_delivery=delivered, headers=headers)
        mark = {"dlq.topic": letter.topic, "dlq.stage": _STAGE, REPLAYED: str(entry.offset)}
        marks: _Headers = [(name, text.encode()) for name, text in mark.items()]
        producer.produce(dead, None, entry.key, letter.partition, on_delivery=delivered, headers=marks)
        producer.poll(0)
    if producer.flush(_TIMEOUT_S) or failed:
        with suppress(KafkaException):  # fenced: nothing of it is seen either way
            producer.abort_transaction(_TIMEOUT_S)
        raise KafkaException(failed[0] if failed else KafkaError(KafkaError._TIMED_OUT))
    producer.commit_transaction(_TIMEOUT_S)
