"""``quantum record``: raw frames to compressed files."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import Any

import click
import msgspec
from prometheus_client import REGISTRY

from connectors.exchange.recording.settings import RecorderSettings
from infra.components.recording import record as record_frames
from quantum import logging as logs
from quantum import metrics
from quantum.cli.history_files import progress
from quantum.settings import load

NAME = "recorder"
SAY_S = 60.0


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--rotate", type=click.Choice(["hour", "day"]), default=None, help="What a file of a symbol holds, UTC; default: an hour.")
@click.option("--max-mb", type=click.FloatRange(min=0, min_open=True), default=None, help="A larger file is followed by another one.")
@click.option("--to-end", is_flag=True, help="End when all is recorded that is there now, instead of going on.")
@click.option("--metrics-port", default=0, show_default=True, help="Port of GET /metrics; 0 for a free one.")
@click.option("--json", "as_json", is_flag=True, help="Write a summary as JSON at the end.")
def record(folder: Path, rotate: str | None, max_mb: float | None, to_end: bool, metrics_port: int, as_json: bool) -> None:
    """Record exchange.raw to FOLDER, from the first frame that Kafka still has, until Ctrl-C.

    Repeat it to go on: every frame is in the files once, however the recorder ended before. 'quantum demo --source replay:FOLDER' plays
    them again, from any time (docs/recording.md).
    """
    settings = load()
    given: dict[str, Any] = {name: value for name, value in (("rotate", rotate), ("max_mb", max_mb)) if value is not None}
    chosen = RecorderSettings(folder=folder.absolute(), **given)
    logs.configure(NAME, settings.log_level)
    metrics.serve(REGISTRY, settings.folders.run, NAME, metrics_port, settings.metrics_host)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    said = time.monotonic()
    with progress() as show:

        def tell(frames: int, done: int, total: int) -> None:
            nonlocal said
            if to_end:
                show("recording", done, total)
            elif time.monotonic() - said >= SAY_S:
                said = time.monotonic()
                click.echo(f"{frames:,} frames in {chosen.folder}", err=True)

        found = record_frames(settings, chosen, stop, tell, to_end=to_end)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return
    click.echo(f"{found.frames:,} frames are in {found.folder}")
    if found.holes:
        missing = sum(hole.after - hole.first for hole in found.holes)
        click.echo(
            f"{missing:,} offsets were deleted by Kafka before they were recorded; {found.folder}/recording.json says which", err=True
        )
