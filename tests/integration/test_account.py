"""The gateway's word for the account itself: money that moves other than by fills, and what a comparison with the venue finds."""

from __future__ import annotations

import contextlib
import urllib.error
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from schemas.common import ReconcileAction, ReconcileKind, Side, TransferKind
from schemas.execution.records import AccountTransfer, ReconcileEvent
from schemas.positions.records import PortfolioSnapshot
from tests.conftest import RunningStack
from tests.integration.gateway_process import publisher_of
from tests.integration.order_bench import Bench, market, order_bench
from tests.integration.venue_process import VenueProcess, running_venue

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VenueProcess]:
    with running_venue(tmp_path_factory.mktemp("venue")) as process:
        yield process


@pytest.fixture
def bench(stack: RunningStack, venue: VenueProcess, unique: str, tmp_path: Path) -> Iterator[Bench]:
    with order_bench(stack, venue, unique, tmp_path) as made:
        yield made


def test_money_that_moves_is_said_once_whatever_is_killed(bench: Bench) -> None:
    def moved() -> list[AccountTransfer]:
        return [record for record, _ in bench.read("transfer")]

    before = {row["tranId"] for row in bench.venue.signed("/fapi/v1/income", startTime=0)}
    first = bench.start()
    bench.until_active("one")
    bench.venue.transfer("250")
    bench.until(lambda: len(moved()) == len(before) + 1)
    first.kill()
    first.wait(10)
    bench.venue.transfer("-50.5")
    bench.venue.fault(kind="respond", status=503, path="/fapi/v1/income", count=2)
    bench.start()
    bench.until(lambda: len(moved()) >= len(before) + 2)
    bench.venue.fault(kind="drop_sockets")
    bench.venue.transfer("1")
    bench.until(lambda: len(moved()) >= len(before) + 3)
    said = {int(record.transfer_id): record for record in moved()}
    rows = bench.venue.signed("/fapi/v1/income", startTime=0)
    assert len(said) == len(moved()) == len(rows)
    assert all((said[row["tranId"]].amount, said[row["tranId"]].venue_kind) == (Decimal(row["income"]), row["incomeType"]) for row in rows)
    assert [record.amount for record in moved()][-3:] == [Decimal(250), Decimal("-50.5"), Decimal(1)]
    assert {record.kind for record in moved()} == {TransferKind.TRANSFER}


def test_what_a_person_does_at_the_venue_is_found(bench: Bench) -> None:
    """Books that agree, then an order past the platform: its rest, its fills, its position and its fee are differences that stand."""

    def found(kind: ReconcileKind) -> list[ReconcileEvent]:
        return [record for record, _ in bench.read("reconcile") if record.kind is kind]

    (held,) = bench.venue.signed("/fapi/v2/balance")
    zero = Decimal(0)
    snapshot = PortfolioSnapshot(
        event_id="s", event_ts=1, ingest_ts=1, account="paper", equity=Decimal(held["balance"]), balance=Decimal(held["balance"]),
        available=zero, unrealised_pnl=zero, realised_pnl=zero, fees=zero, daily_pnl=zero, peak_equity=zero, drawdown=0.0, open_positions=0,
    )  # fmt: skip
    publisher = publisher_of(bench.arguments)
    publisher.send(f"{bench.arguments.prefix}.snapshot", "paper", snapshot)
    publisher.flush()
    bench.start()
    bench.until(lambda: len(found(ReconcileKind.ROUND)) == 1)
    (round_,) = found(ReconcileKind.ROUND)
    assert (round_.explained, round_.differences) == (True, 0)
    price = Decimal(bench.venue.signed("/fapi/v1/premiumIndex", symbol="BTCUSDT")["markPrice"])
    far = str((price * Decimal("0.9")).quantize(Decimal("0.1")))
    bench.venue.signed("/fapi/v1/order", "POST", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.002")
    resting = bench.venue.signed(
        "/fapi/v1/order", "POST", symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC", price=far, quantity="0.01"
    )
    bench.until(lambda: not found(ReconcileKind.ROUND)[-1].explained)
    assert found(ReconcileKind.ROUND)[-1].differences >= 4
    unexplained = {(record.kind, record.subject): record for record, _ in bench.read("reconcile") if not record.explained}
    position = unexplained[ReconcileKind.POSITION, "BTCUSDT"]
    assert (position.expected, position.found, position.action) == ("0", "0.002", ReconcileAction.ALERTED)
    assert unexplained[ReconcileKind.ORDER, resting["clientOrderId"]].expected is None
    fee = Decimal(held["balance"]) - Decimal(bench.venue.signed("/fapi/v2/balance")[0]["balance"])
    balance = unexplained[ReconcileKind.BALANCE, "USDT"]
    assert Decimal(balance.expected or 0) - Decimal(balance.found or 0) == fee > 0
    assert {record.found for (kind, _), record in unexplained.items() if kind is ReconcileKind.FILL}


@pytest.mark.campaign
def test_a_liquidation_is_taken_as_the_account_s_own(stack: RunningStack, unique: str, tmp_path: Path) -> None:
    """With nothing to spare a position at full leverage is soon closed by the venue; its fills come on the log, each once."""
    options = ["--speed", "400", "--every", "10", "--symbols", "DOGEUSDT", "--balance", "100"]
    with running_venue(tmp_path, *options) as venue, order_bench(stack, venue, unique, tmp_path) as bench:
        bench.start()
        bench.send(market(unique, "DOGEUSDT", quantity=Decimal(20_000), leverage=50.0))
        bench.until(lambda: bench.finished({unique}))

        def closed() -> bool:
            (held,) = venue.signed("/fapi/v2/balance")
            with contextlib.suppress(urllib.error.HTTPError):  # what was free is not any more
                venue.transfer(f"-{held['availableBalance']}")
            return all(Decimal(row["positionAmt"]) == 0 for row in venue.signed("/fapi/v2/positionRisk", symbol="DOGEUSDT"))

        bench.until(closed)
        fills = {str(row["id"]): row for row in venue.signed("/fapi/v1/userTrades", symbol="DOGEUSDT", limit=1_000)}
        bench.until(lambda: len([result for result in bench.results() if result.trade_id]) >= len(fills))
        said = [result for result in bench.results() if result.trade_id]
        assert sorted(result.trade_id or "" for result in said) == sorted(fills)
        own = [result for result in said if result.client_order_id.startswith("autoclose-")]
        assert own
        assert {(result.reason, result.reduce_only, result.side) for result in own} == {("LIQUIDATION", True, Side.SELL)}
        assert all(result.commission == Decimal(fills[result.trade_id or ""]["commission"]) for result in own)
        assert all(result.realised_pnl == Decimal(fills[result.trade_id or ""]["realizedPnl"]) for result in own)
