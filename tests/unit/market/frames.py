"""Frames for the tests: made by hand, or read from the recorded files."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from schemas.common import FrameKind
from schemas.exchange.records import ExchangeFrame

T0 = 1_723_161_600_000_000
"""A whole hour of event time, microseconds."""
DATA = Path(os.environ.get("QUANTUM_DATA", Path(__file__).parents[3] / ".." / "shared" / "data")) / "binance_raw"
CHANNELS = {"trade": "trade", "bookTicker": "quote", "depth": "depth"}
VENUES = {"spot": "binance-spot", "usdm": "binance-usdm", "cm": "binance-coinm"}


def frame(channel: str, payload: Any, ts: int = T0, kind: FrameKind = FrameKind.STREAM, venue: str = "binance-usdm") -> ExchangeFrame:
    text = payload if isinstance(payload, str) else json.dumps(payload)
    return ExchangeFrame(
        event_id=f"{channel}:{ts}", event_ts=ts, ingest_ts=ts, venue=venue, symbol="BTCUSDT", channel=channel, kind=kind,
        session="s", sequence=0, payload=text,
    )  # fmt: skip


def trade(trade_id: int, at_ms: float, price: float = 100.0, quantity: float = 1.0, *, sell: bool = False) -> ExchangeFrame:
    ts_ms = T0 // 1000 + int(at_ms)
    payload = {"e": "trade", "E": ts_ms, "T": ts_ms, "s": "BTCUSDT", "t": trade_id, "p": str(price), "q": str(quantity), "m": sell}
    return frame("trade", payload, ts_ms * 1000)


def rest_trade(trade_id: int, at_ms: float, price: float = 100.0, quantity: float = 1.0, *, sell: bool = False) -> ExchangeFrame:
    ts_ms = T0 // 1000 + int(at_ms)
    payload = {"id": trade_id, "price": str(price), "qty": str(quantity), "quoteQty": "0", "time": ts_ms, "isBuyerMaker": sell}
    return frame("trade", payload, ts_ms * 1000, FrameKind.REST)


def heartbeat(at_ms: float) -> ExchangeFrame:
    return frame("heartbeat", {}, T0 + int(at_ms * 1000), FrameKind.HEARTBEAT)


def recorded(path: Path) -> Iterator[ExchangeFrame]:
    """Yield the frames of a recorded file."""
    venue, symbol = VENUES[path.parent.name], path.name.rsplit("_", 1)[0].upper()
    with gzip.open(path, "rt") as lines:
        for number, line in enumerate(lines):
            received, text = line.split(" ", 1)
            outer = json.loads(text)
            stream = "stream" in outer
            data, ts = outer["data"] if stream else outer, int(received) // 1000
            yield ExchangeFrame(
                event_id=f"{venue}:{symbol}:{number}", event_ts=(data.get("T") or data.get("E") or ts // 1000) * 1000, ingest_ts=ts,
                venue=venue, symbol=symbol, channel=CHANNELS[outer["stream"].split("@")[1]] if stream else "depth_snapshot",
                kind=FrameKind.STREAM if stream else FrameKind.REST, session="file", sequence=number,
                payload=text[text.index('"data":') + 7 : text.rstrip().rindex("}")] if stream else text,
            )  # fmt: skip
