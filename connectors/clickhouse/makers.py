"""What makes rows of a topic's records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from confluent_kafka import Message

from connectors.clickhouse.decode import Decoded, Decoder
from connectors.clickhouse.letters import LetterDecoder, LetterTable
from connectors.clickhouse.store import Store
from connectors.clickhouse.tables import TableSpec, TopicTable
from schemas.codec import SchemaIds


class RowMaker(Protocol):
    """Makes rows of the records of one topic."""

    def decode(self, records: Sequence[Message]) -> Decoded:
        """Return the rows of records of one partition, and the records that cannot be rows."""


def row_maker(spec: TopicTable, ids: SchemaIds, store: Store) -> RowMaker:
    """Return what makes rows of a topic's records."""
    match spec:
        case LetterTable():
            return LetterDecoder(spec)
        case TableSpec():
            return Decoder(spec, ids, store.columns)
        case _:
            raise TypeError(f"{spec} is neither of records nor of dead letters")
