"""Numbered migrations, each applied once and recorded in a ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clickhouse_connect.driver.client import Client

from connectors.clickhouse.lexer import statements
from connectors.clickhouse.tables import DATABASE
from quantum.errors import ConfigurationError

FOLDER = Path(__file__).parents[2] / "infra" / "clickhouse"
LEDGER = f"{DATABASE}.schema_migrations"
_LEDGER_SQL = f"""
CREATE TABLE IF NOT EXISTS {LEDGER}
(
    number UInt32 COMMENT 'Number of the migration.',
    name String COMMENT 'Name of its file.',
    sha256 FixedString(64) COMMENT 'SHA-256 of its file, hexadecimal.',
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When it was applied, UTC.'
)
ENGINE = MergeTree
ORDER BY number
COMMENT 'Migrations that have been applied to this store.'
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file.

    Attributes
    ----------
    number
        Its number; they are applied in this order.
    name
        Its file name.
    text
        Its statements.
    """

    number: int
    name: str
    text: str

    @property
    def sha256(self) -> str:
        """Hash of its text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def statements(self) -> Iterator[str]:
        """Return its statements, without the semicolons between them."""
        return statements(self.text)


def migrations(folder: Path = FOLDER) -> list[Migration]:
    """Return the migrations of a folder in their order.

    Raises
    ------
    ConfigurationError
        A file has no number, or two have the same.
    """
    found: dict[int, Migration] = {}
    for path in sorted(folder.glob("*.sql")):
        digits = path.name.partition("_")[0]
        if not digits.isdigit():
            raise ConfigurationError(f"{path.name} has no number", "name it NNN_what_it_does.sql")
        number = int(digits)
        if number in found:
            raise ConfigurationError(f"{path.name} and {found[number].name} have the same number", "give one of them the next free number")
        found[number] = Migration(number, path.name, path.read_text())
    return [found[number] for number in sorted(found)]


def applied(client: Client) -> list[str]:
    """Return the names of the migrations that have been applied to a store, in their order."""
    return [str(name) for name, _ in client.query(f"SELECT DISTINCT name, number FROM {LEDGER} ORDER BY number").result_rows]


def apply(client: Client, folder: Path = FOLDER) -> list[str]:
    """Apply what has not been applied yet; applying again does nothing.

    Every statement of a migration is idempotent (IF NOT EXISTS, OR REPLACE), because a crash between a statement and the
    ledger's row means that it runs again.

    Parameters
    ----------
    client
        The store.
    folder
        Where the migrations are.

    Returns
    -------
    list[str]
        Names of those that were applied now.

    Raises
    ------
    ConfigurationError
        A migration that was applied is missing or has been changed since.
    """
    client.command(f"CREATE DATABASE IF NOT EXISTS {DATABASE} ENGINE = Atomic")
    client.command(_LEDGER_SQL)
    rows = client.query(f"SELECT DISTINCT number, name, sha256 FROM {LEDGER} ORDER BY number").result_rows
    known = {int(number): (str(name), sha256.decode() if isinstance(sha256, bytes) else str(sha256)) for number, name, sha256 in rows}
    wanted = migrations(folder)
    missing = known.keys() - {migration.number for migration in wanted}
    if missing:
        raise ConfigurationError(
            f"the store has migrations that this build lacks: {', '.join(known[number][0] for number in sorted(missing))}",
            "run a build at least as new as the one that applied them",
        )
    done = []
    for migration in wanted:
        if migration.number in known:
            if known[migration.number][1] != migration.sha256:
                raise ConfigurationError(
                    f"{migration.name} has been changed since it was applied",
                    "restore the file and put the change into a new migration; a store without data worth keeping may be deleted instead",
                )
            continue
        for statement in migration.statements():
            client.command(statement)
        client.insert(LEDGER, [[migration.number, migration.name, migration.sha256.encode()]], ["number", "name", "sha256"])
        done.append(migration.name)
    return done
