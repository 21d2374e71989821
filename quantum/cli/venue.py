"""``quantum venue``: the simulated venue on its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import click

from quantum.errors import ConfigurationError

PRODUCTS = ("usdm", "spot", "coinm")
HELP = """Run a venue of its own on loopback that speaks Binance's REST and websocket dialect, until Ctrl-C.

Makers, takers and arbitrageurs trade in real order books, the same for the same seed; orders of the account join them. It has
no real money and needs no internet. With --control it misbehaves on request (docs/venue.md):

\b
curl CONTROL/faults -d '{"kind": "respond", "status": 429, "count": 3}'
curl CONTROL/faults -d '{"kind": "drop_frame", "stream": "@depth", "probability": 0.01}'
curl CONTROL/faults              what is in force
curl -X DELETE CONTROL/faults    nothing any more

\b
requests  respond, delay, wrong_time, unknown_order, accept_then_time_out
frames    drop_frame, gap, duplicate_frame, reorder_frame, stall, late_user_event
all       drop_sockets, maintenance
each with count, seconds, probability, product
"""


class Amount(click.ParamType):
    """An amount of money above zero."""

    name = "amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """Return the amount that a text says."""
        try:
            amount = Decimal(str(value))
        except InvalidOperation:
            amount = Decimal(0)
        if not amount.is_finite() or amount <= 0:
            self.fail(f"{value} is no amount of money above zero", param, ctx)
        return amount


@click.command(context_settings={"show_default": True}, help=HELP)
@click.option("--seed", default=7, help="Same seed, same markets.")
@click.option("--symbols", default="BTCUSDT,ETHUSDT,SOLUSDT", help="Listed symbols, separated by commas.")
@click.option("--products", default="usdm,spot,coinm", help="What is traded, separated by commas.")
@click.option("--speed", default=1.0, type=click.FloatRange(0.1, 1_000), help="Market seconds a second.")
@click.option("--every", default=1, type=click.IntRange(1, 60), help="Make one in so many of the trades, quotes and mark prices.")
@click.option("--usdm-port", default=0, help="Port of the USD-margined perpetuals; 0 takes a free one.")
@click.option("--spot-port", default=0, help="Port of spot; 0 takes a free one.")
@click.option("--coinm-port", default=0, help="Port of the COIN-margined perpetuals; 0 takes a free one.")
@click.option("--control", is_flag=True, help="Open the control endpoint, through which faults are put in force.")
@click.option("--control-port", default=0, help="Port of the control endpoint; 0 takes a free one.")
@click.option("--history-minutes", default=120, type=click.IntRange(1, 7 * 1440), help="Minutes of history that exist at start.")
@click.option("--funding-minutes", default=480, type=click.IntRange(1, 1440), help="Minutes between two settlements of funding.")
@click.option("--balance", default="10000", type=Amount(), help="First balance of each account, USDT.")
@click.option("--latency-ms", default=20.0, type=click.FloatRange(0, 10_000), help="Time between an order's arrival and its match.")
@click.option("--orders-per-minute", default=1_200, type=click.IntRange(4), help="Orders that the venue takes of an account.")
@click.option("--api-key", default="paper", envvar="QUANTUM_SIMULATED_KEY", help="API key of the accounts.")
@click.option(
    "--api-secret", default="paper-secret", envvar="QUANTUM_SIMULATED_SECRET", show_default=False, help="API secret of the accounts."
)
@click.option("--json", "as_json", is_flag=True, help="Print where it listens as one line of JSON.")
@click.option("--ready-file", type=click.Path(dir_okay=False, path_type=Path), help="The same JSON as a file, written once it listens.")
def venue(**options: Any) -> None:
    """Run the venue until it is told to end."""
    asyncio.run(_run(options))


async def _run(options: dict[str, Any]) -> None:
    from pydantic import SecretStr

    from connectors.exchange.simulated.market.instruments import Product, instrument
    from connectors.exchange.simulated.rest.endpoint import Credentials
    from connectors.exchange.simulated.server.server import AccountSettings, VenueServer

    symbols = _listed(options["symbols"])
    wanted = [name.lower() for name in _listed(options["products"])]
    if unknown := sorted(set(wanted) - set(PRODUCTS)):
        raise ConfigurationError(f"--products {','.join(unknown)}: there is no such product", f"choose among {', '.join(PRODUCTS)}")
    products = [product for product in Product if product.value in wanted]
    if not symbols or not products:
        raise ConfigurationError("a venue needs a symbol and a product", "give --symbols and --products at least one each")
    for symbol in symbols:
        instrument(products[0], symbol)
    credentials = Credentials(options["api_key"], SecretStr(options["api_secret"]))
    server = VenueServer(
        symbols,
        seed=options["seed"],
        history_minutes=options["history_minutes"],
        funding_minutes=options["funding_minutes"],
        products=products,
        account=AccountSettings(credentials, options["balance"], latency=options["latency_ms"] / 1000),
        speed=options["speed"],
        orders_per_minute=options["orders_per_minute"],
        every=options["every"],
        control=options["control"],
    )
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await server.start({product: options[f"{product.value}_port"] for product in products}, options["control_port"])
    try:
        ready: dict[str, Any] = {"pid": os.getpid(), "seed": options["seed"], "speed": options["speed"], "began_us": server.clock.began_us}
        for product in products:
            url, listed = server.url(product), list(server.market.markets[product])
            ready[product.value] = {
                "port": server.listeners[product].port, "rest": url, "websocket": url.replace("http", "ws", 1), "symbols": listed,
            }  # fmt: skip
        if server.control is not None:
            ready["control"] = server.control.site.url
        click.echo(json.dumps(ready) if options["as_json"] else _table(ready, options))
        if options["ready_file"] is not None:
            _write(options["ready_file"], json.dumps(ready))
        stopped, playing = asyncio.create_task(stop.wait()), asyncio.create_task(server.wait())
        done, pending = await asyncio.wait({stopped, playing}, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for task in done:
            task.result()
    finally:
        await server.stop()


def _listed(text: str) -> list[str]:
    return list(dict.fromkeys(part.strip().upper() for part in text.split(",") if part.strip()))


def _table(ready: dict[str, Any], options: dict[str, Any]) -> str:
    lines = [f"seed {ready['seed']}, speed {ready['speed']:g}, {options['history_minutes']} minutes of history, key {options['api_key']}"]
    for name in PRODUCTS:
        if name in ready:
            at = ready[name]
            lines.append(f"{name:8}{at['rest']:28}{at['websocket'] + '/ws':30}{', '.join(at['symbols'])}")
    if "control" in ready:
        lines.append(f"{'control':8}{ready['control']}")
    return "\n".join([*lines, "Ctrl-C ends it"])


def _write(path: Path, text: str) -> None:
    """Write a file so that a reader sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text + "\n")
    part.replace(path)
