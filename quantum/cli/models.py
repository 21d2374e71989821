"""``quantum models``: the artefacts in the store, and which version of a model serves."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table

from connectors.clickhouse.client import connect
from ml.artefacts import ArtefactStore, Manifest
from processors.components import newest, publisher
from quantum.errors import ConfigurationError, RetryError
from quantum.revision import revision
from quantum.settings import Settings, load
from schemas.common import ModelRole
from schemas.learning.records import ModelActive

_SECOND_US = 1_000_000
_AUTHOR = "operator"
_CHAMPIONS = """
SELECT version, max(event_ts) AS latest FROM quantum.model_active
WHERE model = {model:String} AND role = 'CHAMPION' GROUP BY version ORDER BY latest DESC LIMIT 2
"""


@click.group()
def models() -> None:
    """List, train, activate and roll back models."""


@models.command("list")
@click.argument("model", required=False)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def list_models(model: str | None, as_json: bool) -> None:
    """List the artefacts, oldest training data first; with Kafka up, also which of them serve."""
    settings = load()
    found = _store(settings).list(model)
    serving = _serving(settings)
    if as_json:
        click.echo(json.dumps([_summary(manifest, serving) for manifest in found], indent=2))
        return
    if serving is None:
        click.echo(f"Kafka does not answer at {settings.kafka}: which versions serve is not known", err=True)
    table = Table("model", "version", "data until (UTC)", "horizon", "log loss", "base rate", "rows", "serves")
    for manifest in found:
        metrics = manifest.metrics
        table.add_row(
            manifest.model,
            manifest.version,
            _time(manifest.window_end_ts),
            f"{manifest.horizon_s} s",
            f"{metrics['log_loss']:.4f}",
            f"{metrics['base_rate_log_loss']:.4f}",
            str(manifest.rows["train"]),
            {True: "yes", False: "no", None: "?"}[_serves(manifest, serving)],
        )
    Console().print(table)


@models.command()
@click.argument("model")
@click.argument("version", required=False)
def show(model: str, version: str | None) -> None:
    """Write the manifest of a version as JSON; of the newest where none is named."""
    store = _store(load())
    manifest = store.manifest(model, version) if version else _newest(store, model)
    click.echo(msgspec.json.format(msgspec.json.encode(manifest), indent=2).decode())


@models.command()
@click.argument("model")
@click.option(
    "--hours",
    type=click.FloatRange(min=0.0, min_open=True),
    default=336.0,
    show_default=True,
    help="Length of the window, back from its end.",
)
@click.option("--end", type=click.DateTime(["%Y-%m-%dT%H:%M:%S"]), help="End of the window, UTC; the newest bar where not given.")
@click.option("--horizon-bars", type=click.IntRange(min=1), default=30, show_default=True, help="Horizon of the predictions, bars.")
@click.option("--activate", "then_activate", is_flag=True, help="Put the version into force at once.")
def train(model: str, hours: float, end: datetime | None, horizon_bars: int, then_activate: bool) -> None:
    """Train on the history store's bars of the configured venue and interval, and store the artefact."""
    from ml.training.bootstrap import train_from_bars  # XGBoost takes seconds to import, which the other commands need not wait for
    from ml.training.train import Plan
    from processors.learning.history import HistoryBars

    settings = load()
    venue, interval = settings.venue, settings.feature_interval
    with closing(connect(settings)) as client:
        history = HistoryBars(client)
        end_ts = int(end.replace(tzinfo=UTC).timestamp()) * _SECOND_US if end else history.newest(venue, interval)
        if end_ts is None:
            raise RetryError(
                f"the history has no {interval} bar of {venue}", "let the platform run, or see QUANTUM_VENUE and QUANTUM_FEATURE_INTERVAL"
            )
        start_ts = end_ts - int(hours * 3600) * _SECOND_US
        symbols = history.symbols(venue, interval, start_ts, end_ts)
        window = f"{interval} bars of {venue}, {_time(start_ts)} to {_time(end_ts)} UTC"
        click.echo(f"training {model} on {', '.join(symbols) or 'nothing'}: {window}", err=True)
        bars = {symbol: history.bars(venue, symbol, interval, start_ts, end_ts) for symbol in symbols}
    manifest = train_from_bars(bars, Plan(model, interval, horizon_bars, revision=revision()), _store(settings)).manifest
    click.echo(f"{model} {manifest.version}")
    for name, value in manifest.metrics.items():
        click.echo(f"  {name} {value:.4f}")
    if then_activate:
        _activate(settings, manifest, "trained and activated by hand")


@models.command()
@click.argument("model")
@click.argument("version")
@click.option("--reason", default="activated by hand", show_default=True, help="Why, for the record.")
def activate(model: str, version: str, reason: str) -> None:
    """Put a version into force; inference takes it up without a restart."""
    settings = load()
    _activate(settings, _store(settings).load(model, version).manifest, reason)


@models.command()
@click.argument("model")
@click.option("--reason", default="rolled back by hand", show_default=True, help="Why, for the record.")
def rollback(model: str, reason: str) -> None:
    """Put the version into force that was in force before the present one."""
    settings = load()
    with closing(connect(settings)) as client:
        versions = [str(row[0]) for row in client.query(_CHAMPIONS, parameters={"model": model}).result_rows]
    if len(versions) < 2:
        raise ConfigurationError(
            f"{model} has had {len(versions)} versions in force: there is none to go back to", "name one: quantum models activate"
        )
    _activate(settings, _store(settings).load(model, versions[1]).manifest, f"{reason}: back from {versions[0]}")


def _activate(settings: Settings, manifest: Manifest, reason: str) -> None:
    now = time.time_ns() // 1_000
    record = ModelActive(
        event_id=f"{manifest.model}:{manifest.version}:{now}:active",
        event_ts=now,
        ingest_ts=now,
        model=manifest.model,
        version=manifest.version,
        sha256=manifest.sha256,
        role=ModelRole.CHAMPION,
        author=_AUTHOR,
        reason=reason,
        horizon_s=manifest.horizon_s,
    )
    with publisher(settings, _AUTHOR) as out:
        out.send("model.active", manifest.model, record)
    click.echo(f"{manifest.model} {manifest.version} serves: {reason}")


def _store(settings: Settings) -> ArtefactStore:
    return ArtefactStore(settings.folders.models)


def _newest(store: ArtefactStore, model: str) -> Manifest:
    found = store.list(model)
    if not found:
        raise ConfigurationError(f"there is no artefact of {model} in {store.root}", "train one: quantum models train")
    return found[-1]


def _serving(settings: Settings) -> dict[str, str] | None:
    """Return the version in force by model, or None where Kafka does not answer."""
    try:
        records = newest(settings, "model.active")
    except RetryError:
        return None
    return {key: record.version for key, record in records.items() if isinstance(record, ModelActive) and record.role is ModelRole.CHAMPION}


def _serves(manifest: Manifest, serving: Mapping[str, str] | None) -> bool | None:
    return None if serving is None else serving.get(manifest.model) == manifest.version


def _summary(manifest: Manifest, serving: Mapping[str, str] | None) -> dict[str, Any]:
    fields = (
        "model",
        "version",
        "sha256",
        "revision",
        "interval",
        "symbols",
        "window_start_ts",
        "window_end_ts",
        "horizon_s",
        "rows",
        "metrics",
    )
    return {**{name: getattr(manifest, name) for name in fields}, "serves": _serves(manifest, serving)}


def _time(ts: int) -> str:
    return f"{datetime.fromtimestamp(ts / _SECOND_US, UTC):%Y-%m-%d %H:%M:%S}"
