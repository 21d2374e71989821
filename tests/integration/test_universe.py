"""A symbol whose market dries up leaves the universe, and joins again when it is back: two stages as processes on real servers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from connectors.registry.client import Registry
from processors.app import application_id
from processors.components import publisher, read_all
from processors.contracts import apply_schemas, apply_topics
from processors.governance.changes import choosing, person_changes
from processors.governance.defaults import UNIVERSE, default_policy, universe_rules
from quantum.cli import main
from quantum.demo.offsets import Offsets, Progress
from quantum.settings import Settings
from schemas.clock.records import ClockTick
from schemas.common import BookState
from schemas.governance.records import DecisionMade, Policy, PolicyAudit
from schemas.market.records import MarketDepth, MarketKline, MarketQuote
from schemas.record import Record
from schemas.universe.records import SymbolQuality
from tests.conftest import RunningStack
from tests.unit.governance.builders import signal as signal_of
from tests.unit.governance.builders import snapshot

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]

WET, DRY = "WETUSDT", "DRYUSDT"
VENUE = "binance-usdm"
S = 1_000_000
WAIT_S = 60.0
HOLD_S = 90
STAGES = ("features", "governance")
RULES = universe_rules(
    UNIVERSE, candidates=[WET, DRY], size=2, hold_s=HOLD_S, window_minutes=1, min_observed_s=50, max_age_s=90, volume_worst=100,
    volume_best=10_000, depth_worst=100, depth_best=10_000, volatility_weight=0,
)  # fmt: skip


class Market:
    """Minutes of two symbols, given to the stages one after the other.

    Attributes
    ----------
    start
        The first minute's start, microseconds: some minutes ago, so that time goes on for whoever has these topics next.
    """

    def __init__(self, settings: Settings, cleanup: ExitStack) -> None:
        self.start = (time.time_ns() // 1000 // (60 * S) - 10) * 60 * S
        self.settings = settings
        self._offsets = Offsets(settings)
        self._trades = {WET: 0, DRY: 0}
        self._nodes = {
            name: cleanup.enter_context(publisher(settings, name)) for name in ("market", "clock", "operator", "positions", "signals")
        }

    def send(self, node: str, topic: str, records: Mapping[str, list[Record]]) -> None:
        """Write records by key and have them stored."""
        for key, each in records.items():
            for record in each:
                self._nodes[node].send(topic, key, record)
        self._nodes[node].flush()

    def until(self, stage: str, topics: list[str], done: Callable[[Progress, str], bool]) -> None:
        """Wait until a stage has come somewhere in some topics."""
        deadline = time.monotonic() + WAIT_S
        group = application_id(stage)
        while not done(self._offsets.look(topics, [group]), group):
            assert time.monotonic() < deadline, f"{stage} does not come to the end of {topics}"
            time.sleep(0.02)

    def taken(self, stage: str, *topics: str) -> None:
        """Wait until a stage has taken all of some topics that are not written in transactions."""
        self.until(stage, list(topics), lambda look, group: not any(look.behind(group, place) for place in look.ends))

    def minute(self, number: int, *, dry: bool) -> None:
        """Let a minute pass: what the market says, the measurements that come of it, and three ticks of the clock after it."""
        quotes: dict[str, list[Record]] = {WET: [], DRY: []}
        books: dict[str, list[Record]] = {WET: [], DRY: []}
        bars: dict[str, list[Record]] = {WET: [], DRY: []}
        for symbol in (WET, DRY):
            for second in range(number * 60, (number + 1) * 60):
                at = self.start + second * S
                thin = dry and symbol == DRY
                quotes[symbol].append(_quote(symbol, at, thin=thin))
                books[symbol].append(_book(symbol, at, thin=thin))
                self._trades[symbol] += not thin
                bars[symbol].append(_bar(symbol, at, self._trades[symbol], thin=thin))
        self.send("market", "market.quote", quotes)
        self.send("market", "market.depth", books)
        self.taken("features", "market.quote", "market.depth")
        self.send("market", "market.klines", bars)
        self.taken("features", "market.klines")
        self.until("governance", ["universe.quality"], lambda look, group: not look.lag(group, look.ends))
        for after_s in (1, 31, 59):
            at = self.start + ((number + 1) * 60 + after_s) * S
            self.send("clock", "clock", {"clock": [ClockTick(event_id=f"c{at}", event_ts=at, ingest_ts=at)]})
        self.taken("governance", "clock")

    def signal(self, symbol: str, name: str) -> str:
        """Return the reason of the decision on a signal."""
        record = signal_of(event_id=name, symbol=symbol, event_ts=time.time_ns() // 1000)
        self.send("signals", "ai.signal_generated", {symbol: [record]})
        self.taken("governance", "ai.signal_generated")
        decisions: list[DecisionMade] = self.records("ai.decision.made", DecisionMade)
        return next(each.reason for each in decisions if each.signal_id == name)

    def records(self, topic: str, kind: type[Any]) -> list[Any]:
        """Return the records of the test's account on a topic, oldest first."""
        found = [record for _, record in read_all(self.settings, topic) if isinstance(record, kind)]
        return sorted((each for each in found if each.account == self.settings.account), key=lambda record: record.event_ts)


def _quote(symbol: str, at: int, *, thin: bool) -> MarketQuote:
    half, quantity = (0.25, 0.1) if thin else (0.005, 100.0)
    return MarketQuote(
        event_id=f"{symbol}:q{at}", event_ts=at, ingest_ts=at, venue=VENUE, symbol=symbol, update_id=at, bid_price=100 - half,
        bid_quantity=quantity, ask_price=100 + half, ask_quantity=quantity,
    )  # fmt: skip


