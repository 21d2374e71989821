"""Texts of the combined stream to frames."""

from __future__ import annotations

import pytest

from connectors.exchange.frames import FrameReader, key_of
from connectors.exchange.venues import COINM, SPOT, USDM, Channel, channel_of, stream_names, venue_named
from quantum.errors import ConfigurationError
from schemas.common import FrameKind

RECEIVED = 1_723_161_255_088_176
TRADE = (
    '{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161256323,"T":1723161256322,"s":"BTCUSDT","t":5266583935,"p":"61800.30",'
    '"q":"0.006","X":"MARKET","m":false}}'
)
SPOT_QUOTE = (
    '{"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.7","a":"61837.64000000","A":"1.5"}}'
)
MARK = (
    '{"stream":"btcusdt@markPrice@1s","data":{"e":"markPriceUpdate","E":1723161257000,"s":"BTCUSDT","p":"61800.1","i":"61801.2",'
    '"P":"61900","r":"0.0001","T":1723190400000}}'
)


def test_a_trade_keeps_its_text_and_its_time() -> None:
    frame = FrameReader(USDM, "s").read(TRADE, RECEIVED)
    assert frame is not None
    assert (frame.venue, frame.symbol, frame.channel, frame.kind) == ("binance-usdm", "BTCUSDT", Channel.TRADE, FrameKind.STREAM)
    assert (frame.event_ts, frame.ingest_ts) == (1_723_161_256_322_000, RECEIVED)
    assert frame.payload == TRADE[TRADE.index('"data":') + 7 : -1]
    assert key_of(frame) == "binance-usdm:BTCUSDT"


def test_a_frame_without_a_time_happened_when_it_was_received_by_the_venues_clock() -> None:
    frame = FrameReader(SPOT, "s", offset_us=1_271_000).read(SPOT_QUOTE, RECEIVED)
    assert frame is not None
    assert (frame.channel, frame.event_ts) == (Channel.QUOTE, RECEIVED + 1_271_000)


def test_a_mark_happens_when_it_is_sent_not_at_the_next_funding() -> None:
    frame = FrameReader(USDM, "s").read(MARK, RECEIVED)
    assert frame is not None
    assert (frame.channel, frame.event_ts) == (Channel.MARK, 1_723_161_257_000_000)


def test_sequences_count_by_symbol_and_ids_are_unique() -> None:
    reader = FrameReader(USDM, "s1")
    frames = [reader.read(text, RECEIVED) for text in (TRADE, MARK, TRADE.replace("btc", "eth"), TRADE)]
    assert [frame.sequence for frame in frames if frame is not None] == [0, 1, 0, 2]
    ids = {frame.event_id for frame in frames if frame is not None}
    assert len(ids) == 4
    assert "binance-usdm:ETHUSDT:s1:0" in ids


def test_what_is_not_known_is_counted() -> None:
    reader = FrameReader(USDM, "s")
    texts = ['{"stream":"btcusdt@kline_1m","data":{}}', "{", '{"stream":"btcusdt@trade","data":{"T":"x"}}', '{"a":1}', "\x00"]
    assert [reader.read(text, RECEIVED) for text in texts] == [None] * 5
    assert reader.unknown == {"btcusdt@kline_1m": 1}
    assert reader.malformed == 4


def test_bytes_that_are_not_text_are_counted() -> None:
    reader = FrameReader(USDM, "s")
    assert reader.read(b'{"stream":"btcusdt@trade","data":{"t":1,"x":"\xff"}}', RECEIVED) is None
    assert reader.malformed == 1


def test_a_depth_snapshot_takes_its_own_symbol_or_the_files() -> None:
    reader = FrameReader(COINM, "s", offset_us=5)
    own = reader.read(b'{"lastUpdateId":7,"E":3,"T":2,"symbol":"BTCUSD_PERP","bids":[],"asks":[]}', RECEIVED, "OTHER")
    files = reader.read(b'{"lastUpdateId":7,"bids":[],"asks":[]}', RECEIVED, "ETHUSD_PERP")
    assert own is not None
    assert files is not None
    assert (own.symbol, own.channel, own.event_ts, own.kind) == ("BTCUSD_PERP", Channel.DEPTH_SNAPSHOT, 2_000, FrameKind.REST)
    assert (files.symbol, files.event_ts) == ("ETHUSD_PERP", RECEIVED + 5)
    assert reader.read(b'{"lastUpdateId":7,"bids":[],"asks":[]}', RECEIVED) is None


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        ("btcusdt@depth@0ms", ("BTCUSDT", Channel.DEPTH)),
        ("btcusd_perp@depth20@100ms", ("BTCUSD_PERP", Channel.DEPTH_SNAPSHOT)),
        ("btcusdt@aggTrade", None),
        ("!ticker@arr", None),
        ("@trade", None),
    ],
)
def test_stream_names(stream: str, expected: tuple[str, Channel] | None) -> None:
    assert channel_of(stream) == expected


def test_venues() -> None:
    assert stream_names(USDM, "BTCUSDT") == ["btcusdt@trade", "btcusdt@bookTicker", "btcusdt@markPrice@1s", "btcusdt@depth@100ms"]
    assert stream_names(SPOT, "BTCUSDT", depth=False) == ["btcusdt@trade", "btcusdt@bookTicker"]
    with pytest.raises(ConfigurationError, match="no venue"):
        venue_named("nasdaq")
