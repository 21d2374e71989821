"""What the sink asks of the history store: where a table ends, and to append a block."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

from connectors.clickhouse.arrays import to_ipc
from connectors.clickhouse.tables import TopicTable
from quantum.errors import ConfigurationError, DeadLetterError, RetryError

_ROWS_ARE_WRONG = frozenset({6, 26, 27, 32, 33, 38, 41, 43, 53, 69, 70, 72, 117, 321, 349, 407, 440, 441})
"""Codes that say that a value does not fit its column, so that another try of the same rows fails as well."""
_TABLE_IS_WRONG = frozenset({16, 36, 44, 47, 60, 62, 81, 115, 192, 193, 497, 516})
"""Codes that say that table, user or statement are wrong, so that no rows can be stored until a person acts."""


_OUTCOME_IS_UNKNOWN = frozenset({159, 241, 319})
"""TIMEOUT_EXCEEDED, MEMORY_LIMIT_EXCEEDED, UNKNOWN_STATUS_OF_INSERT: a block that failed, as far as the store knows."""


class RowsRefusedError(DeadLetterError):
    """The store refuses rows of a block for their values."""


class OutcomeUnknownError(RetryError):
    """The store answers, and does not know for sure what became of a block: only the table can tell."""


class Store:
    """The tables, as a sink needs them; its threads share it.

    Parameters
    ----------
    connect
        Makes a client; raises RetryError while the store is away.
    """

    def __init__(self, connect: Callable[[], Client]) -> None:
        self._connect = connect
        self._client: Client | None = None
        self._lock = threading.Lock()

    def ends(self, spec: TopicTable, partitions: Iterable[int]) -> dict[int, int]:
        """Return the greatest offset in the table for each partition; -1 where it has none.

        Raises
        ------
        RetryError
            The store is away.
        ConfigurationError
            The table is missing.
        """
        wanted = sorted(partitions)
        places = ", ".join(map(str, wanted))
        sql = f"SELECT _partition, max(_offset) FROM {spec.name} WHERE _partition IN ({places}){spec.only} GROUP BY _partition"
        try:
            rows = self._ready().query(sql).result_rows
        except (ClickHouseError, HTTPError, OSError) as error:
            raise self._remedy(spec, error) from error
        return dict.fromkeys(wanted, -1) | {int(partition): int(offset) for partition, offset in rows}

    def columns(self, spec: TopicTable) -> frozenset[str]:
        """Return the names of a table's columns; raises what ``ends`` raises."""
        try:
            return frozenset(str(row[0]) for row in self._ready().query(f"DESCRIBE TABLE {spec.name}").result_rows)
        except (ClickHouseError, HTTPError, OSError) as error:
            raise self._remedy(spec, error) from error

    def append(self, spec: TopicTable, batch: pa.RecordBatch, token: str) -> None:
        """Store rows as one block: all of them or none.

        Parameters
        ----------
        spec
            The table.
        batch
            The rows.
        token
            Of the inserts with one token, the table takes the first and drops the others without an error.

        Raises
        ------
        RetryError
            The store is away; whether the rows are stored is not known.
        OutcomeUnknownError
            The store is there and does not know it.
        RowsRefusedError
            A value does not fit its column; nothing is stored.
        ConfigurationError
            The table is missing, or the user may not write.
        """
        settings = {"insert_deduplicate": 1, "insert_deduplication_token": token, "async_insert": 0, "max_insert_block_size": 1_048_576}
        try:
            self._ready().raw_insert(spec.name, batch.schema.names, to_ipc(batch), settings, "ArrowStream")  # type: ignore[arg-type]
        except (ClickHouseError, HTTPError, OSError) as error:
            raise self._remedy(spec, error) from error

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _ready(self) -> Client:
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _remedy(self, spec: TopicTable, error: Exception) -> RetryError | RowsRefusedError | ConfigurationError:
        code = getattr(error, "code", None)
        if code in _OUTCOME_IS_UNKNOWN:
            return OutcomeUnknownError(
                f"{spec.table}: {error}", "see the history store's log; the sink reads the table and goes on by itself"
            )
        if code in _ROWS_ARE_WRONG:
            return RowsRefusedError(f"{spec.table}: {error}")
        if code in _TABLE_IS_WRONG:
            return ConfigurationError(f"{spec.name} cannot be written: {error}", "apply the migrations: quantum schemas apply")
        self.close()
        return RetryError(
            f"the history store does not answer for {spec.table}: {error}", "see quantum status; the sink waits and goes on by itself"
        )
