"""``quantum topics`` and ``quantum schemas``: the broker and the registry brought to what git declares."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click

from connectors.registry.client import Registry
from processors import contracts
from quantum.settings import load

DIFFERS = 3


@click.group()
def topics() -> None:
    """Compare or apply the topics of processors/topology.py."""


@topics.command("check")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def check_topics(as_json: bool) -> None:
    """Show how the broker differs from the topology; exit 3 where it does."""
    changes = contracts.compare_topics(load())
    if as_json:
        click.echo(json.dumps([asdict(change) for change in changes], indent=2))
    else:
        for change in changes:
            click.echo(f"{change.topic}: {change.what}")
        click.echo(f"{len(changes)} of {len(contracts.topic_specs(load()))} topics differ")
    sys.exit(DIFFERS if changes else 0)


@topics.command("apply")
def apply_topics() -> None:
    """Create missing topics and set differing settings."""
    for change in contracts.apply_topics(load()):
        click.echo(f"{change.topic}: {change.what}")
    click.echo("topics are as declared")


@click.group()
def schemas() -> None:
    """Check or apply the schemas of git in the registry."""


@schemas.command("check")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def check_schemas(as_json: bool) -> None:
    """Show each subject's state; exit 3 where something is to be applied, 1 where a schema is incompatible."""
    with Registry(load().registry) as registry:
        states = contracts.check_schemas(registry)
    if as_json:
        click.echo(json.dumps([asdict(state) for state in states], indent=2))
    else:
        for state in states:
            word = "incompatible" if not state.compatible else "as declared" if state.done else "to be applied"
            click.echo(f"{state.subject}: {word} ({state.level or 'no level'}, wanted {state.wanted_level})")
    if not all(state.compatible for state in states):
        sys.exit(1)
    sys.exit(0 if all(state.done for state in states) else DIFFERS)


@schemas.command("apply")
def apply_schemas() -> None:
    """Register every schema, set every subject's compatibility level, and migrate the history's tables."""
    settings = load()
    with Registry(settings.registry) as registry:
        for state in contracts.apply_schemas(registry):
            click.echo(f"{state.subject}: applied")
    for name in contracts.apply_tables(settings):
        click.echo(f"{name}: applied")
    click.echo("schemas and tables are as declared")
