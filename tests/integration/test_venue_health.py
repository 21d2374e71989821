"""A venue that misbehaves is told of on ``health.events``, and the governance stage refuses entries for the symbols that suffer."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from connectors.exchange.feed import run_feed
from connectors.exchange.settings import MOST_SILENT_S, FeedSettings, HealthSettings
from connectors.kafka.publisher import Publisher
from connectors.registry.client import Registry
from infra.components.market_data import send_health
from processors.components import publisher, read_all
from processors.contracts import apply_schemas, apply_topics
from processors.governance.defaults import default_policy
from quantum.cli.doctor import latency
from quantum.settings import Settings
from schemas.common import HealthState
from schemas.exchange.records import ExchangeFrame
from schemas.governance.records import DecisionMade
from schemas.health.records import HealthEvent
from tests.conftest import RunningStack
from tests.integration.venue_process import VenueProcess, running_venue
from tests.unit.governance.builders import signal as signal_of

BTC, ETH = "BTCUSDT", "ETHUSDT"
VENUE = "binance-usdm"
WAIT_S = 40.0


class Nowhere:
    """Leaves the frames."""

    def send(self, frame: ExchangeFrame) -> None:
        """Leave one."""


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VenueProcess]:
    with running_venue(tmp_path_factory.mktemp("venue")) as process:
        yield process


class Platform:
    """A worker of the governance stage, what a feed tells it, and its decisions on signals."""

    def __init__(self, settings: Settings, account: str, nodes: dict[str, Publisher]) -> None:
        self.said: list[HealthEvent] = []
        self.feed: asyncio.Task[None] | None = None
        self.account = account
        self._settings = settings
        self._nodes = nodes
        self._signals = 0
        now = time.time_ns() // 1_000
        policy = default_policy(account, now_us=now, author="test", universe=[BTC, ETH], required_components=())
        nodes["operator"].send("policy", account, policy)
        nodes["operator"].flush()

    def hear(self, event: HealthEvent) -> None:
        """Write what the feed says."""
        self.said.append(event)
        send_health(self._nodes["feed"], event)

    def of(self, symbol: str | None) -> list[HealthEvent]:
        """Return what was said of a symbol; None of the venue."""
        return [event for event in self.said if event.symbol == symbol]

    def reason(self, symbol: str, after_s: float = 0.0) -> str:
        """Return the reason of the decision on a signal of now, or of later."""
        self._signals += 1
        name, at = f"{self.account}-{self._signals}", time.time_ns() // 1_000 + round(after_s * 1e6)
        self._nodes["signals"].send("ai.signal_generated", symbol, signal_of(event_id=name, symbol=symbol, event_ts=at))
        self._nodes["signals"].flush()
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            for _, record in read_all(self._settings, "ai.decision.made"):
                if isinstance(record, DecisionMade) and record.signal_id == name:
                    return record.reason
            time.sleep(0.05)
        raise AssertionError(f"no decision on {name}")

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(WAIT_S):
            while not await asyncio.to_thread(condition):
                assert self.feed is None or not self.feed.done(), self.feed
                await asyncio.sleep(0.1)

    async def decides(self, symbol: str, reason: str) -> None:
        """Wait until signals of a symbol are decided on for a reason."""
        await self.until(lambda: self.reason(symbol) == reason)


@pytest.fixture
def platform(stack: RunningStack, unique: str, tmp_path: Path) -> Iterator[Platform]:
    endpoints = stack.endpoints
    settings = Settings(home=tmp_path, kafka=endpoints.kafka, registry=endpoints.registry, clickhouse=endpoints.clickhouse, account=unique)
    apply_topics(settings)
    with Registry(settings.registry) as registry:
        apply_schemas(registry)
    named = {name: str(getattr(settings, name)) for name in ("home", "kafka", "registry", "clickhouse", "account")}
    environment = os.environ | {f"QUANTUM_{name.upper()}": value for name, value in named.items()}
    with (tmp_path / "governance.log").open("wb") as log:
        worker = subprocess.Popen([sys.executable, "-m", "quantum", "worker", "governance"], env=environment, stderr=log)
    try:
        with ExitStack() as cleanup:
            yield Platform(
                settings, unique, {name: cleanup.enter_context(publisher(settings, name)) for name in ("feed", "signals", "operator")}
            )
        assert worker.poll() is None, (tmp_path / "governance.log").read_text()
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(20)


@pytest.mark.stack
@pytest.mark.campaign
async def test_entries_stop_for_what_suffers_and_begin_again(venue: VenueProcess, platform: Platform) -> None:
    stale_btc, stale_eth = f"FEED_STALE:{BTC}", f"FEED_STALE:{ETH}"
    await platform.decides(BTC, stale_btc)
    limits = HealthSettings(every_s=1.0, stale_s=1.5, settle_s=0.5)
    settings = FeedSettings(venues=(VENUE,), symbols=(BTC, ETH), backfill=10, health=limits)
    stop = asyncio.Event()
    feed = platform.feed = asyncio.create_task(run_feed(settings, venue.access, Nowhere(), stop, platform.hear))
    try:
        await platform.decides(BTC, "ACCEPTED")
        await platform.decides(ETH, "ACCEPTED")
        await platform.until(
            lambda: sum(event.state is HealthState.HEALTHY for event in platform.of(None)) >= 4
        )  # the streams' paces are known

        await asyncio.to_thread(partial(venue.fault, kind="stall", stream="btcusdt@", stall_seconds=4, count=4))
        await platform.decides(BTC, stale_btc)
        await platform.decides(ETH, "ACCEPTED")
        assert platform.of(BTC)[-1].state is HealthState.DEGRADED
        assert platform.of(BTC)[-1].detail.startswith("no ")
        assert platform.of(None)[-1].unhealthy_symbols == [BTC]
        await platform.decides(BTC, "ACCEPTED")

        await asyncio.to_thread(partial(venue.fault, kind="gap", stream="ethusdt@depth", frames=3))
        await asyncio.to_thread(partial(venue.fault, kind="gap", stream="ethusdt@trade", frames=2))
        await platform.until(lambda: (platform.of(None)[-1].gaps or 0) >= 2 and platform.of(None)[-1].state is HealthState.HEALTHY)
        troubles = [event for event in platform.of(ETH) if event.state is HealthState.DEGRADED]
        assert {event.detail.partition(",")[0] for event in troubles} & {"trades are missing", "its order book was thrown away"}
        assert (platform.of(ETH)[-1].gaps or 0) >= 2
        assert (platform.of(ETH)[-1].resyncs or 0) >= 1

        before = platform.of(None)[-1].reconnects or 0
        await asyncio.to_thread(partial(venue.fault, kind="drop_sockets"))
        await platform.until(
            lambda: platform.of(None)[-1].state is HealthState.HEALTHY and (platform.of(None)[-1].reconnects or 0) > before
        )
        assert platform.of(BTC)[-2].state is not HealthState.HEALTHY
        await platform.decides(BTC, "ACCEPTED")
    finally:
        stop.set()
        await asyncio.wait_for(feed, 20)
    assert await asyncio.to_thread(platform.reason, ETH, MOST_SILENT_S + 1.0) == stale_eth, "a dead feed is trusted"
    figures = platform.of(None)[-1]
    assert figures.round_trip_p50_ms is not None
    assert figures.ping_p99_ms is not None
    assert figures.clock_offset_ms is not None
    assert abs(figures.clock_offset_ms) < 1_000


def measured(venue: VenueProcess, monkeypatch: pytest.MonkeyPatch, home: Path, *more: str) -> Result:
    monkeypatch.setenv("QUANTUM_HOME", str(home))
    monkeypatch.setenv("QUANTUM_VENUE_USDM_URL", venue.usdm)
    monkeypatch.setenv("QUANTUM_VENUE_SPOT_URL", venue.spot)
    return CliRunner().invoke(latency, ["--venue", VENUE, *more])


def test_the_doctor_measures_what_the_venue_takes(venue: VenueProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    venue.fault(kind="delay", path="GET /fapi/v1/time", delay_seconds=0.2, seconds=2)
    found = measured(venue, monkeypatch, tmp_path, "--seconds", "3", "--json")
    assert found.exit_code == 0, found.output
    (of,) = json.loads(found.stdout)["venues"]
    assert of["state"] == "HEALTHY"
    assert of["round_trip"]["count"] >= 8
    assert of["round_trip"]["p99_ms"] >= 200
    assert of["round_trip"]["p50_ms"] <= of["round_trip"]["p95_ms"] <= of["round_trip"]["p99_ms"]
    assert of["ping"]["count"] >= 1
    assert {"trade", "quote", "depth", "mark"} == of["delays"].keys()


def test_the_doctor_says_which_venue_does_not_answer(venue: VenueProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    away = VenueProcess("http://127.0.0.1:1", venue.spot, venue.control)
    found = measured(away, monkeypatch, tmp_path, "--seconds", "2", "--venue", "binance-spot")
    assert found.exit_code == 3, found.output
    assert f"{VENUE}: did not answer" in found.output
    assert "binance-spot: HEALTHY" in found.output
    assert "REST round trip" in found.output
    assert "delay of trade" in found.output


def test_the_doctor_says_which_venue_cannot_be_relied_on(venue: VenueProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    venue.fault(kind="stall", product="usdm", stream="btcusdt@", stall_seconds=4, seconds=2)
    found = measured(venue, monkeypatch, tmp_path, "--seconds", "2", "--symbol", BTC)
    assert found.exit_code == 4, found.output
    assert f"{VENUE}: STARTING, 0 of 1 symbols are healthy" in found.output
