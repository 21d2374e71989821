"""``quantum backup`` and ``quantum restore``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
import msgspec

from connectors.clickhouse.server.users import FILE as USERS
from infra.backup.backup import backup as make_backup
from infra.backup.layout import reading
from infra.backup.replace import move_aside
from infra.backup.restore import Restore, Restored
from quantum.cli.history_files import import_lock, progress
from quantum.errors import ConfigurationError
from quantum.settings import Settings, load

PASSPHRASE = "QUANTUM_BACKUP_PASSPHRASE"
ENV = ".env"
_ENV = click.option(
    "--env", "env", type=click.Path(dir_okay=False, path_type=Path), default=ENV, show_default=True, help="File of settings and secrets."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Write a summary as JSON.")


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
@_ENV
@_JSON
def backup(target: Path, env: Path, as_json: bool) -> None:
    """Back the platform up to TARGET: a folder, or a file NAME.tar.

    History, registry with its ids, topics' settings, policy, models; encrypted by a passphrase the settings file and the analysts'
    password hashes. The passphrase is asked for, or taken from QUANTUM_BACKUP_PASSPHRASE. The platform may run: the history is as it
    was when the backup began. For a backup that has everything, end the workers, wait until the sink has carried all, then back up.
    """
    settings = load()
    found = {name: path.read_bytes() for name, path in _secret_files(settings, env).items() if path.exists()}
    passphrase = _passphrase(confirm=True) if found else ""
    with progress() as tell:
        done = make_backup(settings, target, found, passphrase, tell)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(done), indent=2).decode())
        return
    click.echo(
        f"{target}: {done.rows:,} rows in {done.files} files, {done.subjects} subjects, {done.topics} topics, {done.records} records of "
        f"policy and models, {done.models} artefacts, {', '.join(done.secrets) or 'no'} secrets"
    )
    if done.running:
        click.echo(f"at work meanwhile: {', '.join(done.running)}; what they wrote since is not in it", err=True)


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Move what the local home holds aside first, into a folder within it.")
@_ENV
@_JSON
def restore(source: Path, replace: bool, env: Path, as_json: bool) -> None:
    """Make the platform of a backup SOURCE in an empty home whose servers run ('quantum up').

    Everything is checked before anything is changed. Repeat it where it was interrupted. Then start the workers.
    """
    settings = load()
    with reading(source) as folder, import_lock(settings):
        work = Restore(settings, folder)
        secrets = work.unsealed(_passphrase(confirm=False)) if work.secrets() else {}
        obstacles = work.obstacles()
        files = {name: path for name, path in _secret_files(settings, env).items() if name in secrets}
        taken = [path for name, path in files.items() if path.exists() and path.read_bytes() != secrets[name]]
        obstacles += [f"{path} is there already" for path in taken]
        if obstacles and not replace:
            lines = "\n  ".join(obstacles)
            raise ConfigurationError(
                f"{settings.folders.root} is not empty:\n  {lines}",
                "use another QUANTUM_HOME, or --replace, which moves what is there aside",
            )
        if obstacles:
            settings, work = _replaced(settings, folder, taken)
        with progress() as tell:
            done = work.run(tell, lambda line: click.echo(line, err=True))
        for name, data in secrets.items():
            _write_private(files[name], data)
        work.end()
    _report(done, as_json)


def _replaced(settings: Settings, folder: Path, taken: list[Path]) -> tuple[Settings, Restore]:
    aside, endpoints = move_aside(settings, lambda line: click.echo(line, err=True))
    for path in taken:
        path.rename(aside / path.name)
    fresh = settings.model_copy(update={"kafka": endpoints.kafka, "registry": endpoints.registry, "clickhouse": endpoints.clickhouse})
    return fresh, Restore(fresh, folder)


def _report(done: Restored, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(done), indent=2).decode())
        return
    click.echo(
        f"{done.rows:,} rows, {done.subjects} subjects, {done.topics} topics, {done.records} records of policy and models, "
        f"{done.models} artefacts, {', '.join(done.secrets) or 'no'} secrets are restored"
    )


def _secret_files(settings: Settings, env: Path) -> dict[str, Path]:
    """Return the files that are kept encrypted, by their names in the backup."""
    return {ENV: env, USERS: settings.folders.root / USERS}


def _passphrase(*, confirm: bool) -> str:
    given = os.environ.get(PASSPHRASE)
    if given:
        return given
    if not sys.stdin.isatty():
        raise ConfigurationError("there are secrets, and no passphrase for them", f"set {PASSPHRASE}, or run it on a terminal")
    typed: str = click.prompt("passphrase of the secrets", hide_input=True, confirmation_prompt=confirm, err=True)
    return typed


def _write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    aside.replace(path)
