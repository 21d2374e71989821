from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from processors.components import partitions_of
from processors.topology import TOPICS
from quantum.errors import DeadLetterError, QuantumError, UnknownSchemaError
from quantum.home import Endpoints, Home
from quantum.partition import murmur2, partition_of
from quantum.settings import Settings, load
from quantum.trace import CAUSATION, TRACEPARENT, caused_headers, root_headers


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        # Vectors of Kafka's own UtilsTest: what Java's producer computes.
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_javas(key: bytes, expected: int) -> None:
    assert murmur2(key) == expected & 0xFFFFFFFF


def test_topics_that_a_stage_joins_share_a_partition() -> None:
    symbol = partition_of("BTCUSDT", 8)
    assert partitions_of(TOPICS["market.tick"], 8, "BTCUSDT") == (symbol,)
    assert partitions_of(TOPICS["exchange.raw"], 8, "binance-spot:BTCUSDT") == (symbol,)
    assert partitions_of(TOPICS["portfolio.position"], 8, "paper:BTCUSDT") == (symbol,)
    assert partitions_of(TOPICS["trade.intent"], 8, "paper") == (partition_of("paper", 8),)
    assert partitions_of(TOPICS["policy"], 8, "paper") == tuple(range(8))


def test_a_chain_of_records_keeps_its_trace_and_names_its_cause() -> None:
    root = root_headers("tick-1")
    child = caused_headers("features-1", "tick-1", root)
    grandchild = caused_headers("signal-1", "features-1", child)
    trace = root[TRACEPARENT].split(b"-")[1]
    assert len(trace) == 32
    assert child[TRACEPARENT].split(b"-")[1] == grandchild[TRACEPARENT].split(b"-")[1] == trace
    assert len({headers[TRACEPARENT] for headers in (root, child, grandchild)}) == 3
    assert (child[CAUSATION], grandchild[CAUSATION]) == (b"tick-1", b"features-1")
    assert caused_headers("features-1", "tick-1", root) == child


def test_a_record_without_a_trace_begins_one() -> None:
    assert caused_headers("a", "b", {})[TRACEPARENT] == root_headers("a")[TRACEPARENT]


def test_errors_say_the_remedy() -> None:
    assert "remedy: run it again" in str(QuantumError("it failed", "run it again"))
    assert issubclass(UnknownSchemaError, DeadLetterError)


def test_the_environment_wins_over_the_running_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTUM_HOME", str(tmp_path))
    monkeypatch.delenv("QUANTUM_KAFKA", raising=False)
    assert load().kafka == Settings.model_fields["kafka"].default
    Home(tmp_path).write_endpoints(Endpoints(kafka="127.0.0.1:1", registry="http://127.0.0.1:2", clickhouse="http://127.0.0.1:3"))
    assert (load().kafka, load().registry) == ("127.0.0.1:1", "http://127.0.0.1:2")
    monkeypatch.setenv("QUANTUM_KAFKA", "127.0.0.1:9")
    assert (load().kafka, load().registry) == ("127.0.0.1:9", "http://127.0.0.1:2")


def test_a_quorum_that_cannot_be_met_is_refused() -> None:
    with pytest.raises(ValidationError, match="QUANTUM_QUORUM"):
        Settings(quorum=2, models=("xgb",))
