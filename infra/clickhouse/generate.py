"""Write the DDL of the tables: ``python -m infra.clickhouse.generate``.

Prints the CREATE TABLE of every topic that is kept, as ``001_tables.sql`` has them; with ``--write`` writes that file. Once
a store with that file is in use it must not change any more: a new field's column is a new migration, which
``python -m infra.clickhouse.evolve`` writes. A test compares the tables that all migrations make with the schemas.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from connectors.clickhouse.letters import LetterTable, letters_of
from connectors.clickhouse.tables import TableSpec, TopicTable, create_sql
from processors.topology import TOPICS, Topic

TABLES = Path(__file__).parent / "001_tables.sql"
_HEADER = (
    "-- Tables of the topics that are kept; generated from schemas/ and processors/topology.py by\n"
    "-- 'python -m infra.clickhouse.generate --write'.\n"
)


def spec_of(topic: Topic) -> TableSpec:
    """Return the table of a topic."""
    return TableSpec(topic.name, topic.table, topic.record, retention_ms=topic.retention_ms, first_partition_only=topic.broadcast)


def specs() -> list[TableSpec]:
    """Return the tables of the topics that are kept."""
    return [spec_of(topic) for topic in TOPICS.values() if topic.kept]


def letters() -> list[LetterTable]:
    """Return what the table of dead letters has of each topic."""
    return [letters_of(topic.name) for topic in TOPICS.values()]


def carried() -> list[TopicTable]:
    """Return all that the sinks carry: the topics that are kept, and the dead letters of all."""
    return [*specs(), *letters()]


def tables_sql() -> str:
    """Return the text of ``001_tables.sql``."""
    return _HEADER + "".join(f"\n{create_sql(spec)};\n" for spec in specs())


def main() -> None:
    """Print or write the DDL."""
    parser = argparse.ArgumentParser(prog="python -m infra.clickhouse.generate", description="DDL of the history store's tables.")
    parser.add_argument("--write", action="store_true", help=f"write {TABLES.name} instead of printing it")
    arguments = parser.parse_args()
    if arguments.write:
        TABLES.write_text(tables_sql())
    else:
        print(tables_sql(), end="")


if __name__ == "__main__":
    main()
