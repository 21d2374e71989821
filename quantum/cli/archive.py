"""``quantum archive``: Binance's public data archives, checked and made into a recording."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from connectors.exchange.archive.check import Checked, check
from connectors.exchange.archive.importer import ArchiveImporter, Progress
from connectors.exchange.archive.names import archives
from infra.components.recording import LOCK, LOCK_S
from infra.local.lock import file_lock
from quantum.cli.history_files import progress

EXIT_FAULTY = 1
_PATHS = click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
_JSON = click.option("--json", "as_json", is_flag=True, help="Write what was found as JSON.")


@click.group()
def archive() -> None:
    """Check and import archives as data.binance.vision has them: trades, aggTrades and klines, zip or CSV, in folders spot, um or cm.

    'quantum demo --source replay:DIR' also plays a folder of such archives as it is (docs/recording.md).
    """


@archive.command("check")
@_PATHS
@_JSON
def check_archives(paths: tuple[Path, ...], as_json: bool) -> None:
    """Say what is wrong with archives: checksums, columns, order, gaps. Exit code 1 where anything is.

    PATHS are archives or folders that have some.
    """
    files = archives(paths)
    found = []
    with progress() as tell:
        told = Progress("checking", files, tell)
        for file in files:
            found.append(check(file, told.within))
            told.ended(file)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        for each in found:
            click.echo(f"{each.path}: {each.rows:,} rows from {each.first or '-'} to {each.last or '-'}, checksum {each.checksum}")
            _tell_faults(each)
    if not all(each.good for each in found):
        sys.exit(EXIT_FAULTY)


@archive.command("import")
@_PATHS
@click.option("--to", "folder", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of the recording.")
@_JSON
def import_archives(paths: tuple[Path, ...], folder: Path, as_json: bool) -> None:
    """Make a recording of archives of trades, which a replay can begin anywhere in without reading what comes before.

    PATHS are archives or folders that have some. Each is checked first. Repeat it where it was interrupted, or with later days: what is
    recorded already is passed over. Aggregate trades are used where a symbol has no trades.
    """
    with file_lock(folder / LOCK, timeout_s=LOCK_S), progress() as tell:
        done = ArchiveImporter(folder, tell).run(archives(paths))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(done), indent=2).decode())
        return
    for each in done.faulty:
        click.echo(f"{each.path}:", err=True)
        _tell_faults(each)
    click.echo(f"{done.rows:,} trades recorded in {folder}; {done.archives} archives, {done.present} of them were there already")
    if done.left_out:
        click.echo(f"{len(done.left_out)} archives are left out: klines, or days that others have", err=True)


def _tell_faults(found: Checked) -> None:
    for fault in found.faults:
        click.echo(f"  {fault}", err=True)
