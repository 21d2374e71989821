"""Every command says what it does, as it was meant to be laid out."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from quantum.cli import main


def commands(command: click.Command, path: tuple[str, ...] = ("quantum",)) -> Iterator[tuple[str, click.Command]]:
    """Yield every command below one, and itself, by what is typed."""
    yield " ".join(path), command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None, name
            yield from commands(found, (*path, name))


ALL = dict(commands(main))


@pytest.mark.parametrize("typed", ALL)
def test_a_command_says_what_it_does(typed: str) -> None:
    command = ALL[typed]
    text = command.get_help(click.Context(command, info_name=typed))
    assert command.help, f"{typed} has no help"
    assert "\\" not in text.replace("\\n", ""), f"a marker of the layout is in the help of {typed}:\n{text}"


def test_the_commands_that_the_documents_name_are_there() -> None:
    shown = main.get_help(click.Context(main, info_name="quantum"))
    for name in ("up", "down", "status", "demo", "worker", "component", "topics", "schemas", "sql", "models", "policy"):
        assert f"\n  {name} " in shown
