"""``quantum policy``: the policy in force, its history, and a person's changes of it; the emergency stop."""

from __future__ import annotations

import click
import msgspec
from rich.console import Console
from rich.table import Table

from processors.components import read_all
from processors.governance.changes import base_of, changes, person_changes, with_symbols
from processors.governance.defaults import PROFILES, default_policy, profile_of
from quantum.cli.policy_log import AUTHOR, JSON, REASON, change, in_force, now_us, required, time_text
from quantum.cli.universe import universe
from quantum.errors import ConfigurationError
from quantum.settings import load
from schemas.common import Mode
from schemas.governance.records import PolicyAudit

ABORTED = 4


@click.group()
def policy() -> None:
    """Show and change the policy; the emergency stop."""


policy.add_command(universe)


@policy.command()
@JSON
def show(as_json: bool) -> None:
    """Show the policy in force; where a brain has tightened it, also what a person has set."""
    settings = load()
    found = required(settings)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return
    click.echo(f"policy {found.version} of {found.account}, {time_text(found.event_ts)} UTC, by {found.author}: {found.reason}")
    table = Table("field", "in force", "set by a person")
    base = base_of(found)
    person = msgspec.structs.replace(
        found, mode=base.mode, stance=base.stance, strategies=base.strategies, limits=base.limits, sizing=base.sizing
    )
    differs = changes(found, person)
    for name, text in changes(None, found).items():
        value = text.removeprefix("none -> ")
        table.add_row(name, value, differs[name].removeprefix(f"{value} -> ") if name in differs else "")
    Console().print(table)


@policy.command()
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many of the newest changes.")
@JSON
def history(limit: int, as_json: bool) -> None:
    """Show who changed what, when and why, oldest first."""
    settings = load()
    audits = [record for _, record in read_all(settings, "policy.audit") if isinstance(record, PolicyAudit)]
    kept = sorted((record for record in audits if record.account == settings.account), key=lambda r: (r.version, r.event_ts))[-limit:]
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(kept), indent=2).decode())
        return
    table = Table("version", "time (UTC)", "who", "why", "what")
    for record in kept:
        what = "\n".join(f"{name}: {change}" for name, change in record.changes.items())
        table.add_row(str(record.version), time_text(record.event_ts), record.author, record.reason, what)
    Console().print(table)


@policy.command("set-mode")
@click.argument("mode", type=click.Choice([mode.value for mode in Mode], case_sensitive=False))
@REASON
@AUTHOR
def set_mode(mode: str, reason: str, author: str) -> None:
    """Set the MODE: in REDUCE_ONLY and HALTED nothing is entered; positions are left in every mode."""
    settings = load()
    old = required(settings)
    change(settings, old, person_changes(old, now_us=now_us(), author=author, reason=reason, mode=Mode(mode.upper())))


@policy.command()
@REASON
@AUTHOR
def stop(reason: str, author: str) -> None:
    """Pull the emergency stop: positions are closed and nothing is entered until a person resumes."""
    settings = load()
    old = required(settings)
    change(settings, old, person_changes(old, now_us=now_us(), author=author, reason=reason, emergency_stop=True, mode=Mode.HALTED))


@policy.command()
@REASON
@AUTHOR
def resume(reason: str, author: str) -> None:
    """Take the emergency stop off and set mode NORMAL, after the account's name was typed."""
    settings = load()
    typed = click.prompt(f"entries begin again; type the account's name ({settings.account}) to go on", err=True)
    if typed != settings.account:
        click.echo("not resumed: the name does not match", err=True)
        raise SystemExit(ABORTED)
    old = required(settings)
    change(settings, old, person_changes(old, now_us=now_us(), author=author, reason=reason, emergency_stop=False, mode=Mode.NORMAL))


@policy.command("apply-profile")
@click.argument("profile", type=click.Choice(list(PROFILES), case_sensitive=False))
@click.option(
    "--symbol", "symbols", multiple=True, metavar="SYMBOL", help="Symbol that may be entered; may be repeated. Default: as before."
)
@REASON
@AUTHOR
def apply_profile(profile: str, symbols: tuple[str, ...], reason: str, author: str) -> None:
    """Set limits, sizing and exits of a PROFILE; without a policy before, this is the first one."""
    settings = load()
    old = in_force(settings)
    if old is None:
        if not symbols:
            raise ConfigurationError(
                f"account {settings.account} has no policy yet, so its symbols are not known", "name them with --symbol"
            )
        new = default_policy(settings.account, now_us=now_us(), author=author, universe=symbols, profile=profile, reason=reason)
    else:
        chosen = profile_of(profile)
        new = person_changes(
            old, now_us=now_us(), author=author, reason=reason, limits=chosen.limits, sizing=chosen.sizing, exits=chosen.exits,
            stance=chosen.stance, max_divergence_bps=chosen.max_divergence_bps, **with_symbols(old, symbols),
        )  # fmt: skip
    change(settings, old, new)
