"""``exchange.raw`` to files and back: the recorder is killed again and again, and every frame comes back once, as it was."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from connectors.exchange.frames import key_of
from connectors.exchange.recording.journal import Hole, file_of, read_journal
from connectors.exchange.recording.settings import RecorderSettings
from connectors.exchange.replay.settings import ReplaySettings
from connectors.exchange.replay.source import run_replay
from connectors.kafka.logs import Logs
from connectors.kafka.publisher import Publisher, Route
from connectors.registry.client import Registry
from infra.components.recording import Recording, record
from processors.components import partitions_of, read_from
from processors.topology import NODES, TOPICS
from quantum.errors import ConfigurationError, DependencyError
from quantum.settings import Settings
from schemas.codec import RecordCodec, schema_text
from schemas.exchange.records import ExchangeFrame
from tests.integration.recorder_process import renamed
from tests.unit.exchange.bybit.messages import book, trades
from tests.unit.exchange.coinbase.messages import change, match, snapshot
from tests.unit.exchange.recording.frames import START_US, connection, story

pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]

PARTITIONS = 2
ENDS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)
Record = tuple[bytes, dict[str, bytes], ExchangeFrame]


class Field:
    """A topic of frames in the servers of this run, a topic for what is played, and a recorder to be killed."""

    def __init__(self, stack: Any, unique: str, root: Path) -> None:
        ends = stack.endpoints
        self.settings = Settings(home=root / "home", partitions=PARTITIONS, kafka=ends.kafka, registry=ends.registry)
        self.raw, self.again = f"{unique}.raw", f"{unique}.again"
        self.folder = root / "recording"
        admin = AdminClient({"bootstrap.servers": ends.kafka})
        self.ids = Registry(ends.registry)
        for name, made in admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in (self.raw, self.again)]).items():
            made.result()
            self.ids.register(f"{name}-value", schema_text(ExchangeFrame))
        self._env = {
            **os.environ, "QUANTUM_HOME": str(root / "home"), "QUANTUM_KAFKA": ends.kafka, "QUANTUM_REGISTRY": ends.registry,
            "QUANTUM_PARTITIONS": str(PARTITIONS), "QUANTUM_RECORDER_COMMIT_S": "0.03",
        }  # fmt: skip

    def publisher(self, topic: str) -> Publisher:
        codec = RecordCodec(f"{topic}-value", ExchangeFrame, self.ids)
        return Publisher(self.settings.kafka, {topic: Route(topic, codec, partial(partitions_of, TOPICS["exchange.raw"], PARTITIONS))})

    def recorder(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "tests.integration.recorder_process", self.raw, str(self.folder)], env=self._env)

    def recorded(self) -> int:
        journal = read_journal(self.folder) if self.folder.is_dir() else None
        return 0 if journal is None else journal.frames

    def to_end(self) -> Recording:
        chosen = RecorderSettings(folder=self.folder, commit_s=0.1)
        return record(self.settings, chosen, threading.Event(), lambda *_: None, to_end=True)

    def records(self, topic: str) -> dict[bytes, list[Record]]:
        """Return what is on a topic by key, in order."""
        codec = RecordCodec(f"{topic}-value", ExchangeFrame, self.ids)
        found: dict[bytes, list[Record]] = defaultdict(list)
        for message in read_from(self.settings.kafka, {(topic, number): OFFSET_BEGINNING for number in range(PARTITIONS)}):
            headers: Any = dict(message.headers() or ())
            key = message.key() or b""
            found[key].append((key, headers, codec.decode(message.value() or b"")))
        return found


@pytest.fixture
def field(stack: Any, unique: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Field]:
    made = Field(stack, unique, tmp_path)
    topic, node = renamed(made.raw)
    monkeypatch.setitem(TOPICS, made.raw, topic)
    monkeypatch.setitem(NODES, "recorder", node)
    yield made
    made.ids.close()


def frames_of_all_venues() -> Iterator[ExchangeFrame]:
    """Give frames of every venue's dialect, in turns."""
    bybit, coinbase = connection("bybit-linear"), connection("coinbase")
    texts = [
        *((bybit, book("snapshot", 1, 1, [["10.4", "1"]], [["10.6", "1"]])), (coinbase, snapshot([["10.4", "1"]], [["10.6", "1"]]))),
        *((bybit, trades((str(number), 1_763_748_000_000 + number, "Buy", "1", "10.5"))) for number in range(500)),
        *((coinbase, match(number)) for number in range(500)),
        *((bybit, book("delta", number, number, [["10.3", str(number)]], [])) for number in range(2, 500)),
        *((coinbase, change(["buy", "10.3", str(number)])) for number in range(500)),
    ]
    others = (
        maker.read(json.dumps(text, indent=None if number % 7 else 1), START_US + number) for number, (maker, text) in enumerate(texts)
    )
    streams: list[Iterator[ExchangeFrame | None]] = [iter(story(30)), iter(story(30, ("BTCUSDT",), "binance-usdm")), others]
    return (frame for frame in chain.from_iterable(zip_longest(*streams)) if frame is not None)


