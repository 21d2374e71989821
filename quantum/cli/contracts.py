"""``quantum topics`` and ``quantum schemas``: the broker and the registry brought to what git declares."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import click

from connectors.clickhouse import migrate
from connectors.registry.client import Registry
from infra.clickhouse.evolve import compare
from processors import contracts
from quantum.settings import load
from schemas.codec import ROOT

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


def _folders(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say where schemas and migrations are."""
    folder = click.Path(exists=True, file_okay=False, path_type=Path)
    declared = click.option("--migrations", type=folder, default=migrate.FOLDER, show_default="infra/clickhouse", help="Folder of the DDL.")
    return click.option("--schemas", "root", type=folder, default=ROOT, show_default="schemas", help="Folder of the .avsc.")(
        declared(command)
    )


@schemas.command("check")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@_folders
def check_schemas(as_json: bool, root: Path, migrations: Path) -> None:
    """Show each subject's state; exit 3 where something is to be applied, 1 where a schema cannot be.

    A schema cannot be applied where a field is gone, new without a default, of another type, or without a column in the DDL.
    """
    with Registry(load().registry) as registry:
        states = contracts.check_schemas(registry, root)
    states = _with_columns(states, root, migrations)
    if as_json:
        click.echo(json.dumps([asdict(state) for state in states], indent=2))
    else:
        for state in states:
            word = "incompatible" if not state.compatible else "as declared" if state.done else "to be applied"
            click.echo(f"{state.subject}: {word} ({state.level or 'no level'}, wanted {state.wanted_level})")
            for problem in state.problems:
                click.echo(f"  {problem}")
    if not all(state.compatible for state in states):
        sys.exit(1)
    sys.exit(0 if all(state.done for state in states) else DIFFERS)


@schemas.command("apply")
@_folders
def apply_schemas(root: Path, migrations: Path) -> None:
    """Migrate the history's tables, register every schema, and set every subject's compatibility level.

    Tables first: then no record has to wait for its column.
    """
    settings = load()
    with Registry(settings.registry) as registry:
        contracts.refuse_incompatible(_with_columns(contracts.check_schemas(registry, root), root, migrations))
        for name in contracts.apply_tables(settings, migrations):
            click.echo(f"{name}: applied")
        for state in contracts.apply_schemas(registry, root):
            click.echo(f"{state.subject}: applied")
    click.echo("schemas and tables are as declared")


def _with_columns(states: list[contracts.SubjectState], root: Path, migrations: Path) -> list[contracts.SubjectState]:
    """Return the states with what the DDL lacks among their problems."""
    found = compare(root, migrations).problems
    out = []
    for state in states:
        fields = {problem.field for problem in state.problems}
        more = tuple(problem for problem in found.get(state.subject, ()) if problem.field not in fields)
        out.append(replace(state, compatible=state.compatible and not more, problems=state.problems + more))
    return out
