"""Write the migration that gives new fields their columns: ``python -m infra.clickhouse.evolve [--write NAME]``.

The schemas are compared with the tables that the migrations make, in a store of its own, so that nothing has to run. Without an
option the statements are printed; ``--write NAME`` puts them into the next numbered file, to be reviewed and kept in git.
What cannot be a column is named with its remedy, and the exit code is 1; ``quantum schemas check`` tells the same.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.clickhouse.columns import BOOKKEEPING, columns_of
from connectors.clickhouse.migrate import FOLDER, migrations
from connectors.clickhouse.tables import DATABASE, TableSpec, add_column_sql, create_sql
from infra.clickhouse.dictionary import own_store
from infra.clickhouse.generate import spec_of
from processors.topology import TOPICS
from quantum.errors import ConfigurationError
from schemas.codec import ROOT, schema_text
from schemas.evolution import Problem, bare, fields, gone, retyped

_COLUMNS_SQL = f"SELECT table, name, type FROM system.columns WHERE database = '{DATABASE}'"
_NO_COLUMN = "write its migration: python -m infra.clickhouse.evolve --write NAME"


@dataclass(frozen=True, slots=True)
class Comparison:
    """How schemas differ from tables.

    Attributes
    ----------
    statements
        What gives the tables the columns that they lack.
    impossible
        By subject, the fields that no statement helps.
    lacking
        By subject, the fields that a statement helps.
    """

    statements: list[str]
    impossible: dict[str, list[Problem]]
    lacking: dict[str, list[Problem]]

    @property
    def problems(self) -> dict[str, list[Problem]]:
        """Both kinds."""
        return {subject: self.impossible[subject] + self.lacking[subject] for subject in self.impossible}


def compare(root: Path = ROOT, declared: Path = FOLDER) -> Comparison:
    """Compare the schemas of a folder with the tables that the migrations of another make."""
    found: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for table, name, kind in own_store(folder, declared)(_COLUMNS_SQL):
            found.setdefault(table, {})[name] = kind
    out = Comparison([], {}, {})
    for topic in TOPICS.values():
        if topic.kept:
            schema = json.loads(schema_text(topic.record, root))
            statements, impossible, lacking = _compare_table(spec_of(topic), schema, found.get(topic.table))
            out.statements.extend(statements)
            out.impossible[topic.subject], out.lacking[topic.subject] = impossible, lacking
    return out


def _compare_table(
    spec: TableSpec, schema: dict[str, Any], found: Mapping[str, str] | None
) -> tuple[list[str], list[Problem], list[Problem]]:
    """Return the statements, the fields beyond help, and those that a statement helps."""
    if found is None:
        return [create_sql(spec)], [], [Problem(name, "has no table", _NO_COLUMN) for name in fields(schema)]
    statements: list[str] = []
    impossible: list[Problem] = []
    lacking: list[Problem] = []
    for name, field in fields(schema).items():
        try:
            column = columns_of({"fields": [field]})[0]
        except ConfigurationError as error:
            impossible.append(Problem(name, f"cannot be a column: {error.message}", error.remedy))
            continue
        if name in found:
            if found[name] != column.kind:
                impossible.append(retyped(name, f": its column is {found[name]}, which the schema would make {column.kind}"))
        elif "default" not in field:
            impossible.append(bare(name))
        else:
            lacking.append(Problem(name, "has no column", _NO_COLUMN))
    own = {column.name for column in BOOKKEEPING}
    impossible += [gone(name) for name in found if name not in fields(schema) and name not in own]
    if not impossible:
        statements = [add_column_sql(spec, problem.field, schema) for problem in lacking]
    return statements, impossible, lacking


def write(statements: list[str], name: str, declared: Path = FOLDER) -> Path:
    """Write a migration under the next free number, and return its file."""
    number = max((migration.number for migration in migrations(declared)), default=0) + 1
    path = declared / f"{number:03d}_{name}.sql"
    path.write_text("-- Columns of new fields.\n" + "".join(f"\n{statement};\n" for statement in statements))
    return path


def main(arguments: list[str] | None = None) -> int:
    """Print or write what is to be added; 1 where a field cannot be."""
    parser = argparse.ArgumentParser(prog="python -m infra.clickhouse.evolve", description="DDL of the columns of new fields.")
    parser.add_argument("--write", metavar="NAME", help="write the next migration, NNN_NAME.sql, instead of printing it")
    parser.add_argument("--schemas", type=Path, default=ROOT, help="folder of the .avsc (schemas)")
    parser.add_argument("--migrations", type=Path, default=FOLDER, help="folder of the migrations (infra/clickhouse)")
    given = parser.parse_args(arguments)
    found = compare(given.schemas, given.migrations)
    for subject, impossible in found.impossible.items():
        for problem in impossible:
            print(f"{subject}: {problem}", file=sys.stderr)
    if any(found.impossible.values()):
        return 1
    if not found.statements:
        print("tables are as the schemas say")
    elif given.write:
        print(write(found.statements, given.write, given.migrations))
    else:
        print("".join(f"{statement};\n" for statement in found.statements), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