def feed(field: Field, frames: Sequence[ExchangeFrame], stop: threading.Event) -> None:
    """Publish frames over some seconds."""
    out = field.publisher(field.raw)
    for number, frame in enumerate(frames):
        out.send(field.raw, key_of(frame), frame)
        if number % 50 == 0 and not stop.is_set():
            out.flush()
            stop.wait(0.1)
    out.flush()


def until_recorded(field: Field, recorder: subprocess.Popen[bytes], before: int) -> None:
    """Wait until the files hold more frames than before."""
    deadline = time.monotonic() + 30
    while field.recorded() == before:
        assert recorder.poll() is None, "the recorder ended by itself"
        assert time.monotonic() < deadline, "nothing was recorded"
        time.sleep(0.01)


def test_killed_again_and_again_it_records_every_frame_once_and_a_replay_gives_them_back(field: Field) -> None:
    frames, dice, stop = list(frames_of_all_venues()), random.Random(11), threading.Event()
    feeder = threading.Thread(target=feed, args=(field, frames, stop))
    feeder.start()
    try:
        for end in ENDS:
            recorder, at = field.recorder(), field.recorded()
            try:
                until_recorded(field, recorder, at)
                if at == 0:
                    with pytest.raises(DependencyError, match="is held by process"):
                        field.to_end()
                time.sleep(dice.random() * 0.3)
            finally:
                recorder.send_signal(end)
                ended = recorder.wait(20)
            assert ended == (0 if end == signal.SIGTERM else -end)
            journal = read_journal(field.folder)
            assert journal is not None
            for series, growing in journal.files.items():  # what a member that was cut off in the middle leaves behind
                with file_of(field.folder, series, growing).open("ab") as torn:
                    torn.write(b"\x1f\x8b\x08\x04torn")
    finally:
        stop.set()
        feeder.join()
    assert field.to_end().frames == len(frames)
    again = field.publisher(field.again)

    class Sink:
        def send(self, frame: ExchangeFrame) -> None:
            again.send(field.again, key_of(frame), frame)

    summary = asyncio.run(run_replay(ReplaySettings(folder=field.folder), Sink(), lambda _: None, asyncio.Event()))
    again.flush()
    assert (summary.damaged, summary.bad_lines, summary.malformed, summary.unknown) == ([], 0, 0, {})
    played = field.records(field.again)
    assert sum(map(len, played.values())) == len(frames)
    assert played == field.records(field.raw)
    assert field.to_end().frames == len(frames)


def test_what_cannot_be_recorded_is_left_out_and_said(field: Field) -> None:
    """Frames that Kafka deletes before they are recorded, and a record that is no frame."""
    out, frames, logs = field.publisher(field.raw), story(2), Logs(field.settings.kafka)
    for frame in frames[:50]:
        out.send(field.raw, key_of(frame), frame)
    out.flush()
    assert field.to_end().frames == 50
    journal = read_journal(field.folder)
    assert journal is not None
    for frame in frames[50:100]:
        out.send(field.raw, key_of(frame), frame)
    out.flush()
    raw = Producer({"bootstrap.servers": field.settings.kafka})
    for partition in range(PARTITIONS):
        raw.produce(field.raw, b"no frame", partition=partition)
    raw.flush()
    ends = {partition: bounds.end for (_, partition), bounds in logs.bounds([(field.raw, number) for number in range(PARTITIONS)]).items()}
    holes = [Hole(number, offset, offset + 2) for number, offset in sorted(journal.offsets.items()) if ends[number] >= offset + 4]
    assert holes
    logs.delete_before({(field.raw, hole.partition): hole.after for hole in holes})
    done = field.to_end()
    assert (done.frames, done.holes) == (100 - 2 * len(holes), holes)
    again = field.to_end()
    assert (again.frames, again.holes) == (done.frames, holes)


def test_a_folder_belongs_to_one_topic(field: Field) -> None:
    out = field.publisher(field.raw)
    for frame in story(1):
        out.send(field.raw, key_of(frame), frame)
    out.flush()
    field.to_end()
    path = field.folder / "recording.json"
    known = json.loads(path.read_text())
    path.write_text(json.dumps(known | {"topic_id": "another"}))
    with pytest.raises(ConfigurationError, match="records another"):
        field.to_end()
    path.write_text(json.dumps(known | {"offsets": {"0": 1 << 40}}))
    with pytest.raises(ConfigurationError, match="Kafka has lost records"):
        field.to_end()
