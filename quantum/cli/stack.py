"""``quantum up``, ``down`` and ``status``: the servers of the local stack."""

from __future__ import annotations

import sys

import click
import msgspec
from rich.console import Console
from rich.table import Table

from infra.local.stack import ServerStatus, Stack
from quantum.home import Home
from quantum.settings import Settings

EXIT_PARTLY = 1
EXIT_NOT_RUNNING = 3
_MARKS = {"healthy": "[green]healthy[/]", "starting": "[yellow]starting[/]", "down": "[red]down[/]"}


def _home() -> Home:
    return Settings().folders


def _say(line: str) -> None:
    click.echo(line, err=True)


@click.command()
@click.option("--kafka-port", type=click.IntRange(0, 65535), help="Port of Kafka; 0 for any free one.")
@click.option("--registry-port", type=click.IntRange(0, 65535), help="Port of the registry; 0 for any free one.")
@click.option("--store-port", type=click.IntRange(0, 65535), help="Port of the history store; 0 for any free one.")
@click.option("--json", "as_json", is_flag=True, help="Print where the servers answer as JSON.")
def up(kafka_port: int | None, registry_port: int | None, store_port: int | None, as_json: bool) -> None:
    """Start Kafka, the schema registry and the history store, and wait until they serve.

    What runs already is left alone. Without options each server gets the port that it had the last time, else its usual one
    (9092, 8081, 8123), else a free one. All listen on 127.0.0.1 only. Data, logs and process files go to QUANTUM_HOME (.quantum).
    The first start fetches Kafka and the registry (200 MB) into ~/.cache/quantum.
    """
    asked = {"kafka": kafka_port, "registry": registry_port, "store": store_port}
    stack = Stack(_home(), ports={name: port for name, port in asked.items() if port is not None})
    endpoints = stack.up(_say)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(endpoints), indent=2).decode())
        return
    click.echo(f"Kafka          {endpoints.kafka}")
    click.echo(f"registry       {endpoints.registry}")
    click.echo(f"history store  {endpoints.clickhouse}")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the names of what was ended as JSON.")
def down(as_json: bool) -> None:
    """End what was started for this home: workers, registry, history store, Kafka; nothing else. Data stays."""
    ended = Stack(_home()).down(_say)
    if as_json:
        click.echo(msgspec.json.encode(ended).decode())
    else:
        click.echo(f"ended {', '.join(ended)}" if ended else "nothing was running")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the state of every server as JSON.")
def status(as_json: bool) -> None:
    """Show each server: state, process, port, memory, time since start, log.

    Exit code 0: all serve; 1: some do; 3: none runs.
    """
    found = Stack(_home()).status()
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        Console().print(_table(found))
    if all(server.state == "down" for server in found):
        sys.exit(EXIT_NOT_RUNNING)
    if any(server.state != "healthy" for server in found):
        sys.exit(EXIT_PARTLY)


def _table(servers: list[ServerStatus]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("server", "state", "pid", "memory", "up", "url", "log"):
        table.add_column(heading, overflow="fold", justify="right" if heading in ("pid", "memory", "up") else "left")
    for server in servers:
        table.add_row(
            server.name,
            _MARKS[server.state],
            "" if server.pid is None else str(server.pid),
            "" if server.rss_bytes is None else f"{server.rss_bytes / 1e6:.0f} MB",
            "" if server.uptime_s is None else _duration(server.uptime_s),
            server.url or "",
            server.log,
        )
    return table


def _duration(seconds: float) -> str:
    """Write a duration with its two largest units: 3 s, 4 m 05 s, 2 h 10 m, 3 d 04 h."""
    whole = int(seconds)
    for unit, size, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // part:02d} {smaller}"
    return f"{whole} s"
