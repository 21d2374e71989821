"""A plain client of the simulated venue."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from pydantic import SecretStr

from connectors.exchange.simulated.market.instruments import Product
from connectors.exchange.simulated.rest.endpoint import Credentials
from connectors.exchange.simulated.server.server import VenueServer

CREDENTIALS = Credentials("a-key", SecretStr("a-secret"))
ETH = "ETHUSDT"


class Client:
    """A plain client that signs."""

    def __init__(self, http: aiohttp.ClientSession, base: str, control_url: str = "") -> None:
        self.http = http
        self.base = base
        self.control_url = control_url

    async def call(self, method: str, path: str, *, signed: bool = False, key: str | None = None, **params: Any) -> tuple[int, Any]:
        query = urlencode(params)
        if signed:
            query = urlencode({"timestamp": time.time_ns() // 1_000_000, **params})
            query += f"&signature={CREDENTIALS.sign(query)}"
        headers = {"X-MBX-APIKEY": key or CREDENTIALS.key} if signed or key else {}
        async with self.http.request(method, f"{self.base}{path}?{query}", headers=headers) as answer:
            return answer.status, await answer.json()

    async def control(self, method: str, at: str, **body: Any) -> tuple[int, Any]:
        async with self.http.request(method, f"{self.control_url}{at}", json=body or None) as answer:
            return answer.status, await answer.json()

    async def fault(self, **fault: Any) -> Any:
        status, answer = await self.control("POST", "/faults", **fault)
        assert status == 200, answer
        return answer


def client_of(server: VenueServer, http: aiohttp.ClientSession, product: Product) -> Client:
    assert server.control is not None
    return Client(http, server.url(product), server.control.site.url)


async def listen(client: Client, path: str) -> tuple[list[Any], asyncio.Task[None]]:
    """Return what a stream's frames are added to as they come, and the task that reads them; the stream is open by then."""
    frames: list[Any] = []
    opened = asyncio.Event()

    async def read() -> None:
        async with client.http.ws_connect(client.base + path) as socket:
            opened.set()
            while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                frames.append(json.loads(message.data))

    reader = asyncio.create_task(read())
    await opened.wait()
    return frames, reader


async def until(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    for _ in range(round(seconds / 0.02)):
        if condition():
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"nothing came of it in {seconds} s")
