"""Write the data dictionary of ``docs/sql.md``: ``python -m infra.clickhouse.dictionary [--write | --check]``.

It is read back from a store that the migrations have made, so it says what the engine has, not what a file hopes for. Without
an option it is printed; ``--write`` puts it between the two marks in ``docs/sql.md``; ``--check`` says whether it is there.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from connectors.clickhouse import letters
from connectors.clickhouse.migrate import FOLDER, migrations
from connectors.clickhouse.tables import DATABASE
from connectors.kafka.dead_letters import SUFFIX
from infra.clickhouse.generate import specs

PAGE = Path(__file__).parents[2] / "docs" / "sql.md"
BEGIN, END = "<!-- dictionary: begin -->", "<!-- dictionary: end -->"

Query = Callable[[str], list[tuple[str, ...]]]
"""Runs a SELECT whose columns are text, and returns its rows."""
Described = tuple[str, str, str]
"""Name, type and meaning of a column."""

_TABLES_SQL = f"""
SELECT name, engine, comment, sorting_key, partition_key, extract(engine_full, 'TTL (.+?)(?: SETTINGS|$)')
FROM system.tables WHERE database = '{DATABASE}' ORDER BY name
"""
_COLUMNS_SQL = f"SELECT table, name, type, comment FROM system.columns WHERE database = '{DATABASE}' ORDER BY table, position"


def dictionary(query: Query) -> str:
    """Return the dictionary as Markdown.

    Parameters
    ----------
    query
        Asks a store that has every migration.
    """
    kept = {spec.table: f"Topic `{spec.topic}`" for spec in specs()}
    tables = {row[0]: row for row in query(_TABLES_SQL)}
    columns: dict[str, list[Described]] = {name: [] for name in tables}
    for table, name, kind, meaning in query(_COLUMNS_SQL):
        columns[table].append((name, kind, meaning))
    common = _common([columns[table] for table in kept])
    views = [name for name, row in tables.items() if row[1] == "View"]
    lines = ["### Columns of every table", "", f"Every table below has these as well, but for `{letters.TABLE}`.", "", *_rows(common)]
    for table, topic in {**kept, letters.TABLE: f"Topics `<topic>{SUFFIX}`"}.items():
        _, engine, comment, order, partition, expiry = tables[table]
        own = [column for column in columns[table] if column not in common or table == letters.TABLE]
        expires = f"`{expiry}`" if expiry else "none, rows are kept"
        lines += ["", f"### {table}", "", f"{comment} {topic}.", ""]
        parts = f"partition `{partition}`" if partition else "no partitions"
        lines += [f"{engine}; order `{order}`; {parts}; TTL {expires}.", "", *_rows(own)]
    for view in views:
        lines += ["", f"### {view}", "", tables[view][2].replace("|", "\\|"), *(["", *_rows(columns[view])] if columns[view] else [])]
    return "\n".join(lines) + "\n"


def page(text: str, made: str) -> str:
    """Return the page with the dictionary between its marks.

    Raises
    ------
    ValueError
        The page lacks a mark.
    """
    head, begin, rest = text.partition(f"{BEGIN}\n")
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} has no place for the dictionary: put {BEGIN} and {END} on lines of their own")
    return f"{head}{begin}{made}{end}{tail}"


def _common(tables: list[list[Described]]) -> list[Described]:
    """Return the columns that every table has with the same type and meaning, in their order."""
    counts = Counter(column for columns in tables for column in columns)
    return [column for column in tables[0] if counts[column] == len(tables)]


def _rows(columns: list[Described]) -> Iterator[str]:
    yield "| column | type | meaning |"
    yield "|---|---|---|"
    for name, kind, meaning in columns:
        yield f"| `{name}` | `{kind}` | {meaning.replace('|', chr(92) + '|')} |"


def own_store(folder: str, declared: Path = FOLDER) -> Query:
    """Return a query on a store in a folder to which every migration has been applied.

    Parameters
    ----------
    folder
        Where the store is; one store a process and folder.
    declared
        Where the migrations are.
    """
    session: Any = import_module("chdb.session").Session(folder)  # half a second and 250 MB: only where it is asked for
    session.query(f"CREATE DATABASE IF NOT EXISTS {DATABASE} ENGINE = Atomic")
    for migration in migrations(declared):
        for statement in migration.statements():
            session.query(statement)

    def query(sql: str) -> list[tuple[str, ...]]:
        found = msgspec.json.decode(session.query(sql, "JSONCompact").bytes())["data"]
        return [tuple(row) for row in found]

    return query


def main() -> int:
    """Print, write or check the dictionary; 1 where the page has an old one."""
    parser = argparse.ArgumentParser(prog="python -m infra.clickhouse.dictionary", description="Data dictionary of the history store.")
    parser.add_argument("--write", action="store_true", help=f"write it into {PAGE.name}")
    parser.add_argument("--check", action="store_true", help=f"fail where {PAGE.name} has another")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = dictionary(own_store(folder))
    if not (arguments.write or arguments.check):
        print(made, end="")
        return 0
    old = PAGE.read_text()
    new = page(old, made)
    if arguments.write:
        PAGE.write_text(new)
    elif new != old:
        print(f"{PAGE.name} has an old dictionary: python -m infra.clickhouse.dictionary --write", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
