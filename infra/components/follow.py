"""The paper venue on a live or replayed market: it keeps its book from ``market.quote`` and ``market.tick``."""

from __future__ import annotations

import asyncio
import logging
from urllib.parse import urlsplit

from confluent_kafka import Consumer

from connectors.exchange.binance.settings import VenueSettings
from connectors.exchange.simulated.market.instruments import Product, instrument, known_symbols
from connectors.exchange.simulated.rest.endpoint import Credentials
from connectors.exchange.simulated.server.server import AccountSettings, FollowServer
from connectors.kafka.config import client_config
from processors.components import codecs, registry
from processors.topology import NODES
from quantum.errors import DeadLetterError
from quantum.settings import Settings
from schemas.common import Side
from schemas.market.records import MarketQuote, MarketTick
from schemas.record import Record

LOGGER = logging.getLogger(__name__)
BATCH = 2_000
POLL_S = 0.02


async def venue(settings: Settings, stop: asyncio.Event) -> None:
    """Serve a paper account until ``stop`` is set, at the URL that the order gateway uses."""
    access = VenueSettings()
    instruments = [instrument(Product.USDM, symbol) for symbol in known_symbols()]
    account = AccountSettings(Credentials(access.api_key.get_secret_value(), access.api_secret))
    server = FollowServer(instruments, account=account)
    await server.start({Product.USDM: urlsplit(access.usdm_url).port or 0})
    wanted = NODES["venue"].reads
    decoders = codecs(registry(settings), wanted)
    consumer = Consumer(
        client_config(
            settings.kafka, group_id="quantum-venue", enable_auto_commit=False, auto_offset_reset="latest", isolation_level="read_committed"
        )
    )
    consumer.subscribe(list(wanted))
    try:
        while not stop.is_set():
            for message in await asyncio.to_thread(consumer.consume, BATCH, POLL_S):
                topic, value, error = message.topic(), message.value(), message.error()
                if error is not None:
                    LOGGER.warning("the paper venue reads on after: %s", error)
                elif topic is not None and value is not None:
                    try:
                        follow(server, settings.venue, decoders[topic].decode(value))
                    except DeadLetterError as unreadable:  # the sink dead-letters the same record; a quote that is lost is replaced
                        LOGGER.warning("the paper venue leaves a record out: %s", unreadable)
    finally:
        await asyncio.to_thread(consumer.close)
        await server.stop()


def follow(server: FollowServer, venue: str, record: Record) -> None:
    """Take a quote or a trade of the traded venue into the paper venue's book."""
    match record:
        case MarketQuote() if record.venue == venue and record.symbol in server.market.instruments:
            server.venue.on_quote(
                record.symbol, record.bid_price, record.bid_quantity, record.ask_price, record.ask_quantity, record.event_ts
            )
        case MarketTick() if record.venue == venue and record.symbol in server.market.instruments and record.side is not Side.UNKNOWN:
            server.venue.on_trade(record.symbol, record.price, record.quantity, record.side, record.event_ts)
