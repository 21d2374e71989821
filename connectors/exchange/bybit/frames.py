"""Texts of Bybit's public websocket to frames; the payload is the whole message."""

from __future__ import annotations

import msgspec

from connectors.exchange.frames import FrameMaker
from connectors.exchange.payload import MILLISECOND
from connectors.exchange.venues import Channel
from schemas.common import FrameKind
from schemas.exchange.records import ExchangeFrame

_CHANNELS = {
    "publicTrade": Channel.TRADE,
    "orderbook.1": Channel.QUOTE,
    "orderbook.200": Channel.DEPTH,
    "tickers": Channel.MARK,
}


class _Message(msgspec.Struct):
    """A message of a topic (``cts`` is the time of the matching engine, ``ts`` that of sending), or the answer to a request."""

    topic: str = ""
    ts: int = 0
    cts: int = 0
    data: msgspec.Raw = msgspec.Raw()
    op: str = ""
    success: bool = True
    ret_msg: str = ""


class _Time(msgspec.Struct):
    T: int


_MESSAGE = msgspec.json.Decoder(_Message)
_TIMES = msgspec.json.Decoder(list[_Time])


class BybitReader(FrameMaker):
    """Makes the frames of one connection to Bybit."""

    def read(self, text: bytes | str, receive_us: int, file_symbol: str = "") -> ExchangeFrame | None:
        """Return the frame of a message; answers to requests make none, a refused one is counted as unknown."""
        try:
            message = _MESSAGE.decode(text)
            if not message.topic:
                if not message.success:
                    self.unknown[f"{message.op}: {message.ret_msg}"] += 1
                return None
            stream, _, symbol = message.topic.rpartition(".")
            channel = _CHANNELS.get(stream)
            if channel is None or not symbol:
                self.unknown[message.topic] += 1
                return None
            happened = message.cts or message.ts
            if channel is Channel.TRADE:
                happened = max(trade.T for trade in _TIMES.decode(message.data))
                self.note_trade(symbol, happened)
            payload = text if isinstance(text, str) else text.decode()
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
            self.malformed += 1
            return None
        return self.frame(symbol, channel, FrameKind.STREAM, happened * MILLISECOND, receive_us, payload)
