"""Identity, faults, metrics, dead letters and what the application refuses."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from confluent_kafka import Message
from faust.exceptions import ValueDecodeError
from prometheus_client import CollectorRegistry

from processors.runtime import App
from processors.runtime.epochs.dlq import dead_letter
from processors.runtime.epochs.faults import POINTS, Faults
from processors.runtime.epochs.metrics import metrics_of
from processors.runtime.kafka.identity import identify
from quantum.errors import ConfigurationError, CorruptRecordError


def test_an_identity_is_kept_and_never_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORKER", raising=False)
    monkeypatch.delenv("QUANTUM_WORKER", raising=False)
    first, second = identify(None, tmp_path), identify(None, tmp_path)
    assert first.name != second.name
    first.release()
    third = identify(None, tmp_path)
    assert third.name == first.name
    second.release()
    third.release()


def test_a_given_identity_wins_over_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER", "7")
    assert identify("3", tmp_path).name == "3"
    assert identify(None, tmp_path).name == "7"


def test_a_fault_kills_at_the_n_th_reach_of_its_point() -> None:
    prepare = ("from processors.runtime.epochs.faults import Faults", "fault = Faults('begun:2')")
    first = ("fault.reach('closed')", "fault.reach('begun')", "print('alive', flush=True)")
    program = "\n".join([*prepare, *first, "fault.reach('begun')", "print('survived')"])
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, text=True)
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, "alive\n")


def test_a_fault_at_an_unknown_point_is_refused() -> None:
    with pytest.raises(ValueError, match="none of"):
        Faults("nowhere:1")
    for point in POINTS:
        Faults(f"{point}:2").reach(point)


def test_metrics_are_shared_by_the_applications_of_a_registry() -> None:
    registry = CollectorRegistry()
    assert metrics_of(registry) is metrics_of(registry)
    metrics_of(registry).records_in.labels("app", "topic").inc(3)
    assert registry.get_sample_value("quantum_records_in_total", {"app": "app", "topic": "topic"}) == 3


class Raw:
    def key(self) -> bytes:
        return b"k"

    def value(self) -> bytes:
        return b"\xff"

    def headers(self) -> list[tuple[str, bytes]]:
        return [("traceparent", b"00"), ("traceparent", b"01")]

    def topic(self) -> str:
        return "market.tick"

    def partition(self) -> int:
        return 2

    def offset(self) -> int:
        return 41

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_700_000_000_000


def test_a_dead_letter_is_the_record_and_why() -> None:
    wrapped = ValueDecodeError("wrapped")
    wrapped.__cause__ = CorruptRecordError("é" * 2000, "look")
    topic, partition, key, value, headers, _ = dead_letter(cast(Message, Raw()), "market.tick.dlq", 2, "stage", wrapped)
    assert (topic, partition, key, value) == ("market.tick.dlq", 2, b"k", b"\xff")
    assert headers is not None
    assert headers[:2] == [("traceparent", b"00"), ("traceparent", b"01")]
    about = dict(headers[2:])
    assert about["dlq.error"] == b"CorruptRecordError"
    assert about["dlq.message"].decode() == "é" * 1000
    assert (about["dlq.topic"], about["dlq.partition"], about["dlq.offset"], about["dlq.stage"]) == (b"market.tick", b"2", b"41", b"stage")


@pytest.mark.parametrize(
    ("what", "options"),
    [
        ("store", {"store": "aerospike://"}),
        ("monitor", {"monitor": object()}),
        ("Table", {"Table": dict}),
    ],
)
def test_an_application_refuses_what_it_cannot_keep(what: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=what):
        App("refused", **options)


@pytest.mark.parametrize("call", ["GlobalTable", "SetTable", "SetGlobalTable"])
def test_other_tables_are_refused_by_name(call: str) -> None:
    app = App("refused", metrics=CollectorRegistry())
    with pytest.raises(ConfigurationError, match=call):
        getattr(app, call)("name")
