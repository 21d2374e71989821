"""What the commands on the policy share: the policy in force, and how a person's change of it is written."""

from __future__ import annotations

import getpass
import time
from datetime import UTC, datetime

import click

from processors.components import publisher, read_all
from processors.governance.changes import audit, rank
from quantum.errors import ConfigurationError
from quantum.settings import Settings
from schemas.governance.records import Policy

REASON = click.option("--reason", required=True, help="Why, for the record.")
AUTHOR = click.option("--author", default=getpass.getuser, show_default="who is logged in", help="Who changes it, for the record.")
JSON = click.option("--json", "as_json", is_flag=True, help="Write JSON.")


def in_force(settings: Settings) -> Policy | None:
    """Return the account's policy in force, or None where there is none."""
    found = (record for _, record in read_all(settings, "policy") if isinstance(record, Policy) and record.account == settings.account)
    return max(found, key=rank, default=None)


def required(settings: Settings) -> Policy:
    """Return the account's policy in force; raises ConfigurationError where there is none."""
    found = in_force(settings)
    if found is None:
        raise ConfigurationError(
            f"account {settings.account} has no policy", "quantum policy apply-profile DEFAULT --symbol BTCUSDT --reason ..."
        )
    return found


def change(settings: Settings, old: Policy | None, new: Policy) -> None:
    """Write a person's policy with its audit, and say what it changes."""
    record = audit(old, new)
    with publisher(settings, "operator") as out:
        out.send("policy", new.account, new)
        out.send("policy.audit", new.account, record)
    click.echo(f"policy {new.version} of {new.account} by {new.author}: {new.reason}")
    for name, text in record.changes.items():
        click.echo(f"  {name}: {text}")


def now_us() -> int:
    """Return the time, microseconds since the epoch, UTC."""
    return time.time_ns() // 1000


def time_text(us: int) -> str:
    """Return a time in UTC as text, to the second."""
    return datetime.fromtimestamp(us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
