"""A table of the store as an archive sees it: what it has by day and partition, and its rows piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # pyarrow ships no stubs
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

from connectors.clickhouse.archive.layout import Span, Spans
from connectors.clickhouse.tables import TopicTable
from quantum.errors import ConfigurationError, RetryError

MARKED = ("_partition", "_offset", "_timestamp", "_traceparent")
"""Columns that say which record a row is: no two records, of whatever Kafka, agree in all of them."""
PIECE_BYTES = 33_554_432
_PIECE_ROWS = (1_000, 200_000)
_TOO_LARGE = frozenset({241, 396})
"""Codes that say that an answer is larger than the store gives out at once."""
_UNKNOWN_TABLE = frozenset({60, 81})
_ARROW = {
    "output_format_arrow_string_as_string": 1,
    "output_format_arrow_low_cardinality_as_dictionary": 0,
    "output_format_arrow_compression_method": "none",
}
_MARK = f"toString(groupBitXor(cityHash64({', '.join(MARKED)})))"


class TableRows:
    """The rows of one table.

    Parameters
    ----------
    client
        The store.
    spec
        The table.
    """

    def __init__(self, client: Client, spec: TopicTable) -> None:
        self.spec = spec
        self._client = client
        self._binary = {column.name for column in spec.columns if column.arrow == pa.binary()}
        self._piece_rows = 0

    def columns(self) -> dict[str, str]:
        """Return ClickHouse's types of the columns that rows are stored with, in order."""
        return {str(name): str(kind) for name, kind, default, *_ in self._rows(f"DESCRIBE TABLE {self.spec.name}") if not default}

    def ends(self) -> dict[int, int]:
        """Return the greatest offset of every partition that has rows."""
        sql = f"SELECT _partition, max(_offset) FROM {self.spec.name} WHERE 1{self.spec.only} GROUP BY _partition"
        return {int(partition): int(last) for partition, last in self._rows(sql)}

    def days(self, ends: Mapping[int, int]) -> dict[str, Spans]:
        """Return what the table has by UTC day and partition, up to an offset of each partition."""
        found: dict[str, Spans] = {}
        if ends:
            places = " OR ".join(f"(_partition = {partition} AND _offset <= {last})" for partition, last in ends.items())
            sql = (
                f"SELECT toString(toDate(_timestamp, 'UTC')) AS day, _partition, count(), min(_offset), max(_offset), {_MARK} "
                f"FROM {self.spec.name} WHERE ({places}){self.spec.only} GROUP BY day, _partition ORDER BY day, _partition"
            )
            for day, partition, *rest in self._rows(sql):
                found.setdefault(str(day), {})[int(partition)] = _span(rest)
        return found

    def within(self, spans: Spans) -> Spans:
        """Return what the table has between the first and the last offset of each partition, of whatever day."""
        places = " OR ".join(f"(_partition = {partition} AND _offset BETWEEN {s.first} AND {s.last})" for partition, s in spans.items())
        sql = (
            f"SELECT _partition, count(), min(_offset), max(_offset), {_MARK} FROM {self.spec.name} "
            f"WHERE ({places}){self.spec.only} GROUP BY _partition ORDER BY _partition"
        )
        return {int(partition): _span(rest) for partition, *rest in self._rows(sql)}

    def marks(self, partition: int, first: int, last: int) -> pa.Table:
        """Return the columns ``MARKED`` of the rows between two offsets, in order of offset."""
        where = self._between(partition, first, last)
        return self._arrow(f"SELECT {', '.join(MARKED)} FROM {self.spec.name} WHERE {where} ORDER BY _offset")

    def pieces(self, day: str, spans: Spans, names: list[str]) -> Iterator[pa.Table]:
        """Give the rows of a day in order of partition and offset, some tens of megabytes at a time.

        Parameters
        ----------
        day
            The UTC day.
        spans
            Partitions, and the offsets to stay within.
        names
            The columns.
        """
        following = date.fromisoformat(day) + timedelta(days=1)
        within = f"_timestamp >= toDateTime64('{day}', 3, 'UTC') AND _timestamp < toDateTime64('{following}', 3, 'UTC')"
        listed = ", ".join(f"`{name}`" for name in names)
        for partition, span in sorted(spans.items()):
            first = span.first
            step = self._size()
            while first <= span.last:
                last = min(first + step - 1, span.last)
                where = self._between(partition, first, last)
                sql = f"SELECT {listed} FROM {self.spec.name} WHERE {where} AND {within} ORDER BY _offset"
                try:
                    piece = self._arrow(sql)
                except ClickHouseError as error:
                    if getattr(error, "code", None) not in _TOO_LARGE or step <= 1:
                        raise self._remedy(error) from error
                    step = self._piece_rows = max(step // 4, 1)
                    continue
                if piece.num_rows:
                    yield self._typed(piece)
                first = last + 1

    def _between(self, partition: int, first: int, last: int) -> str:
        return f"_partition = {partition} AND _offset BETWEEN {first} AND {last}{self.spec.only}"

    def _typed(self, piece: pa.Table) -> pa.Table:
        """Return rows with what is bytes as bytes: the store tells text and bytes apart as little as its columns do."""
        for name in self._binary & set(piece.schema.names):
            piece = piece.set_column(piece.schema.get_field_index(name), name, piece[name].cast(pa.binary()))
        return piece

    def _size(self) -> int:
        """Return how many rows are some tens of megabytes."""
        if not self._piece_rows:
            sql = (
                "SELECT sum(data_uncompressed_bytes), sum(rows) FROM system.parts "
                f"WHERE active AND database || '.' || table = '{self.spec.name}'"
            )
            ((size, rows),) = self._rows(sql)
            least, most = _PIECE_ROWS
            self._piece_rows = most if not size else max(min(PIECE_BYTES * int(rows) // int(size), most), least)
        return self._piece_rows

    def _arrow(self, sql: str) -> pa.Table:
        try:
            return pa.ipc.open_stream(self._client.raw_query(sql, settings=_ARROW, fmt="ArrowStream")).read_all()
        except (HTTPError, OSError) as error:
            raise self._remedy(error) from error

    def _rows(self, sql: str) -> list[Any]:
        try:
            return list(self._client.query(sql).result_rows)
        except (ClickHouseError, HTTPError, OSError) as error:
            raise self._remedy(error) from error

    def _remedy(self, error: Exception) -> RetryError | ConfigurationError:
        if getattr(error, "code", None) in _UNKNOWN_TABLE:
            return ConfigurationError(f"the store has no table {self.spec.name}", "quantum schemas apply")
        return RetryError(f"{self.spec.name} could not be read: {error}", "see quantum status")


def _span(values: list[Any]) -> Span:
    rows, first, last, mark = values
    return Span(rows=int(rows), first=int(first), last=int(last), mark=str(mark))
