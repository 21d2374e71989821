"""A running venue, and clients of its two products."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from connectors.exchange.simulated.market.instruments import Product
from connectors.exchange.simulated.server.server import AccountSettings, VenueServer
from tests.integration.venue.client import CREDENTIALS, ETH, Client, client_of


@pytest.fixture
async def server() -> AsyncIterator[VenueServer]:
    account = AccountSettings(CREDENTIALS, latency=0.001)
    settings: dict[str, Any] = {"history_minutes": 15, "account": account, "products": tuple(Product), "control": True}
    async with VenueServer(("BTCUSDT", ETH), seed=3, **settings) as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


@pytest.fixture
def usdm(server: VenueServer, http: aiohttp.ClientSession) -> Client:
    return client_of(server, http, Product.USDM)


@pytest.fixture
def spot(server: VenueServer, http: aiohttp.ClientSession) -> Client:
    return client_of(server, http, Product.SPOT)
