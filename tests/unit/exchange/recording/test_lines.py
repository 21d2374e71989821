"""A frame becomes a line and that line the same frame, whatever its payload is; other readers of the format read on."""

from __future__ import annotations

import json

from hypothesis import example, given
from hypothesis import strategies as st

from connectors.exchange.frames import FrameReader
from connectors.exchange.recording.line import Noted, frame_of, line_of, noted
from connectors.exchange.venues import SPOT, USDM, VENUES, Channel
from schemas.common import FrameKind
from schemas.exchange.records import ExchangeFrame
from tests.unit.exchange.recording.frames import START_US, binance, connection, snapshot, story

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
JSON = st.recursive(st.none() | st.integers() | TEXT, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=4))
PAYLOADS = (
    TEXT | JSON.map(json.dumps) | st.builds(lambda value, indent: json.dumps(value, indent=indent, ensure_ascii=False), JSON, st.none())
)
MICROSECONDS = st.integers(0, 4_000_000_000_000_000)


def back(frame: ExchangeFrame, line: bytes) -> ExchangeFrame:
    """Return the frame that is read of a line."""
    time, _, text = line.rstrip(b"\r\n").partition(b" ")
    known = noted(text)
    assert known is not None
    assert known.numbers is not None
    return frame_of(frame.venue, int(time) // 1_000, known, known.numbers)


@given(
    st.builds(
        ExchangeFrame, event_id=TEXT, event_ts=MICROSECONDS, ingest_ts=MICROSECONDS, venue=st.sampled_from(sorted(VENUES)),
        symbol=st.sampled_from(["BTCUSDT", "btcusdt", "", "A B", 'X"Y', "ÄÖ"]) | TEXT, channel=st.sampled_from(list(Channel)) | TEXT,
        kind=st.sampled_from(FrameKind), session=TEXT.filter(bool), sequence=st.integers(0, 1 << 62), payload=PAYLOADS,
        channel_sequence=st.none() | st.integers(0, 1 << 62),
    )
)  # fmt: skip
@example(next(binance(connection("binance-usdm"), "BTCUSDT", 1, START_US)))
@example(connection("coinbase").frame("BTCUSD", Channel.DEPTH, FrameKind.STREAM, 1, 1, '{"a":1,"frame":{"symbol":"X"}}'))
@example(connection("coinbase").frame("BTCUSD", Channel.DEPTH, FrameKind.STREAM, 1, 1, '{\n "a": 1}'))
@example(connection("coinbase").frame("BTCUSD", Channel.DEPTH, FrameKind.STREAM, 1, 1, '{\r"a": 1}'))
@example(connection("binance-spot").frame("BTCUSDT", Channel.TRADE, FrameKind.STREAM, 1, 1, '{"x":",\\"data\\":","frame":1}'))
def test_a_line_says_all_of_a_frame(frame: ExchangeFrame) -> None:
    line = line_of(frame)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert back(frame, line) == frame


def test_lines_are_json_with_the_payload_where_readers_of_the_format_look_for_it() -> None:
    for frame in story(2):
        text = line_of(frame).partition(b" ")[2]
        said, payload = json.loads(text), json.loads(frame.payload)
        assert said.pop("frame")["symbol"] == frame.symbol
        assert (said["data"] if frame.kind is FrameKind.STREAM else said) == payload


def test_who_reads_the_format_without_notes_reads_the_same_frames() -> None:
    maker, plain = connection("binance-usdm"), FrameReader(USDM, "plain")
    for frame in [*binance(maker, "BTCUSDT", 1, START_US), snapshot(maker, "BTCUSDT", 0, START_US)]:
        read = plain.read(line_of(frame).partition(b" ")[2], START_US, "BTCUSDT")
        assert read is not None
        assert (read.symbol, read.channel, read.kind) == (frame.symbol, frame.channel, frame.kind)
        assert json.loads(read.payload).items() >= json.loads(frame.payload).items()


def test_a_line_without_a_note_or_with_a_wrong_one_has_none() -> None:
    for text in (b"", b"{}", b'{"stream":"a@trade","data":{}}', b'{"frame":1}', b'{"a":1,"frame":{"symbol":"X"}}', b'"frame":{}}'):
        assert noted(text) is None
    line = line_of(next(binance(connection(SPOT.name), "BTCUSDT", 1, START_US))).partition(b" ")[2].rstrip()
    assert isinstance(noted(line), Noted)
    assert noted(line[:-1]) is None
    assert noted(line.replace(b',"data":', b',"date":')) is None
