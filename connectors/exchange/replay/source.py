"""A recording, played through the live feed's frame code: merged by time of receipt, in event time, at any speed."""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from collections import Counter
from collections.abc import Callable
from hashlib import blake2b

import msgspec

from connectors.exchange.clock import SECOND, SimClock
from connectors.exchange.frames import FrameMaker, FrameSink
from connectors.exchange.health.symbol import Lifeline
from connectors.exchange.health.venue import OnHealth, VenueHealth
from connectors.exchange.recording.line import Noted, frame_of, noted
from connectors.exchange.replay.readers import reader_of
from connectors.exchange.replay.recording import Beginning, beginning, recorded_files
from connectors.exchange.replay.rules import Observed, instrument_of
from connectors.exchange.replay.settings import ReplaySettings
from connectors.exchange.replay.span import Line, Recorded
from connectors.exchange.venues import BINANCE_VENUES, Channel, Venue
from quantum.errors import DependencyError
from schemas.common import FrameKind
from schemas.exchange.records import ExchangeFrame

log = logging.getLogger(__name__)

OnClock = Callable[[int], None]
LINES_A_TURN = 1_000
LAST_HEARTBEATS = 2


class ReplaySummary(msgspec.Struct, kw_only=True):
    """What a replay has read and sent.

    Attributes
    ----------
    frames : dict
        Frames sent by ``venue:symbol:channel``, heartbeats and instruments among them.
    unknown : dict
        Frames left out because their stream is not known, by venue and stream.
    malformed : int
        Lines whose frame is not JSON or not of the venue's form.
    bad_lines : int
        Lines without a time of receipt.
    damaged : list
        Files that ended in the middle of their compression.
    late : int
        Frames older than a heartbeat that had been sent before them.
    first_event_us, last_event_us : int
        Bounds of event time within the span, microseconds.
    """

    frames: dict[str, int]
    unknown: dict[str, int]
    malformed: int
    bad_lines: int
    damaged: list[str]
    late: int
    first_event_us: int
    last_event_us: int


