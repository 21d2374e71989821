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
from connectors.exchange.frames import FrameReader, FrameSink
from connectors.exchange.replay.recording import Beginning, Line, RecordedFile, beginning, recorded_files
from connectors.exchange.replay.rules import Observed, instrument_of
from connectors.exchange.replay.settings import ReplaySettings
from connectors.exchange.venues import Channel, Venue
from quantum.errors import DependencyError
from schemas.common import FrameKind

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
        Bounds of event time, microseconds.
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

    Raises
    ------
    DependencyError
        There is no recording.
    """

    def __init__(self, settings: ReplaySettings, sink: FrameSink, on_clock: OnClock) -> None:
        self._settings = settings
        self._sink = sink
        self._files = recorded_files(settings.folder)
        self._beginnings = [beginning(file, settings.sample) for file in self._files]
        self._readers = self._make_readers()
        self._offset_us = min(reader.offset_us for reader in self._readers.values())
        self._lag_us = int(settings.heartbeat_lag_s * SECOND)
        self._clock = SimClock(self._beat, settings.max_gap_s)
        self._on_clock = on_clock
        self._started: dict[tuple[str, str], FrameReader] = {}
        self._receive_us = 0
        self._beaten_us = 0
        self._first_us = 0
        self._last_us = 0
        self._late = 0

    async def run(self, stop: asyncio.Event) -> ReplaySummary:
        """Play until the end or until ``stop`` is set; the last heartbeats close every second that has data."""
        self._announce()
        pace = _Pace(self._settings.factor)
        merged = heapq.merge(*(file.lines() for file in self._files))
        for number, line in enumerate(merged):
            if number % LINES_A_TURN == 0:
                await asyncio.sleep(0)
                if stop.is_set():
                    break
            wait = pace.wait_s(line.receive_ns)
            if wait > 0:
                await asyncio.sleep(wait)
            self._play(line)
        if self._started:
            self._clock.advance(max(self._last_us, self._beaten_us) + LAST_HEARTBEATS * SECOND)
        return self._summary()

    def _play(self, line: Line) -> None:
        file = self._files[line.file]
        self._receive_us = line.receive_ns // 1_000
        self._clock.advance(self._receive_us + self._offset_us - self._lag_us)
        frame = self._readers[file.venue].read(line.text, self._receive_us, self._beginnings[line.file].symbol)
        if frame is None:
            return
        if frame.event_ts < self._beaten_us:
            self._late += 1
        if not self._started:
            self._first_us = frame.event_ts
        self._last_us = max(self._last_us, frame.event_ts)
        self._started.setdefault((frame.venue, frame.symbol), self._readers[file.venue])
        self._sink.send(frame)

    def _beat(self, second_us: int) -> None:
        for (_, symbol), reader in self._started.items():
            self._sink.send(reader.heartbeat(symbol, second_us, self._receive_us))
        self._beaten_us = second_us
        self._on_clock(second_us)

    def _make_readers(self) -> dict[Venue, FrameReader]:
        """Return one reader a venue; the session is a hash of the recording, so that every replay of it gives the same ids."""
        digest = blake2b(digest_size=6)
        for file in self._files:
            digest.update(f"{file.path.relative_to(self._settings.folder)} {file.path.stat().st_size}\n".encode())
        readers = {}
        for venue in dict.fromkeys(file.venue for file in self._files):
            offsets = [begin.offset_us for begin in self._of(venue).values() if begin.offset_us is not None]
            readers[venue] = FrameReader(venue, f"replay-{digest.hexdigest()}", sorted(offsets)[len(offsets) // 2] if offsets else 0)
        return readers

    def _of(self, venue: Venue) -> dict[RecordedFile, Beginning]:
        return {file: begin for file, begin in zip(self._files, self._beginnings, strict=True) if file.venue is venue}

    def _announce(self) -> None:
        starts = [begin.first_ns for begin in self._beginnings if begin.first_ns is not None]
        if not starts:
            raise DependencyError(f"no line of the files in {self._settings.folder} can be read", "check that they are a recording")
        received = min(starts) // 1_000
        for venue, reader in self._readers.items():
            seen: dict[str, Observed] = {}
            for begin in self._of(venue).values():
                for symbol, observed in begin.observed.items():
                    seen.setdefault(symbol, Observed()).merge(observed)
            for symbol, observed in seen.items():
                text = instrument_of(venue, symbol, observed)
                if text is not None:
                    event = received + reader.offset_us
                    self._sink.send(reader.frame(symbol, Channel.INSTRUMENT, FrameKind.REST, event, received, text))

    def _summary(self) -> ReplaySummary:
        frames: Counter[str] = Counter()
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


async def run_replay(settings: ReplaySettings, sink: FrameSink, on_clock: OnClock, stop: asyncio.Event) -> ReplaySummary:
    """Play a recording; return what was read and sent. See `ReplaySource`."""
    return await ReplaySource(settings, sink, on_clock).run(stop)