def _book(symbol: str, at: int, *, thin: bool) -> MarketDepth:
    quantity = 0.1 if thin else 100.0
    return MarketDepth(
        event_id=f"{symbol}:d{at}", event_ts=at, ingest_ts=at, venue=VENUE, symbol=symbol, state=BookState.LIVE, update_id=at, resyncs=0,
        bid_prices=[99.9, 99.8], bid_quantities=[quantity] * 2, ask_prices=[100.1, 100.2], ask_quantities=[quantity] * 2,
    )  # fmt: skip


def _bar(symbol: str, at: int, number: int, *, thin: bool) -> MarketKline:
    traded = 0.0 if thin else 5.0
    return MarketKline(
        event_id=f"{symbol}:k{at}", event_ts=at + S, ingest_ts=at + S, venue=VENUE, symbol=symbol, interval="1s", open_ts=at,
        close_ts=at + S, open=100.0, high=100.0, low=100.0, close=100.0, volume=traded, quote_volume=100 * traded, trades=int(not thin),
        taker_buy_volume=0.0, first_trade_id=None if thin else number, last_trade_id=None if thin else number,
    )  # fmt: skip


@pytest.fixture
def market(stack: RunningStack, unique: str, tmp_path: Path) -> Iterator[Market]:
    """Workers of both stages for an account of its own, which are well when the test ends."""
    endpoints = stack.endpoints
    named = {"kafka": endpoints.kafka, "registry": endpoints.registry, "clickhouse": endpoints.clickhouse, "account": unique}
    settings = Settings(home=tmp_path, **named)  # type: ignore[arg-type]  # texts, which the fields take
    apply_topics(settings)
    with Registry(settings.registry) as registry:
        apply_schemas(registry)
    environment = os.environ | {f"QUANTUM_{name.upper()}": value for name, value in named.items()} | {"QUANTUM_HOME": str(tmp_path)}
    workers = {}
    for stage in STAGES:
        with (tmp_path / f"{stage}.log").open("wb") as log:
            workers[stage] = subprocess.Popen([sys.executable, "-m", "quantum", "worker", stage], env=environment, stderr=log)
    try:
        with ExitStack() as cleanup:
            yield Market(settings, cleanup)
        assert {stage: worker.poll() for stage, worker in workers.items()} == dict.fromkeys(STAGES)
    finally:
        for worker in workers.values():
            worker.send_signal(signal.SIGTERM)
        codes = [worker.wait(20) for worker in workers.values()]
    assert codes == [0, 0]


@pytest.mark.campaign
def test_a_symbol_leaves_when_its_market_dries_up_and_joins_again_after_the_hold(market: Market) -> None:
    account = market.settings.account
    first = default_policy(account, now_us=market.start, author="anna", universe=[WET, DRY])
    chosen = person_changes(first, now_us=market.start, author="anna", reason="choose", **choosing(first, RULES))
    market.send("operator", "policy", {account: [chosen]})
    market.send("positions", "portfolio.snapshot", {account: [snapshot(account=account, event_ts=market.start)]})
    market.taken("features", "policy")
    market.taken("governance", "policy", "portfolio.snapshot")

    market.minute(0, dry=False)
    assert len(market.records("universe.quality", SymbolQuality)) == 2
    market.minute(1, dry=True)
    market.minute(2, dry=True)
    assert market.signal(DRY, f"{account}-1") == "NOT_IN_UNIVERSE"
    assert market.signal(WET, f"{account}-2") != "NOT_IN_UNIVERSE"
    market.minute(3, dry=False)
    market.minute(4, dry=False)
    assert market.signal(DRY, f"{account}-3") != "NOT_IN_UNIVERSE"

    policies: list[Policy] = market.records("policy", Policy)
    found = [((each.event_ts - market.start) // S, each.version, each.author, each.universe) for each in policies]
    assert found == [
        (0, chosen.version, "anna", [WET, DRY]),
        # Dry by the measurement at 120 s, which the clock's tick at 121 s sees first.
        (121 + HOLD_S, chosen.version + 1, "universe-brain", [WET]),
        # Back by the measurement at 240 s.
        (241 + HOLD_S, chosen.version + 2, "universe-brain", [WET, DRY]),
    ]
    assert policies[1].reason == f"{DRY} left: score 0.00, least for its volume, below 0.45 for {HOLD_S} s"
    assert policies[2].reason == f"{DRY} joined: score 1.00, at least 0.6 for {HOLD_S} s"
    audits: list[PolicyAudit] = market.records("policy.audit", PolicyAudit)
    assert [each.changes for each in audits] == [{"universe": f"{WET}, {DRY} -> {WET}"}, {"universe": f"{WET} -> {WET}, {DRY}"}]
    measured: list[SymbolQuality] = market.records("universe.quality", SymbolQuality)
    assert [each.symbol for each in measured].count(DRY) == [each.symbol for each in measured].count(WET) == 5
    dry = [each for each in measured if each.symbol == DRY]
    assert [round(each.spread_bps or 0.0, 3) for each in dry] == [1.0, 50.0, 50.0, 1.0, 1.0]
    assert [each.quote_volume for each in dry] == [30_000.0, 0.0, 0.0, 30_000.0, 30_000.0]
    assert {each.missing_share for each in measured} == {0.0}

    named = {f"QUANTUM_{name.upper()}": str(getattr(market.settings, name)) for name in ("home", "kafka", "registry", "account")}
    shown = CliRunner(env=named).invoke(main, ["policy", "universe", "show"])
    assert shown.exit_code == 0, shown.output
    assert [line.split()[1] for line in shown.output.splitlines() if "USDT" in line] == [WET, DRY]