class ReplaySource:
    """Plays a recording once.

    Parameters
    ----------
    settings
        Folder, speed and times.
    sink
        Where frames go.
    on_clock
        Called at every second of event time, after the heartbeats of that second.
    on_health
        Told how well each venue was followed when it was recorded, in event time; where it is None nobody is.

    Raises
    ------
    DependencyError
        There is no recording.
    """

    def __init__(self, settings: ReplaySettings, sink: FrameSink, on_clock: OnClock, on_health: OnHealth | None = None) -> None:
        self._settings = settings
        self._sink = sink
        self._files = recorded_files(settings.folder)
        self._beginnings = [beginning(file, settings.sample) for file in self._files]
        starts = [begin.first_ns for begin in self._beginnings if begin.first_ns is not None]
        if not starts:
            raise DependencyError(f"no line of the files in {settings.folder} can be read", "check that they are a recording")
        self._span = settings.span(min(starts))
        self._begin_us = (self._span.from_ns or min(starts)) // 1_000
        self._readers = self._make_readers()
        self._offset_us = min(reader.offset_us for reader in self._readers.values())
        self._lag_us = int(settings.heartbeat_lag_s * SECOND)
        self._clock = SimClock(self._beat, settings.max_gap_s)
        self._on_clock = on_clock
        self._on_health = on_health
        self._health = {venue: VenueHealth(venue.name, (), settings.health, reader.session) for venue, reader in self._readers.items()}
        self._lines: list[Lifeline] = []
        self._unvouched: dict[tuple[str, str], FrameMaker] = {}
        self._followed: set[tuple[Venue, str]] = set()
        self._numbered: Counter[str] = Counter()
        self._receive_us = 0
        self._beaten_us = 0
        self._first_us = 0
        self._last_us = 0
        self._late = 0

    async def run(self, stop: asyncio.Event) -> ReplaySummary:
        """Play until the end or until ``stop`` is set; the last heartbeats close every second that has data."""
        self._announce()
        pace = _Pace(self._settings.factor)
        merged = heapq.merge(*(file.lines(self._span) for file in self._files))
        for number, line in enumerate(merged):
            if number % LINES_A_TURN == 0:
                await asyncio.sleep(0)
                if stop.is_set():
                    break
            wait = pace.wait_s(line.receive_ns) if line.receive_ns >= self._span.from_ns else 0
            if wait > 0:
                await asyncio.sleep(wait)
            self._play(line)
        if self._last_us:
            self._clock.advance(max(self._last_us, self._beaten_us) + LAST_HEARTBEATS * SECOND)
        return self._summary()

    def _play(self, line: Line) -> None:
        venue, leads_up = self._files[line.file].venue, line.receive_ns < self._span.from_ns
        self._receive_us = line.receive_ns // 1_000
        if not leads_up:  # what leads up to the span has no time of its own
            self._clock.advance(self._receive_us + self._offset_us - self._lag_us)
        frame = self._frame(venue, line)
        if frame is None:
            return
        if frame.event_ts < self._beaten_us and not leads_up:
            self._late += 1
        if not self._first_us and not leads_up:
            self._first_us = frame.event_ts
        self._last_us = max(self._last_us, frame.event_ts)
        if not leads_up:
            self._heard(venue, frame)
        self._sink.send(frame)

    def _frame(self, venue: Venue, line: Line) -> ExchangeFrame | None:
        """Return a line's frame: with the numbers that it was recorded with; or with new ones, and then its symbol needs heartbeats."""
        reader = self._readers[venue]
        known = line.said if isinstance(line.said, Noted) else noted(line.said)
        if known is not None and known.numbers is not None:
            self._numbered[f"{venue.name}:{known.symbol}:{known.channel}"] += 1
            return frame_of(venue.name, self._receive_us, known, known.numbers)
        if known is not None:
            frame: ExchangeFrame | None = reader.frame(
                known.symbol, Channel(known.channel), known.kind, known.event_us, self._receive_us, known.payload
            )
        else:
            assert isinstance(line.said, bytes)
            frame = reader.read(line.said, self._receive_us, self._beginnings[line.file].symbol)
        if frame is not None:
            self._unvouched.setdefault((frame.venue, frame.symbol), reader)
        return frame

    def _heard(self, venue: Venue, frame: ExchangeFrame) -> None:
        """Take a frame of the stream as a sign of the venue's life; an archive's trades stand for the stream that they were."""
        reader = self._readers[venue]
        archived = frame.channel == Channel.TRADE and frame.session == reader.session
        if frame.kind is not FrameKind.STREAM and not archived:
            return
        now_us = self._receive_us + self._offset_us
        if (venue, frame.symbol) not in self._followed:
            self._followed.add((venue, frame.symbol))
            self._follow(venue, frame.symbol, now_us)
        self._health[venue].received(frame, now_us / SECOND, reader.offset_us, reader.last_trade.get(frame.symbol))

    def _follow(self, venue: Venue, symbol: str, now_us: int) -> None:
        """Take that a symbol is followed from now on, on a connection that lasts."""
        self._lines.append(self._health[venue].opened((symbol,), now_us / SECOND))
        self._health[venue].caught_up(symbol, now_us / SECOND)

    def _beat(self, second_us: int) -> None:
        for (_, symbol), reader in self._unvouched.items():
            self._sink.send(reader.heartbeat(symbol, second_us, self._receive_us))
        self._look(second_us)
        self._beaten_us = second_us
        self._on_clock(second_us)

    def _look(self, second_us: int) -> None:
        """Say how the venues were followed up to a second, as it was known when that second was over."""
        now_us = second_us + self._lag_us
        if self._beaten_us and second_us - self._beaten_us > self._settings.max_gap_s * SECOND:
            self._lines.clear()
            for venue, symbol in self._followed:
                self._follow(venue, symbol, now_us)
        for line in self._lines:
            line.heard = now_us / SECOND  # a recording keeps no pongs: only the pace of its frames tells
        for health in self._health.values():
            for event in health.look(now_us / SECOND, second_us, self._receive_us):
                if self._on_health is not None:
                    self._on_health(event)

    def _make_readers(self) -> dict[Venue, FrameMaker]:
        """Return one reader a venue; the session is a hash of what is played, so that every replay of it gives the same ids."""
        digest = blake2b(digest_size=6)
        for file in self._files:
            digest.update(f"{file.path.relative_to(self._settings.folder)} {file.path.stat().st_size}\n".encode())
        if self._settings.begin or self._settings.end:
            digest.update(f"{self._span}".encode())
        readers = {}
        for venue in dict.fromkeys(file.venue for file in self._files):
            offsets = [begin.offset_us for begin in self._of(venue).values() if begin.offset_us is not None]
            readers[venue] = reader_of(venue, f"replay-{digest.hexdigest()}", sorted(offsets)[len(offsets) // 2] if offsets else 0)
        return readers

    def _of(self, venue: Venue) -> dict[Recorded, Beginning]:
        return {file: begin for file, begin in zip(self._files, self._beginnings, strict=True) if file.venue is venue}

    def _announce(self) -> None:
        """Send instruments of those symbols whose recording has none at its beginning."""
        for venue, reader in self._readers.items():
            if venue not in BINANCE_VENUES:
                continue
            seen: dict[str, Observed] = {}
            recorded: set[str] = set()
            for begin in self._of(venue).values():
                recorded |= begin.instruments
                for symbol, observed in begin.observed.items():
                    seen.setdefault(symbol, Observed()).merge(observed)
            for symbol, observed in seen.items():
                text = None if symbol in recorded else instrument_of(venue, symbol, observed)
                if text is not None:
                    event = self._begin_us + reader.offset_us
                    self._sink.send(reader.frame(symbol, Channel.INSTRUMENT, FrameKind.REST, event, self._begin_us, text))

    def _summary(self) -> ReplaySummary:
        frames = Counter(self._numbered)
        unknown: Counter[str] = Counter()
        for venue, reader in self._readers.items():
            frames.update({f"{venue.name}:{symbol}:{channel}": count for (symbol, channel), count in reader.channels.items()})
            unknown.update({f"{venue.name}:{stream}": count for stream, count in reader.unknown.items()})
        summary = ReplaySummary(
            frames=dict(frames),
            unknown=dict(unknown),
            malformed=sum(reader.malformed for reader in self._readers.values()),
            bad_lines=sum(file.bad_lines for file in self._files),
            damaged=[file.damage for file in self._files if file.damage],
            late=self._late,
            first_event_us=self._first_us,
            last_event_us=self._last_us,
        )
        if summary.unknown or summary.malformed or summary.bad_lines or summary.damaged or summary.late:
            log.warning("not all of %s is as it should be: %s", self._settings.folder, summary)
        return summary


class _Pace:
    """How long to wait so that recorded time passes ``factor`` times as fast as real time."""

    def __init__(self, factor: float | None) -> None:
        self._factor = factor
        self._began = time.monotonic()
        self._first_ns: int | None = None

    def wait_s(self, receive_ns: int) -> float:
        if self._factor is None:
            return 0.0
        if self._first_ns is None:
            self._first_ns = receive_ns
            self._began = time.monotonic()
        return (receive_ns - self._first_ns) / 1e9 / self._factor - (time.monotonic() - self._began)


async def run_replay(
    settings: ReplaySettings, sink: FrameSink, on_clock: OnClock, stop: asyncio.Event, on_health: OnHealth | None = None
) -> ReplaySummary:
    """Play a recording; return what was read and sent. See `ReplaySource`."""
    return await ReplaySource(settings, sink, on_clock, on_health).run(stop)
