"""One websocket connection: what it is subscribed to, and the frames that wait to be sent."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

from aiohttp import web

QUEUE_FRAMES = 20_000
"""Frames that wait for a slow reader before its connection is closed; frames are never skipped within a connection."""


class Connection:
    """One websocket connection: what it is subscribed to, and the frames that wait to be sent.

    Parameters
    ----------
    socket, transport
        The open websocket and the transport below it.
    combined
        Frames are wrapped as ``{"stream": ..., "data": ...}``.
    """

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.BaseTransport | None, *, combined: bool) -> None:
        self.socket = socket
        self._transport = transport
        self.combined = combined
        self.streams: dict[str, None] = {}
        self.received: deque[float] = deque(maxlen=16)
        self._queue: asyncio.Queue[str | None] = asyncio.Queue(QUEUE_FRAMES)
        self.overflowed = False

    def push(self, frame: str) -> None:
        """Queue a frame; a reader that is too slow loses its connection, not frames."""
        if self.overflowed:
            return
        try:
            self._queue.put_nowait(frame)
        except asyncio.QueueFull:
            self.overflowed = True
            self.abort()

    def abort(self) -> None:
        """Cut the connection now, with no closing handshake."""
        if isinstance(self._transport, asyncio.Transport):
            self._transport.abort()

    async def write(self) -> None:
        """Send queued frames until the connection closes."""
        with contextlib.suppress(ConnectionError):  # the reader left; the read side ends the connection
            while (frame := await self._queue.get()) is not None:
                await self.socket.send_str(frame)
