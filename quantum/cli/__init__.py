"""The ``quantum`` command. Each subcommand is loaded when it is called, so that ``--help`` is quick."""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from typing import Any

import click

from quantum.errors import QuantumError

COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("stack:up", "Start Kafka, the registry and the history store."),
    "down": ("stack:down", "End what 'quantum up' started."),
    "status": ("stack:status", "Show what runs."),
    "demo": ("demo:demo", "Run the whole platform on the simulated venue or a recording."),
    "worker": ("worker:worker", "Run workers of stages."),
    "component": ("component:component", "Run a process outside the stages: a feed, the order gateway, the sink."),
    "record": ("record:record", "Record raw frames to compressed files."),
    "archive": ("archive:archive", "Check Binance's public data archives, and make a recording of them."),
    "venue": ("venue:venue", "Run the simulated venue on its own, and have it misbehave."),
    "topics": ("contracts:topics", "Compare or apply the declared topics."),
    "schemas": ("contracts:schemas", "Check or apply the schemas."),
    "replay": ("replay:replay", "Run what was recorded again and compare every decision."),
    "sql": ("sql:sql", "Query the history."),
    "history": ("history:history", "Export and import the history; its analysts."),
    "dlq": ("dlq:dlq", "Look at records that were given up, and put them back."),
    "backup": ("backup:backup", "Back up history, registry, topics, policy, models and secrets."),
    "restore": ("backup:restore", "Make the platform of a backup in an empty home."),
    "models": ("models:models", "List, train, activate and roll back models."),
    "doctor": ("doctor:doctor", "Say what is wrong or slow: latencies of venues and stages."),
    "policy": ("policy:policy", "Show and change the policy; the emergency stop."),
}
EXIT_ERROR = 1


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name][0].split(":")
        command = getattr(import_module(f"quantum.cli.{module}"), name)
        if not isinstance(command, click.Command):
            raise TypeError(f"quantum.cli.{module}:{name} is not a command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands' short texts without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an error of the platform becomes its text and remedy, not a traceback."""
        try:
            return super().invoke(ctx)
        except QuantumError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(EXIT_ERROR)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="quantum-trader")
def main() -> None:
    """Crypto trading as a stream-processing platform: Kafka, exactly-once Faust stages, ClickHouse history."""
    logging.getLogger("quantum.kafka").setLevel(logging.CRITICAL)  # a command says in its own words that Kafka is away
