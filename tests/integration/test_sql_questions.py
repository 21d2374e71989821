"""Every query of ``docs/sql.md`` runs on real rows, and says what Python counts from the same records."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby
from statistics import fmean
from typing import Any, TypeVar

import numpy as np
import pytest
from clickhouse_connect.driver.client import Client

from connectors.clickhouse import migrate
from infra.clickhouse.dictionary import PAGE, dictionary, page
from ml.training.dataset import CLASSES, labels
from schemas.common import ExitReason, OrderStatus, PositionSide
from schemas.execution.records import ExecutionResult
from schemas.features.records import Features
from schemas.journal.records import TradeClosed
from schemas.market.records import MarketKline
from schemas.positions.records import PortfolioExposure, PortfolioPosition, PortfolioSnapshot
from schemas.record import Record
from schemas.signals.records import SignalGenerated, SignalScore
from tests.integration.history_process import StoreProcess
from tests.integration.history_rows import store
from tests.integration.history_story import DAY, MINUTES, SECOND, SYMBOLS, Story, spread_bps

T = TypeVar("T", bound=Record)
Answer = list[dict[str, Any]]
COLUMNS = {
    (1, 0): "venue symbol trades last_trade age_s",
    (2, 0): "open_ts open high low close volume vwap taker_buy_share",
    (2, 1): "open_ts open high low close volume",
    (3, 0): "bars different",
    (4, 0): "venue symbol start_ts quotes spread_bps_mean spread_bps_p95 value_at_touch",
    (5, 0): "symbol closed win_rate net_pnl fees",
    (6, 0): "day trades net_pnl_sum net_pnl_cumulative",
    (7, 0): "strategy exit_reason closed win_rate r_mean leaving_cost_r",
    (8, 0): "start_ts equity peak drawdown open_positions",
    (8, 1): "worst at",
    (9, 0): "start_ts gross net gross_max equity gross_leverage",
    (10, 0): "symbol side quantity entry_price mark_price unrealised_pnl opened_ts",
    (11, 0): "symbol liquidity fills against_reference_bps against_mid_bps spread_mean_bps",
    (12, 0): "commission_asset liquidity paid traded rate_bps",
    (13, 0): "symbol sent whole in_part refused silent whole_share",
    (13, 1): "error_code says orders",
    (14, 0): "strategy sized denied denied_share checks",
    (14, 1): "code symbol denials example",
    (15, 0): "model model_version bin predictions predicted observed",
    (16, 0): "model model_version day predictions log_loss accuracy brier",
    (17, 0): "stage topic hour records p50_ms p95_ms p99_ms",
    (17, 1): "cause_topic topic records p50_ms p95_ms max_ms",
    (18, 0): "regime closed net_pnl r_mean",
    (19, 0): "symbol fundings paid",
    (19, 1): "venue symbol funding_ts rate_bps",
    (20, 0): "fill_ts symbol side fill_price intent_id verdict sizing_id leverage binding_cap decision_id decision signal_id direction "
    "confidence regime features_id models model_sha256 bar_close_ts first_trade_id last_trade_id",
    (20, 1): "event_ts trade_id price quantity side",
    (21, 0): "event_ts symbol change why author score weakest volume_score depth_score spread_score volatility_score data_score",
    (21, 1): "symbol event_ts score quote_volume depth_notional spread_bps volatility missing_share stale_share lost_share",
}  # fmt: skip


def questions() -> dict[tuple[int, int], str]:
    """Return the queries of the page by the number of their question, and their place in it."""
    found = {}
    for number, text in re.findall(r"^### (\d+)\. (.*?)(?=^### |^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        for place, sql in enumerate(re.findall(r"^```sql\n(.*?)^```", text, re.MULTILINE | re.DOTALL)):
            found[int(number), place] = sql
    return found


QUESTIONS = questions()


@pytest.fixture(scope="module")
def story() -> Story:
    return Story()


@pytest.fixture(scope="module")
def client(story: Story, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    process = StoreProcess(tmp_path_factory.mktemp("store")).start()
    opened = process.client("default")
    migrate.apply(opened)
    opened.close()
    opened = process.client()
    for topic, rows in (story.rows | story.universe()).items():
        store(opened, topic, rows)
    yield opened
    opened.close()
    process.stop()


def ask(client: Client, number: int, place: int = 0) -> Answer:
    found = client.query(QUESTIONS[number, place])
    return [dict(zip(found.column_names, row, strict=True)) for row in found.result_rows]


def of(story: Story, topic: str, kind: type[T]) -> list[T]:
    records = story.records(topic)
    return [record for record in records if isinstance(record, kind)]


def when(ts: int) -> datetime:
    """Return microseconds as the client gives a time in UTC: without a zone."""
    return datetime.fromtimestamp(ts / SECOND, UTC).replace(tzinfo=None)


def micros(at: datetime) -> float:
    return at.replace(tzinfo=UTC).timestamp() * SECOND


def closed(story: Story) -> list[TradeClosed]:
    return of(story, "trade.closed", TradeClosed)


def fills(story: Story) -> list[ExecutionResult]:
    return [result for result in of(story, "execution.result", ExecutionResult) if result.trade_id is not None]


def test_there_are_twenty_one_questions_and_every_block_of_sql_is_one_of_theirs() -> None:
    assert {number for number, _ in QUESTIONS} == set(range(1, 22))
    assert PAGE.read_text().count("```sql\n") == len(QUESTIONS)
    assert QUESTIONS.keys() == COLUMNS.keys()


@pytest.mark.parametrize("key", QUESTIONS, ids=lambda key: f"{key[0]}.{key[1]}")
def test_every_query_runs_and_has_rows(client: Client, key: tuple[int, int]) -> None:
    found = client.query(QUESTIONS[key])
    assert list(found.column_names) == COLUMNS[key].split()
    assert found.row_count > 0


def test_the_dictionary_is_what_the_store_has(client: Client) -> None:
    made = dictionary(lambda sql: [tuple(row) for row in client.query(sql).result_rows])
    assert page(PAGE.read_text(), made) == PAGE.read_text(), "python -m infra.clickhouse.dictionary --write"
    undescribed = client.query("SELECT table, name FROM system.columns WHERE database = 'quantum' AND comment = ''").result_rows
    assert undescribed == []


def test_arrivals(client: Client, story: Story) -> None:
    got = {row["symbol"]: (row["trades"], row["last_trade"]) for row in ask(client, 1)}
    ticks = story.ticks()
    assert got == {
        symbol: (sum(tick.symbol == symbol for tick in ticks), when(max(tick.event_ts for tick in ticks if tick.symbol == symbol)))
        for symbol in SYMBOLS
    }


def test_bars(client: Client, story: Story) -> None:
    rows = ask(client, 2)
    ticks = [tick for tick in story.ticks() if tick.symbol == "BTCUSDT"]
    for row in rows:
        inside = [tick for tick in ticks if 0 <= tick.event_ts - micros(row["open_ts"]) < 120 * SECOND]
        assert (row["open"], row["close"]) == (inside[0].price, inside[-1].price)
        assert (row["high"], row["low"]) == (max(tick.price for tick in inside), min(tick.price for tick in inside))
        volume = math.fsum(tick.quantity for tick in inside)
        assert row["vwap"] == pytest.approx(math.fsum(tick.price * tick.quantity for tick in inside) / volume)
        assert row["taker_buy_share"] == pytest.approx(math.fsum(tick.quantity for tick in inside if tick.side == "BUY") / volume)
    assert len(rows) == 7  # the eighth is not closed
    third = ask(client, 2, 1)
    assert [bar["volume"] for bar in third[:2]] == [math.fsum(tick.quantity for tick in part) for part in (ticks[:2], ticks[2:3])]
    assert len(third) == MINUTES * 60 // 3 - 1
    minutes = [bar for bar in of(story, "market.klines", MarketKline) if bar.interval == "1m"]
    assert ask(client, 3) == [{"bars": len(minutes), "different": 0}]


def test_spread(client: Client, story: Story) -> None:
    rows = ask(client, 4)
    for row in rows:
        begins = micros(row["start_ts"])
        quotes = [each for each in story.quotes() if each.symbol == row["symbol"] and 0 <= each.event_ts - begins < 300 * SECOND]
        assert row["quotes"] == len(quotes)
        assert row["spread_bps_mean"] == pytest.approx(fmean(map(spread_bps, quotes)))
        assert row["spread_bps_p95"] == pytest.approx(float(np.quantile(list(map(spread_bps, quotes)), 0.95)))
    assert sum(row["quotes"] for row in rows) == len(story.quotes())


def test_profit_by_symbol_and_day(client: Client, story: Story) -> None:
    trades = closed(story)
    by_symbol = {row["symbol"]: row for row in ask(client, 5)}
    assert set(by_symbol) == {trade.symbol for trade in trades}
    for symbol, row in by_symbol.items():
        mine = [trade for trade in trades if trade.symbol == symbol]
        assert (row["closed"], row["net_pnl"]) == (len(mine), sum(trade.net_pnl for trade in mine))
        assert row["fees"] == sum(trade.fees for trade in mine)
        assert row["win_rate"] == fmean(trade.net_pnl > 0 for trade in mine)
    days: defaultdict[int, Decimal] = defaultdict(Decimal)
    for trade in trades:
        days[trade.closed_ts // DAY] += trade.net_pnl
    rows = ask(client, 6)
    assert [row["net_pnl_sum"] for row in rows] == [days[day] for day in sorted(days)]
    assert len(rows) == 2
    assert rows[-1]["net_pnl_cumulative"] == sum(days.values())
    detail = client.query("SELECT sum(net_pnl_sum), sum(trades), sum(wins) FROM v_pnl_by_day").first_row
    assert detail == (sum(days.values()), len(trades), sum(trade.net_pnl > 0 for trade in trades))


def test_profit_by_strategy_and_exit(client: Client, story: Story) -> None:
    groups: defaultdict[tuple[str, str], list[TradeClosed]] = defaultdict(list)
    for trade in closed(story):
        groups[trade.strategy, trade.exit_reason.value].append(trade)
    rows = ask(client, 7)
    assert [(row["strategy"], row["exit_reason"]) for row in rows] == sorted(groups)
    assert {reason for _, reason in groups} == {ExitReason.STOP.value, ExitReason.TAKE_PROFIT.value}
    for row in rows:
        mine = groups[row["strategy"], row["exit_reason"]]
        assert row["closed"] == len(mine)
        assert row["r_mean"] == pytest.approx(fmean(float(trade.net_pnl) / 100 for trade in mine))
        assert row["leaving_cost_r"] == pytest.approx(fmean(float(trade.fees) / 100 for trade in mine))
    by_regime = {row["regime"]: row["closed"] for row in ask(client, 18)}
    regimes = {signal.event_id: signal.regime.value for signal in of(story, "ai.signal_generated", SignalGenerated)}
    assert by_regime == Counter(regimes[trade.signal_id or ""] for trade in closed(story))


def test_equity_and_exposure(client: Client, story: Story) -> None:
    peak, worst = Decimal(0), 0.0
    snapshots = of(story, "portfolio.snapshot", PortfolioSnapshot)
    rows = {when(begins * 60 * SECOND): list(each) for begins, each in groupby(snapshots, lambda one: one.event_ts // SECOND // 60)}
    answer = ask(client, 8)
    assert [row["start_ts"] for row in answer] == list(rows)
    for row, inside in zip(answer, rows.values(), strict=True):
        peak = max(peak, *(each.equity for each in inside))
        assert (row["equity"], row["peak"], row["open_positions"]) == (inside[-1].equity, peak, inside[-1].open_positions)
        assert row["drawdown"] == pytest.approx(float(1 - inside[-1].equity / peak))
        worst = max(worst, float(1 - inside[-1].equity / peak))
    assert worst > 0.03
    assert ask(client, 8, 1)[0]["worst"] == pytest.approx(worst)
    exposures = of(story, "portfolio.exposure", PortfolioExposure)
    stakes = [list(each) for _, each in groupby(exposures, lambda one: one.event_ts // SECOND // 60)]
    for row, staked, inside in zip(ask(client, 9), stakes, rows.values(), strict=True):
        assert (row["gross"], row["net"], row["equity"]) == (staked[-1].gross, staked[-1].net, inside[-1].equity)
        assert row["gross_max"] == max(each.gross for each in staked)
        assert row["gross_leverage"] == pytest.approx(float(staked[-1].gross / inside[-1].equity))


def test_positions_and_funding(client: Client, story: Story) -> None:
    newest = {each.symbol: each for each in of(story, "portfolio.position", PortfolioPosition)}
    held = {symbol: each.quantity for symbol, each in newest.items() if each.side is not PositionSide.FLAT}
    assert {row["symbol"]: row["quantity"] for row in ask(client, 10)} == held
    assert set(held) == set(SYMBOLS)
    now = story.start + DAY + 720 * SECOND
    rates = {each.symbol: each for each in story.fundings() if each.event_ts <= now == each.next_funding_ts}
    paid = {row["symbol"]: (row["fundings"], row["paid"]) for row in ask(client, 19)}
    assert paid == {symbol: (1, pytest.approx(float(held[symbol]) * each.mark_price * each.funding_rate)) for symbol, each in rates.items()}
    told = [(row["symbol"], row["funding_ts"]) for row in ask(client, 19, 1)]
    assert told == [(symbol, when(now + wait)) for wait in (8 * 3_600 * SECOND, 0) for symbol in SYMBOLS]


def test_slippage_and_fees(client: Client, story: Story) -> None:
    groups: defaultdict[tuple[str, str], list[tuple[float, float, float]]] = defaultdict(list)
    for fill in fills(story):
        quote = max(
            (each for each in story.quotes() if each.symbol == fill.symbol and each.event_ts <= fill.event_ts),
            key=lambda each: each.event_ts,
        )
        price, mid = float(fill.fill_price or 0), (quote.ask_price + quote.bid_price) / 2
        numbers = (price / float(fill.reference_price) - 1) * 1e4, (price / mid - 1) * 1e4, spread_bps(quote)
        groups[fill.symbol, fill.liquidity.value].append(numbers)
    rows = ask(client, 11)
    assert [(row["symbol"], row["liquidity"]) for row in rows] == sorted(groups)
    for row in rows:
        wanted = [fmean(column) for column in zip(*groups[row["symbol"], row["liquidity"]], strict=True)]
        assert [row["against_reference_bps"], row["against_mid_bps"], row["spread_mean_bps"]] == pytest.approx(wanted, abs=1e-9)
    fees = {row["liquidity"]: row for row in ask(client, 12)}
    for liquidity, row in fees.items():
        paid = sum((fill.commission or Decimal(0) for fill in fills(story) if fill.liquidity == liquidity), Decimal(0))
        assert row["paid"] == paid
        assert row["rate_bps"] == pytest.approx(5.0)
    assert set(fees) == {"MAKER", "TAKER"}


def test_orders(client: Client, story: Story) -> None:
    last = {each.client_order_id: each for each in of(story, "execution.result", ExecutionResult)}
    rows = {row["symbol"]: row for row in ask(client, 13)}
    assert sum(row["sent"] for row in rows.values()) == len(story.rows["order.command"])
    assert sum(row["whole"] for row in rows.values()) == sum(each.status is OrderStatus.FILLED for each in last.values())
    assert [sum(row[name] for row in rows.values()) for name in ("in_part", "refused", "silent")] == [1, 1, 1]
    assert rows["ETHUSDT"]["whole_share"] == 1
    assert ask(client, 13, 1) == [{"error_code": "-2019", "says": "Margin is insufficient.", "orders": 1}]
    answered = {row[0]: row[1] for row in client.query("SELECT client_order_id, answered_ms FROM v_orders").result_rows}
    assert (answered["order-0"], answered["order-1"], answered["order-10"]) == (6, 7, None)
    part = client.query("SELECT status, filled_share, fills FROM v_orders WHERE client_order_id = 'order-6'").first_row
    assert part == ("CANCELLED", 0.25, 1)


def test_verdicts(client: Client, story: Story) -> None:
    rows = ask(client, 14)
    assert sum(row["sized"] for row in rows) == len(story.rows["sizing.decided"])
    assert sum(row["denied"] for row in rows) == len(story.rows["risk.events"]) == 3
    assert {check for row in rows for check in row["checks"]} == {"POSITION_LIMIT"}
    assert sum(row["denials"] for row in ask(client, 14, 1)) == 3
    verdicts = Counter(row[0] for row in client.query("SELECT verdict FROM v_verdicts").result_rows)
    assert verdicts == {"ALLOWED": len(story.rows["trade.intent"]), "DENIED": 3}


def test_models(client: Client, story: Story) -> None:
    closes = {(bar.symbol, bar.close_ts): bar.close for bar in of(story, "market.klines", MarketKline) if bar.interval == "1m"}
    vectors = {each.event_id: each for each in of(story, "features", Features)}
    scores = [each for each in of(story, "signal.score", SignalScore) if each.model == "xgb"]
    before = np.array([vectors[each.features_id].close for each in scores])
    after = np.array([closes[each.symbol, each.event_ts + each.horizon_s * SECOND] for each in scores])
    happened = [CLASSES[label].upper() for label in labels(np.log(after / before), 0.0005)]
    assert set(happened) == {"DOWN", "FLAT", "UP"}
    bins: defaultdict[float, list[tuple[float, bool]]] = defaultdict(list)
    for score, outcome in zip(scores, happened, strict=True):
        bins[math.floor(score.p_up * 10) / 10].append((score.p_up, outcome == "UP"))
    rows = [row for row in ask(client, 15) if row["model"] == "xgb"]
    assert [row["bin"] for row in rows] == sorted(bins)
    for row in rows:
        assert row["predictions"] == len(bins[row["bin"]])
        assert row["predicted"] == pytest.approx(fmean(p for p, _ in bins[row["bin"]]))
        assert row["observed"] == pytest.approx(fmean(up for _, up in bins[row["bin"]]))
    likely = [{"UP": each.p_up, "DOWN": each.p_down, "FLAT": each.p_flat} for each in scores]
    quality = next(row for row in ask(client, 16) if row["model"] == "xgb")
    pairs = list(zip(likely, happened, strict=True))
    assert quality["log_loss"] == pytest.approx(fmean(-math.log(p[outcome]) for p, outcome in pairs))
    assert quality["accuracy"] == pytest.approx(fmean(max(p, key=lambda name: p[name]) == outcome for p, outcome in pairs))
    assert quality["brier"] == pytest.approx(fmean(sum((p[name] - (name == outcome)) ** 2 for name in p) for p, outcome in pairs))


def test_latency(client: Client, story: Story) -> None:
    by_topic = {row["topic"]: row for row in ask(client, 17)}
    for topic in ("market.tick", "features", "sizing.decided", "order.command", "execution.result"):
        elapsed = [(row.at_us - row.record.ingest_ts) / 1000 for row in story.rows[topic]]
        assert by_topic[topic]["records"] == len(elapsed)
        assert [by_topic[topic][f"p{share}_ms"] for share in (50, 95, 99)] == pytest.approx(list(np.quantile(elapsed, [0.5, 0.95, 0.99])))
    steps = {(row["cause_topic"], row["topic"]): (row["records"], row["p50_ms"]) for row in ask(client, 17, 1)}
    assert steps["features", "signal.score"] == (len(story.rows["signal.score"]), 2)
    assert steps["trade.intent", "order.command"] == (len(story.rows["order.command"]), 4)
    assert steps["sizing.decided", "trade.intent"] == (len(story.rows["trade.intent"]), 2)


def test_lineage(client: Client, story: Story) -> None:
    (row,) = ask(client, 20)
    vector = of(story, "features", Features)[0]
    behind = [tick for tick in story.ticks() if tick.symbol == vector.symbol and 0 < vector.bar_close_ts - tick.event_ts <= 60 * SECOND]
    behind_ids = [tick.trade_id for tick in behind]
    ids = {name: row[name] for name in ("intent_id", "sizing_id", "decision_id", "signal_id", "features_id")}
    assert ids == {name: f"BTCUSDT:1m:0{end}" for name, end in zip(ids, (":i", ":z", ":d", ":s", ""), strict=True)}
    assert (row["verdict"], row["decision"], row["direction"]) == ("ALLOWED", "ENTER_LONG", "LONG")
    assert (sorted(row["models"]), sorted(row["model_sha256"])) == (["mlp v2", "xgb v1"], ["mlp-hash", "xgb-hash"])
    assert (row["first_trade_id"], row["last_trade_id"]) == (min(behind_ids), max(behind_ids))
    assert [tick["trade_id"] for tick in ask(client, 20, 1)] == behind_ids
    assert len(behind_ids) == 30


def test_a_block_that_is_stored_again_is_counted_once(client: Client, story: Story) -> None:
    before = {key: client.query(QUESTIONS[key]).result_rows for key in QUESTIONS if key != (1, 0)}  # which tells the time
    for topic in ("trade.closed", "execution.result", "market.tick"):
        assert store(client, topic, story.rows[topic], first=0) == len(story.rows[topic])
    assert {key: client.query(QUESTIONS[key]).result_rows for key in before} == before
    engines = client.query("SELECT DISTINCT engine FROM system.tables WHERE database = 'quantum'").result_rows
    assert {engine for (engine,) in engines} == {"MergeTree", "View"}


def test_the_universe_and_why_it_changed(client: Client, story: Story) -> None:
    rows = ask(client, 21)
    start = story.start + DAY
    assert [(micros(row["event_ts"]) - start, row["symbol"], row["change"], row["why"], row["author"]) for row in rows] == [
        (0, "BTCUSDT", "JOINED", "first policy", "anna"),
        (0, "ETHUSDT", "JOINED", "first policy", "anna"),
        (300 * SECOND, "ETHUSDT", "LEFT", "ETHUSDT left: score 0.25, least for its spread", "universe-brain"),
        # A person's policy and a brain's of one version: the person's counts, and the brain writes its own anew.
        (600 * SECOND, "BTCUSDT", "LEFT", "BTCUSDT left: no score", "ceo-brain+universe-brain"),
        (600 * SECOND, "ETHUSDT", "JOINED", "ETHUSDT joined: score 0.75, least for its spread", "ceo-brain+universe-brain"),
    ]
    assert [(row["score"], row["spread_score"], row["weakest"]) for row in rows] == [
        (None, None, None), (None, None, None), (0.25, 0.25, "spread"), (None, None, None), (0.75, 0.75, "spread"),
    ]  # fmt: skip
    assert {row["symbol"]: (micros(row["event_ts"]) - start, row["score"]) for row in ask(client, 21, 1)} == {
        "BTCUSDT": (540 * SECOND, None),
        "ETHUSDT": (720 * SECOND, 0.5),
    }
