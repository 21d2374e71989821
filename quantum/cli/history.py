"""``quantum history``: the history as files, and who may read it."""

from __future__ import annotations

import secrets
import sys

import click
import msgspec

from connectors.clickhouse.server.users import FILE, Analysts
from quantum.cli.history_files import export_files, import_files
from quantum.errors import ConfigurationError
from quantum.settings import Settings, load

_PASSWORD_BYTES = 24


@click.group()
def history() -> None:
    """Export and import the history; manage who may read the local store."""


history.add_command(export_files)
history.add_command(import_files)


@history.group()
def users() -> None:
    """Analysts of the local store: they read the platform's tables, by password, and change nothing.

    On a ClickHouse server, users are made with its own CREATE USER and GRANT.
    """


@users.command("add")
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from the standard input instead of making one up.")
def add(name: str, password_stdin: bool) -> None:
    """Add an analyst, or give one a new password; a running store knows at once.

    A password that is made up is printed once; what is kept is a salted hash of it.
    """
    settings = load()
    if not settings.clickhouse_password.get_secret_value():
        raise ConfigurationError(
            "the store's own user has no password, so that anybody could ask in its name",
            "set QUANTUM_CLICKHOUSE_PASSWORD, start the platform again with it, then add analysts",
        )
    password = sys.stdin.readline().rstrip("\n") if password_stdin else secrets.token_urlsafe(_PASSWORD_BYTES)
    _analysts(settings).add(name, password)
    if not password_stdin:
        click.echo(password)
    click.echo(f"{name} may read the history at {settings.clickhouse}", err=True)


@users.command("remove")
@click.argument("name")
def remove(name: str) -> None:
    """Remove an analyst; a running store refuses them from the next request on."""
    if not _analysts(load()).remove(name):
        raise ConfigurationError(f"there is no analyst {name}", "see quantum history users list")
    click.echo(f"{name} may no longer read the history", err=True)


@users.command("list")
@click.option("--json", "as_json", is_flag=True, help="Write a JSON array.")
def list_users(as_json: bool) -> None:
    """Show the analysts."""
    names = sorted(_analysts(load()).read())
    click.echo(msgspec.json.encode(names).decode() if as_json else "\n".join(names) or "There are none: quantum history users add NAME")


def _analysts(settings: Settings) -> Analysts:
    return Analysts(settings.folders.root / FILE)
