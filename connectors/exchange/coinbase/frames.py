"""Texts of Coinbase's public websocket to frames; the payload is the whole message, but for snapshots of books.

A snapshot has every level of the book, megabytes of them. Only the best ones are kept, as many as the platform's book has, and the
payload says by ``cut`` that there were more.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from connectors.exchange.frames import FrameMaker
from connectors.exchange.venues import Channel
from schemas.common import FrameKind
from schemas.exchange.records import ExchangeFrame

_CHANNELS = {
    "match": Channel.TRADE,
    "last_match": Channel.TRADE,
    "ticker": Channel.QUOTE,
    "snapshot": Channel.DEPTH,
    "l2update": Channel.DEPTH,
}
_SILENT = {"subscriptions", "heartbeat"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class _Message(msgspec.Struct):
    type: str
    product_id: str = ""
    time: datetime | None = None
    trade_id: int = -1
    message: str = ""
    reason: str = ""


class _Snapshot(msgspec.Struct):
    type: str
    product_id: str
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]
    time: str | None = None
    cut: int | None = None


_MESSAGE = msgspec.json.Decoder(_Message)
_SNAPSHOT = msgspec.json.Decoder(_Snapshot)


def microseconds(time: datetime) -> int:
    """Return a time as microseconds since the epoch."""
    return (time - _EPOCH) // _MICROSECOND


def symbol_of(product: str) -> str:
    """Return the platform's name of a product: ``BTC-USD`` is BTCUSD."""
    return product.replace("-", "")


class CoinbaseReader(FrameMaker):
    """Makes the frames of one connection to Coinbase."""

    def read(self, text: bytes | str, receive_us: int, file_symbol: str = "") -> ExchangeFrame | None:
        """Return the frame of a message; confirmations and heartbeats make none, a refusal is counted as unknown."""
        try:
            message = _MESSAGE.decode(text)
            if message.type in _SILENT:
                return None
            channel = _CHANNELS.get(message.type)
            if channel is None or not message.product_id:
                self.unknown[f"{message.type}: {message.message} {message.reason}".rstrip(" :")] += 1
                return None
            payload = text if isinstance(text, str) else text.decode()
            if message.type == "snapshot":
                payload = self._cut(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
            self.malformed += 1
            return None
        symbol = symbol_of(message.product_id)
        if channel is Channel.TRADE:
            self.note_trade(symbol, message.trade_id)
        event_us = receive_us + self.offset_us if message.time is None else microseconds(message.time)
        return self.frame(symbol, channel, FrameKind.STREAM, event_us, receive_us, payload)

    def _cut(self, text: str) -> str:
        """Return a snapshot with no more levels than are kept."""
        most = self.venue.kept_levels
        snapshot = _SNAPSHOT.decode(text)
        if max(len(snapshot.bids), len(snapshot.asks)) <= most:
            return text
        snapshot.bids = sorted(snapshot.bids, key=_price, reverse=True)[:most]
        snapshot.asks = sorted(snapshot.asks, key=_price)[:most]
        snapshot.cut = most
        return msgspec.json.encode(snapshot).decode()


def _price(level: tuple[str, str]) -> float:
    return float(level[0])
