"""What the recorder wrote is played as it was, whole or from any time: frames, instruments, books."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from connectors.exchange.book.book import LocalBook
from connectors.exchange.dialects import book_rules, dialect_of
from connectors.exchange.recording.journal import Journal
from connectors.exchange.recording.member import members
from connectors.exchange.recording.writer import RecordingWriter
from connectors.exchange.replay.settings import ReplaySettings
from connectors.exchange.replay.source import ReplaySummary, run_replay
from connectors.exchange.replay.span import moment_ns
from connectors.exchange.venues import DEPTH_CHANNELS, Channel
from quantum.errors import ConfigurationError
from schemas.common import BookState, HealthState
from schemas.exchange.records import ExchangeFrame
from schemas.health.records import HealthEvent
from tests.unit.exchange.bybit import messages as bybit
from tests.unit.exchange.coinbase import messages as coinbase
from tests.unit.exchange.recording.frames import SECOND, START_US, story

Key = tuple[str, str]
FROM_US = START_US + 12 * SECOND
TO_US = START_US + 15 * SECOND


class Sink:
    """Keeps what comes."""

    def __init__(self) -> None:
        self.frames: list[ExchangeFrame] = []

    def send(self, frame: ExchangeFrame) -> None:
        self.frames.append(frame)


def play(folder: Path, **settings: str | float) -> tuple[list[ExchangeFrame], ReplaySummary]:
    sink = Sink()
    chosen = ReplaySettings.model_validate({"folder": folder, **settings})
    return sink.frames, asyncio.run(run_replay(chosen, sink, lambda _: None, asyncio.Event()))


def by_key(frames: Sequence[ExchangeFrame]) -> dict[Key, list[ExchangeFrame]]:
    found: dict[Key, list[ExchangeFrame]] = defaultdict(list)
    for frame in frames:
        found[frame.venue, frame.symbol].append(frame)
    return found


def record(folder: Path, frames: Sequence[ExchangeFrame], every: int = 40, max_bytes: float = 1e9) -> Path:
    writer = RecordingWriter(folder, Journal(cluster="", topic="", topic_id=""), "hour", max_bytes)
    for start in range(0, len(frames), every):
        for frame in frames[start : start + every]:
            writer.add(frame)
        writer.commit({})
    return folder


def books(frames: Sequence[ExchangeFrame]) -> dict[Key, LocalBook]:
    found: dict[Key, LocalBook] = defaultdict(LocalBook)
    for frame in frames:
        if frame.channel in DEPTH_CHANNELS:
            found[frame.venue, frame.symbol].take(book_rules(frame.venue), frame.session, dialect_of(frame).depth(frame))
    return found


@pytest.fixture(scope="module")
def frames() -> list[ExchangeFrame]:
    return [*story(20, ("BTCUSDT",)), *story(20, ("BTCUSDT", "ETHUSDT"), "binance-usdm")]


@pytest.fixture(scope="module", params=["recorded", "unpacked", "small files"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, frames: list[ExchangeFrame]) -> Path:
    """Give a recording as the recorder writes it; the same lines in plain files; and cut into many files."""
    made = record(tmp_path_factory.mktemp("recording"), frames, max_bytes=500 if request.param == "small files" else 1e9)
    if request.param == "unpacked":
        for series in {path.name.partition("_")[0] for path in made.rglob("*.gz")}:
            for venue in made.iterdir():
                paths = sorted(venue.glob(f"{series}_*.gz")) if venue.is_dir() else []
                if paths:
                    (venue / f"{series}.jsonl").write_bytes(b"".join(gzip.decompress(path.read_bytes()) for path in paths))
                    for path in paths:
                        path.unlink()
    return made


def test_every_frame_comes_back_as_it_was_and_nothing_else(folder: Path, frames: list[ExchangeFrame]) -> None:
    played, summary = play(folder)
    assert by_key(played) == by_key(frames)
    assert (summary.bad_lines, summary.damaged, summary.unknown, summary.malformed) == (0, [], {}, 0)
    assert sum(summary.frames.values()) == len(frames)


def test_from_a_time_instruments_and_books_are_there(folder: Path, frames: list[ExchangeFrame]) -> None:
    for begin in ("12s", "2024-08-09T00:00:02", "2024-08-09T02:00:02+02:00"):
        played, summary = play(folder, begin=begin)
        assert {key: [each for each in own if each.ingest_ts >= FROM_US] for key, own in by_key(played).items()} == {
            key: [each for each in own if each.ingest_ts >= FROM_US] for key, own in by_key(frames).items()
        }
        before = [each for each in played if each.ingest_ts < FROM_US]
        assert played[: len(before)] == before
        assert {each.channel for each in before} == {Channel.INSTRUMENT, Channel.DEPTH, Channel.DEPTH_SNAPSHOT}
        assert [key for key, own in by_key(before).items() if own[0].channel == Channel.INSTRUMENT] == list(by_key(before))
        assert summary.late == 0
    at_start = books([each for each in played if each.ingest_ts <= FROM_US])
    assert at_start == books([each for each in frames if each.ingest_ts <= FROM_US])
    assert {book.state for book in at_start.values()} == {BookState.LIVE}


def test_without_looking_back_a_book_waits_for_its_snapshot(folder: Path) -> None:
    played, _ = play(folder, begin="12s", look_back_s=0.0)
    assert {each.channel for each in played if each.ingest_ts < FROM_US} == {Channel.INSTRUMENT}
    assert {book.state for book in books(played).values()} == {BookState.SYNCING}


def test_up_to_a_time(folder: Path, frames: list[ExchangeFrame]) -> None:
    played, _ = play(folder, begin="12s", end="15s", look_back_s=0.0)
    wanted = [each for each in frames if FROM_US <= each.ingest_ts < TO_US]
    assert by_key([each for each in played if each.channel != Channel.INSTRUMENT]) == by_key(wanted)


def test_what_comes_before_is_not_unpacked(tmp_path: Path, frames: list[ExchangeFrame]) -> None:
    record(tmp_path, frames)
    path = tmp_path / "usdm" / "btcusdt_20240808T23.gz"
    member = list(members(path))[2]
    data = bytearray(path.read_bytes())
    data[member.start + member.size // 2] ^= 0xFF
    path.write_bytes(data)
    _, summary = play(tmp_path, begin="18s", look_back_s=2.0)
    assert summary.damaged == []
    played, summary = play(tmp_path)
    assert len(summary.damaged) == 1
    assert f"{member.lines} lines" in summary.damaged[0]
    assert len(played) == len(frames) - member.lines


def test_health_is_told_of_the_stream_alone(folder: Path) -> None:
    """Trades by REST are old and snapshots are rare, in a recording as in the feed: neither makes a venue late or silent."""
    told: list[HealthEvent] = []
    settings = ReplaySettings(folder=folder, begin="2s")
    asyncio.run(run_replay(settings, Sink(), lambda _: None, asyncio.Event(), told.append))
    assert {event.venue for event in told} == {"binance-spot", "binance-usdm"}
    assert {event.state for event in told} <= {HealthState.STARTING, HealthState.HEALTHY}
    newest = {(event.venue, event.symbol): event for event in told}
    assert {event.state for event in newest.values()} == {HealthState.HEALTHY}
    assert {symbol for _, symbol in newest} == {None, "BTCUSDT", "ETHUSDT"}


def test_other_numbers_where_something_else_is_played(tmp_path: Path) -> None:
    line = '{"stream":"btcusdt@trade","data":{"e":"trade","T":%d,"t":%d,"p":"1","q":"1","m":true}}'
    (tmp_path / "spot").mkdir()
    rows = (f"{(START_US + number * SECOND) * 1_000} {line % (START_US // 1_000 + number * 1_000, number)}\n" for number in range(9))
    (tmp_path / "spot" / "btcusdt.txt").write_text("".join(rows))
    whole, part = play(tmp_path)[0], play(tmp_path, begin="3s")[0]
    assert {frame.event_id for frame in whole}.isdisjoint(frame.event_id for frame in part)
    assert [frame.payload for frame in part if frame.channel == "trade"] == [frame.payload for frame in whole if frame.channel == "trade"][
        3:
    ]


def test_messages_of_other_venues_are_read_as_their_feeds_read_them(tmp_path: Path) -> None:
    """A recording of somebody else's: whole messages, no notes; books join from a snapshot before the time that it is played from."""
    start_us = 1_763_748_000_000_000
    said: dict[str, list[dict[str, Any]]] = {
        "bybit_linear": [
            bybit.book("snapshot", 1, 1, [[f"{10 - level / 10}", "1"] for level in range(9)], [["10.6", "1"]]),
            *(bybit.book("delta", number, number, [["9.9", str(number)]], []) for number in range(2, 40)),
            bybit.trades(("5", 1_763_748_000_000, "Buy", "1", "10.5")),
        ],
        "coinbase": [
            coinbase.snapshot([["10.4", "1"]], [["10.6", "1"]]),
            *(coinbase.change(["buy", "10.3", str(number)]) for number in range(1, 40)),
            coinbase.match(7),
        ],
    }
    for name, texts in said.items():
        lines = (f"{(start_us + number * SECOND) * 1_000} {json.dumps(text)}\n" for number, text in enumerate(texts))
        (tmp_path / name).mkdir()
        (tmp_path / name / "all.txt").write_text("".join(lines))
    played, summary = play(tmp_path)
    assert (summary.unknown, summary.malformed, summary.bad_lines) == ({}, 0, 0)
    for name, venue in (("bybit_linear", "bybit-linear"), ("coinbase", "coinbase")):
        own = [json.loads(frame.payload) for frame in played if frame.venue == venue and frame.channel != Channel.HEARTBEAT]
        assert own == said[name]
    late, _ = play(tmp_path, begin="20s")
    whole, part = books(played), books(late)
    assert {key: book.levels(9) for key, book in part.items()} == {key: book.levels(9) for key, book in whole.items()}
    assert {book.state for book in part.values()} == {BookState.LIVE}


def test_times() -> None:
    assert moment_ns("1h30m", 7) == 5_400_000_000_007
    assert moment_ns("1.5s", 0) == 1_500_000_000
    assert moment_ns("2024-08-08T23:59:50Z", 0) == START_US * 1_000
    for text in ("", "soon", "10", "-5s"):
        with pytest.raises(ConfigurationError, match="no time of a recording"):
            moment_ns(text, 0)
    with pytest.raises(ConfigurationError, match="nothing is between"):
        ReplaySettings(folder=Path(), begin="10s", end="9s").span(5)
