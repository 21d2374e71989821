"""Command line of the simulated venue: ``python -m connectors.exchange.simulated``."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path

import click
from pydantic import SecretStr

from connectors.exchange.simulated.endpoint import Credentials
from connectors.exchange.simulated.instruments import Product, instrument
from connectors.exchange.simulated.server import DEFAULT_KEY, DEFAULT_SECRET, AccountSettings, VenueServer
from quantum.errors import ConfigurationError, QuantumError


@click.command(context_settings={"show_default": True})
@click.option("--seed", default=7, help="Same seed, same markets.")
@click.option("--symbols", default="BTCUSDT,ETHUSDT,SOLUSDT", help="Listed symbols, separated by commas.")
@click.option("--usdm-port", default=0, help="Port of the USD-margined perpetuals; 0 takes a free one.")
@click.option("--spot-port", default=0, help="Port of spot; 0 takes a free one.")
@click.option("--history-minutes", default=120, type=click.IntRange(1, 7 * 1440), help="Minutes of history that exist at start.")
@click.option("--funding-minutes", default=480, type=click.IntRange(1, 1440), help="Minutes between two settlements of funding.")
@click.option("--balance", default="10000", help="First wallet balance of the account, USDT.")
@click.option("--latency-ms", default=20.0, type=click.FloatRange(0, 10_000), help="Time between an order's arrival and its match.")
@click.option("--api-key", default=DEFAULT_KEY, envvar="QUANTUM_SIMULATED_KEY", help="API key of the account.")
@click.option(
    "--api-secret", default=DEFAULT_SECRET, envvar="QUANTUM_SIMULATED_SECRET", show_default=False, help="API secret of the account."
)
@click.option(
    "--ready-file", type=click.Path(dir_okay=False, path_type=Path), help="JSON with URLs, ports and pid, written once it listens."
)
def main(
    seed: int,
    symbols: str,
    usdm_port: int,
    spot_port: int,
    history_minutes: int,
    funding_minutes: int,
    balance: str,
    latency_ms: float,
    api_key: str,
    api_secret: str,
    ready_file: Path | None,
) -> None:
    """Run a venue of our own on loopback that speaks Binance's REST and websocket dialect."""
    try:
        names = tuple(dict.fromkeys(s.strip().upper() for s in symbols.split(",") if s.strip()))
        for name in names:
            instrument(Product.USDM, name)
        account = AccountSettings(Credentials(api_key, SecretStr(api_secret)), _amount(balance), latency=latency_ms / 1000)
        server = VenueServer(names, seed=seed, history_minutes=history_minutes, funding_minutes=funding_minutes, account=account)
        asyncio.run(_run(server, {Product.USDM: usdm_port, Product.SPOT: spot_port}, ready_file))
    except QuantumError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(0)
    if not amount.is_finite() or amount <= 0:
        raise ConfigurationError(f"--balance {text} is no amount of money", "give a number above zero, for example 10000")
    return amount


async def _run(server: VenueServer, ports: dict[Product, int], ready_file: Path | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await server.start(ports)
    try:
        ready = json.dumps(_endpoints(server))
        click.echo(ready)
        if ready_file is not None:
            _write(ready_file, ready)
        stopped, playing = asyncio.create_task(stop.wait()), asyncio.create_task(server.wait())
        done, pending = await asyncio.wait({stopped, playing}, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for task in done:
            task.result()
    finally:
        await server.stop()


def _endpoints(server: VenueServer) -> dict[str, object]:
    ready: dict[str, object] = {"pid": os.getpid()}
    for product in server.listeners:
        url = server.url(product)
        ready[product.value] = {"port": server.listeners[product].port, "rest": url, "websocket": url.replace("http", "ws", 1)}
    return ready


def _write(path: Path, text: str) -> None:
    """Write a file so that a reader sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text + "\n")
    part.replace(path)


if __name__ == "__main__":
    main()
