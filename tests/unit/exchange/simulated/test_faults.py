"""Which fault meets what, how often and how long; and what becomes of frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.exchange.simulated.faults.delivery import HELD_SECONDS, Delivery
from connectors.exchange.simulated.faults.plan import (
    MAINTENANCE_SECONDS,
    AcceptThenTimeOut,
    DropFrame,
    DuplicateFrame,
    Fault,
    Faults,
    Gap,
    LateUserEvent,
    Maintenance,
    ReorderFrame,
    Respond,
    Stall,
    error_of,
)
from connectors.exchange.simulated.market.instruments import Product

SECOND = 1_000_000
DEPTH = "btcusdt@depth@100ms"


def test_a_fault_strikes_its_count_and_is_gone() -> None:
    faults = Faults()
    faults.add(Respond(status=503, count=2), 0)
    faults.add(Respond(status=418, retry_after=30), 0)
    struck = [faults.strike(Respond, Product.USDM, "GET /fapi/v1/time", 0) for _ in range(4)]
    assert [fault.status for fault in struck if fault] == [503, 503, 418]
    assert struck[3] is None
    assert faults.rows(0) == []


def test_a_fault_is_for_a_product_a_path_and_a_time() -> None:
    faults = Faults()
    faults.add(AcceptThenTimeOut(product=Product.USDM, path="POST /fapi/v1/order", seconds=5), 0)
    assert faults.strike(AcceptThenTimeOut, Product.SPOT, "POST /fapi/v1/order", 1) is None
    assert faults.strike(AcceptThenTimeOut, Product.USDM, "POST /fapi/v1/algoOrder", 1) is None
    assert faults.strike(Respond, Product.USDM, "POST /fapi/v1/order", 1) is None
    for now in (1, 2, 4_999_999):
        assert faults.strike(AcceptThenTimeOut, Product.USDM, "POST /fapi/v1/order", now) is not None
    assert faults.rows(2)[0]["hits"] == 3
    assert faults.strike(AcceptThenTimeOut, Product.USDM, "POST /fapi/v1/order", 5 * SECOND) is None
    faults.add(Maintenance(), 0)
    assert faults.strike(Maintenance, Product.SPOT, "x", round(MAINTENANCE_SECONDS * SECOND) - 1) is not None
    assert faults.strike(Maintenance, Product.SPOT, "x", round(MAINTENANCE_SECONDS * SECOND)) is None


def test_chance_is_seeded_and_as_often_as_it_says() -> None:
    runs = []
    for seed in (1, 1, 2):
        faults = Faults(seed)
        number = faults.add(DropFrame(stream="@depth", probability=0.05), 0)
        runs.append([faults.strike(DropFrame, Product.USDM, DEPTH, 0) is not None for _ in range(10_000)])
        assert faults.remove(number)
        assert not faults.remove(number)
    assert runs[0] == runs[1] != runs[2]
    assert 400 < sum(runs[0]) < 600


@pytest.mark.parametrize(("status", "code"), [(418, -1003), (429, -1003), (500, -1000), (502, -1001), (503, -1008), (504, -1007)])
def test_every_status_has_its_code(status: Any, code: int) -> None:
    error = error_of(Respond(status=status))
    assert (error.status, error.code) == (status, code)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"kind": "explode"}',
        '{"kind": "respond"}',
        '{"kind": "respond", "status": 404}',
        '{"kind": "drop_frame", "probability": 0}',
        '{"kind": "drop_frame", "count": 0}',
        '{"kind": "stall", "stall_seconds": -1}',
        '{"kind": "drop_frame", "often": true}',
    ],
)
def test_what_is_no_fault_is_refused(text: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(text, type=Fault)


def test_every_fault_is_documented() -> None:
    page = (Path(__file__).parents[4] / "docs" / "venue.md").read_text()
    kinds = {kind.__struct_config__.tag: kind for kind in get_args(Fault)}
    assert {line.split("`")[1] for line in page.splitlines() if line.startswith("| `")} == kinds.keys()
    for kind in kinds.values():
        assert all(f"`{name}`" in page for name in kind.__struct_fields__), kind


class Bench:
    """A delivery with a clock that a test moves."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.sent: list[int] = []
        self.now = 0.0
        self._later: list[tuple[float, Callable[[], object]]] = []
        self.delivery = Delivery(Product.USDM, self.faults, lambda: round(self.now * SECOND), self.after)

    def after(self, seconds: float, call: Callable[[], object]) -> None:
        """Call something later."""
        self._later.append((self.now + seconds, call))

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        due = [call for at, call in self._later if at <= self.now]
        self._later = [(at, call) for at, call in self._later if at > self.now]
        for call in due:
            call()

    def send(self, *frames: int, stream: str = DEPTH, private: bool = False) -> None:
        """Send frames of one stream."""
        for frame in frames:
            self.delivery.deliver(stream, lambda frame=frame: self.sent.append(frame), private=private)  # type: ignore[misc]  # mypy cannot infer it


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (DropFrame(count=2), [3, 4, 5]),
        (Gap(frames=3), [4, 5]),
        (DuplicateFrame(), [1, 1, 2, 3, 4, 5]),
        (ReorderFrame(), [2, 1, 3, 4, 5]),
        (ReorderFrame(count=2), [2, 1, 4, 3, 5]),
        (Stall(stall_seconds=1), [1, 2, 3, 4, 5]),
        (DropFrame(stream="@trade"), [1, 2, 3, 4, 5]),
    ],
)
def test_what_becomes_of_frames(fault: Any, expected: list[int]) -> None:
    bench = Bench()
    bench.faults.add(fault, 0)
    bench.send(1, 2, 3, 4, 5)
    bench.wait(HELD_SECONDS + 1)
    assert bench.sent == expected


def test_a_stall_holds_its_stream_only_and_then_lets_everything_go_in_order() -> None:
    bench = Bench()
    bench.faults.add(Stall(stall_seconds=2), 0)
    bench.send(1, 2)
    bench.send(10, stream="btcusdt@trade")
    assert bench.sent == [10]
    bench.wait(2.0)
    bench.send(3)
    assert bench.sent == [10, 1, 2, 3]


def test_a_frame_that_waits_for_the_next_one_does_not_wait_for_ever() -> None:
    bench = Bench()
    bench.faults.add(ReorderFrame(), 0)
    bench.send(1)
    bench.wait(HELD_SECONDS)
    bench.send(2)
    assert bench.sent == [1, 2]


def test_events_of_accounts_come_late_and_only_they() -> None:
    bench = Bench()
    bench.faults.add(LateUserEvent(delay_seconds=0.5), 0)
    bench.send(1)
    bench.send(2, stream="key", private=True)
    bench.send(3, stream="key", private=True)
    assert bench.sent == [1, 3]
    bench.wait(0.5)
    assert bench.sent == [1, 3, 2]


@given(st.lists(st.sampled_from([DuplicateFrame, ReorderFrame]), max_size=4), st.integers(2, 30), st.integers(1, 9))
def test_nothing_is_lost_by_what_only_disorders(kinds: list[type[Any]], frames: int, count: int) -> None:
    bench = Bench()
    for kind in kinds:
        bench.faults.add(kind(count=count), 0)
    bench.send(*range(frames))
    bench.wait(HELD_SECONDS)
    assert set(bench.sent) == set(range(frames))
