"""The order gateway as a process of its own, to be killed: ``python -m tests.integration.gateway_process JSON``."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from functools import cache, partial

import msgspec
from confluent_kafka import Message

from connectors.exchange.binance.settings import VenueSettings
from connectors.exchange.orders.commands import CommandTopics
from connectors.exchange.orders.gateway import run_gateway
from connectors.exchange.orders.settings import OrdersSettings
from connectors.kafka.publisher import Publisher, Route
from connectors.registry.client import Registry
from quantum.errors import DeadLetterError
from quantum.partition import partition_of
from schemas.codec import RecordCodec
from schemas.execution.records import AccountBalance, AccountTransfer, ExecutionResult, OrderCommand, ReconcileEvent
from schemas.positions.records import PortfolioPosition, PortfolioSnapshot
from schemas.record import Record

PARTITIONS = 2
RECORDS: dict[str, type[Record]] = {
    "command": OrderCommand,
    "result": ExecutionResult,
    "balance": AccountBalance,
    "transfer": AccountTransfer,
    "reconcile": ReconcileEvent,
    "position": PortfolioPosition,
    "snapshot": PortfolioSnapshot,
}


class Arguments(msgspec.Struct):
    """Where everything is, and the prefix of topics, subjects and group."""

    kafka: str
    registry: str
    prefix: str
    usdm: str
    instance: str = "one"


@cache
def registry_at(url: str) -> Registry:
    """Return the one client of a registry that this process has; it lives as long as the process."""
    return Registry(url)


def partitions_of(key: str) -> tuple[int, ...]:
    """Return the partition of a key."""
    return (partition_of(key, PARTITIONS),)


def topics_of(arguments: Arguments) -> CommandTopics:
    """Return the topics of a test."""
    registry = registry_at(arguments.registry)
    return CommandTopics(
        command_codec=RecordCodec(f"{arguments.prefix}.command-value", OrderCommand, registry),
        result_codec=RecordCodec(f"{arguments.prefix}.result-value", ExecutionResult, registry),
        transfer_codec=RecordCodec(f"{arguments.prefix}.transfer-value", AccountTransfer, registry),
        position_codec=RecordCodec(f"{arguments.prefix}.position-value", PortfolioPosition, registry),
        snapshot_codec=RecordCodec(f"{arguments.prefix}.snapshot-value", PortfolioSnapshot, registry),
        commands=f"{arguments.prefix}.command",
        results=f"{arguments.prefix}.result",
        transfers=f"{arguments.prefix}.transfer",
        balances=f"{arguments.prefix}.balance",
        reconciles=f"{arguments.prefix}.reconcile",
        positions=f"{arguments.prefix}.position",
        snapshots=f"{arguments.prefix}.snapshot",
    )


def publisher_of(arguments: Arguments) -> Publisher:
    """Return what writes the topics of a test."""
    registry = registry_at(arguments.registry)
    topics = {f"{arguments.prefix}.{name}": record for name, record in RECORDS.items()}
    return Publisher(
        arguments.kafka,
        {name: Route(name, RecordCodec(f"{name}-value", record, registry), partitions_of) for name, record in topics.items()},
    )


def corrupt(message: Message, error: DeadLetterError) -> None:
    """Say that a command cannot be read."""
    print(f"corrupt {message.offset()}: {error}", flush=True)


async def main(arguments: Arguments) -> None:
    """Run the gateway until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = OrdersSettings(
        group=arguments.prefix, instance=arguments.instance, poll_s=0.5, balance_s=2.0, lost_after=3, reconcile_s=2.0, confirm_s=0.3
    )
    access = VenueSettings(usdm_url=arguments.usdm, recv_window_ms=1_000, timeout_s=3.0)
    start = partial(run_gateway, settings, access, arguments.kafka, topics_of(arguments), publisher_of(arguments))
    await start(corrupt, stop)


if __name__ == "__main__":
    logging.basicConfig(level="INFO", format="%(asctime)s %(name)s %(levelname)s %(message)s")
    asyncio.run(main(msgspec.json.decode(sys.argv[1], type=Arguments)))
