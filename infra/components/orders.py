"""The order gateway's process."""

from __future__ import annotations

import asyncio

from confluent_kafka import Message

from connectors.clickhouse.dead_letters import KafkaDeadLetters
from connectors.clickhouse.records import Rejected
from connectors.exchange.binance.settings import VenueSettings
from connectors.exchange.orders.commands import CommandTopics
from connectors.exchange.orders.gateway import run_gateway
from connectors.exchange.orders.settings import OrdersSettings
from infra.clickhouse.generate import spec_of
from processors.components import node_publisher, registry
from processors.topology import TOPICS
from quantum.errors import DeadLetterError
from quantum.settings import Settings
from schemas.codec import RecordCodec
from schemas.execution.records import AccountTransfer, ExecutionResult, OrderCommand
from schemas.positions.records import PortfolioPosition, PortfolioSnapshot


async def orders(settings: Settings, stop: asyncio.Event) -> None:
    """Carry commands to the venue and what became of them back."""
    ids = registry(settings)
    command = TOPICS["order.command"]
    topics = CommandTopics(
        command_codec=RecordCodec(command.subject, OrderCommand, ids),
        result_codec=RecordCodec(TOPICS["execution.result"].subject, ExecutionResult, ids),
        transfer_codec=RecordCodec(TOPICS["account.transfer"].subject, AccountTransfer, ids),
        position_codec=RecordCodec(TOPICS["portfolio.position"].subject, PortfolioPosition, ids),
        snapshot_codec=RecordCodec(TOPICS["portfolio.snapshot"].subject, PortfolioSnapshot, ids),
    )
    letters = KafkaDeadLetters(settings.kafka, "orders")

    spec = spec_of(command)

    def on_corrupt(message: Message, error: DeadLetterError) -> None:
        letters.send(spec, [Rejected(message, str(error))])

    await run_gateway(
        OrdersSettings(venue=settings.venue, account=settings.account),
        VenueSettings(),
        settings.kafka,
        topics,
        node_publisher(settings, "orders"),
        on_corrupt,
        stop,
    )
