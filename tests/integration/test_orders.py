"""The order gateway on a real broker against the simulated venue, killed and lied to."""

from __future__ import annotations

import random
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Producer

from connectors.exchange.orders.events import OrderSeen
from connectors.exchange.orders.ledger import FACTS, Ledger, Result
from connectors.exchange.orders.results import ResultLog
from quantum.errors import FencedError
from quantum.trace import CAUSATION, TRACEPARENT, root_headers
from schemas.codec import RecordCodec
from schemas.common import Liquidity, OrderAction, OrderStatus, OrderType, Origin, Side, TimeInForce
from schemas.execution.records import AccountBalance, ExecutionResult, OrderCommand
from schemas.record import Record
from tests.conftest import RunningStack
from tests.integration.gateway_process import partitions_of, publisher_of, registry_at, topics_of
from tests.integration.order_bench import FINAL, Bench, market, order_bench
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


def check_against_the_venue(bench: Bench, names: set[str]) -> None:
    """Every order is at the venue, and the results say of its fills and state what the venue says."""
    results = {result.event_id: result for result in bench.results()}
    for symbol in ("BTCUSDT", "ETHUSDT"):
        orders = {row["clientOrderId"]: row for row in bench.venue.signed("/fapi/v1/allOrders", symbol=symbol, limit=1_000)}
        trades = bench.venue.signed("/fapi/v1/userTrades", symbol=symbol, limit=1_000)
        for name in names & orders.keys():
            row = orders[name]
            fills = {f"{name}:{trade['id']}": trade for trade in trades if trade["orderId"] == row["orderId"]}
            said = {key: result for key, result in results.items() if result.client_order_id == name and result.trade_id is not None}
            assert said.keys() == fills.keys()
            assert sum((result.fill_quantity or Decimal(0) for result in said.values()), Decimal(0)) == Decimal(row["executedQty"])
            assert all(result.fill_price == Decimal(fills[key]["price"]) for key, result in said.items())
            assert all(result.commission == Decimal(fills[key]["commission"]) for key, result in said.items())
            assert f"{name}:ACCEPTED" in results
    missing = names - {
        row["clientOrderId"]
        for symbol in ("BTCUSDT", "ETHUSDT")
        for row in bench.venue.signed("/fapi/v1/allOrders", symbol=symbol, limit=1_000)
    }
    assert missing == set()


def test_orders_are_accepted_filled_cancelled_and_refused(bench: Bench, unique: str) -> None:
    price = Decimal(bench.venue.signed("/fapi/v1/premiumIndex", symbol="BTCUSDT")["markPrice"])
    far = (price * Decimal("0.9")).quantize(Decimal("0.1"))
    resting = market(f"{unique}-r", order_type=OrderType.LIMIT, time_in_force=TimeInForce.GTC, limit_price=far, quantity=Decimal("0.010"))
    bench.start()
    bench.send(
        market(f"{unique}-m"),
        resting,
        market(f"{unique}-big", quantity=Decimal(110), leverage=1.0),
        market(f"{unique}-v", venue="binance-spot"),
        market(f"{unique}-a", account="someone"),
        market(f"{unique}-m"),
        market(f"{unique}-ghost", action=OrderAction.CANCEL),
    )
    bench.until(lambda: bench.finished({f"{unique}-{name}" for name in ("m", "big", "v", "a", "ghost")}) and bench.committed() == 7)
    by_order = {result.client_order_id: result for result in bench.results()}
    assert by_order[f"{unique}-r"].status is OrderStatus.ACCEPTED
    assert by_order[f"{unique}-m"].status is OrderStatus.FILLED
    assert {name: by_order[f"{unique}-{name}"].error_code for name in ("big", "v", "a", "ghost")} == {
        "big": "-2019",
        "v": "VENUE_NOT_CONNECTED",
        "a": "ACCOUNT_NOT_CONNECTED",
        "ghost": "-2013",
    }
    bench.send(msgspec.structs.replace(resting, event_id="cancel", action=OrderAction.CANCEL))
    bench.until(lambda: bench.finished({f"{unique}-r"}))
    assert len({result.event_id for result in bench.results()}) == len(bench.results())
    (position,) = bench.venue.signed("/fapi/v2/positionRisk", symbol="BTCUSDT")
    assert position["leverage"] in ("1", "3")
    balances = [record for record, _ in bench.read("balance")]
    assert all(isinstance(record, AccountBalance) and record.wallet_balance > 0 for record in balances)
    assert balances[-1].wallet_balance < balances[0].wallet_balance, "the fee of the fill is in the balance"


def test_results_continue_the_trace_of_their_command(bench: Bench, unique: str) -> None:
    bench.start()
    sent = market(unique)
    bench.send(sent)
    bench.until(lambda: bench.finished({unique}))
    headers = [headers for record, headers in bench.read("result") if record.client_order_id == unique]
    assert {each[CAUSATION] for each in headers} == {sent.event_id.encode()}
    assert {each[TRACEPARENT][:36] for each in headers} == {root_headers(sent.event_id)[TRACEPARENT][:36]}


def test_an_order_that_fills_while_the_gateway_is_away(bench: Bench, unique: str) -> None:
    """The successor finds the open order on the log, and the cancellation that it missed at the venue."""
    price = Decimal(bench.venue.signed("/fapi/v1/premiumIndex", symbol="BTCUSDT")["markPrice"])
    limit = (price * Decimal("0.9")).quantize(Decimal("0.1"))
    first = bench.start()
    bench.send(market(unique, order_type=OrderType.LIMIT, limit_price=limit, quantity=Decimal("0.010"), reason="RESTS"))
    bench.until(lambda: any(result.status is OrderStatus.ACCEPTED for result in bench.results()) and bench.committed() == 1)
    first.kill()
    first.wait(10)
    cancel_directly(bench, unique)
    bench.start()
    bench.until(lambda: bench.finished({unique}))
    results = bench.results()
    assert [result.status for result in results] == [OrderStatus.ACCEPTED, OrderStatus.CANCELLED]
    assert results[-1].reason == "RESTS"


def cancel_directly(bench: Bench, name: str) -> None:
    """Cancel an order behind the gateway's back."""
    import urllib.request

    from connectors.exchange.binance.signing import signed_query

    access = bench.venue.access
    query = signed_query(
        access.api_secret.get_secret_value(), {"symbol": "BTCUSDT", "origClientOrderId": name}, time.time_ns() // 1_000_000, 5_000
    )
    request = urllib.request.Request(
        f"{bench.venue.usdm}/fapi/v1/order?{query}", method="DELETE", headers={"X-MBX-APIKEY": access.api_key.get_secret_value()}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def wait_for_partitions(bench: Bench, times: int) -> None:
    """Wait until a gateway has got its partitions for the n-th time."""
    bench.until(lambda: bench.log().count("orders are open") >= times)


def test_killed_at_random_points_every_command_reaches_the_venue_once(bench: Bench, unique: str) -> None:
    randomly = random.Random(unique)
    total, kills = 60, 6
    names = [f"{unique}-{n}" for n in range(total)]
    for number in range(kills):
        process = bench.start()
        commands = [
            market(name, "BTCUSDT" if n % 2 else "ETHUSDT", Side.BUY if n % 3 else Side.SELL, quantity=Decimal("0.02"))
            for n, name in enumerate(names[number * total // kills : (number + 1) * total // kills])
        ]
        if number % 2:
            bench.venue.fault(kind="accept_then_time_out", count=1)
        wait_for_partitions(bench, number + 1)
        bench.send(*commands)
        time.sleep(randomly.uniform(0.0, 0.4) if number < kills - 1 else 0.02)  # the last one must leave something undone
        process.kill()
        process.wait(10)
    assert bench.committed() < total, "the kills came too late to hit anything"
    bench.start()
    bench.until(lambda: bench.finished(set(names)) and bench.committed() == total)
    check_against_the_venue(bench, set(names))
    assert "has an order with this id" not in bench.log(), "an order was sent twice"
    assert {result.client_order_id for result in bench.results()} == set(names)
    check_that_each_is_there_once(bench, set(names))


def check_that_each_is_there_once(bench: Bench, names: set[str]) -> None:
    """By the venue's own ledger each order was accepted once; by the results each has one end, and one beginning before it."""
    at_venue = Counter(
        row["clientOrderId"]
        for symbol in ("BTCUSDT", "ETHUSDT")
        for row in bench.venue.signed("/fapi/v1/allOrders", symbol=symbol, limit=1_000)
        if row["clientOrderId"] in names
    )
    assert at_venue == dict.fromkeys(names, 1)
    assert "has an order with this id" not in bench.log(), "an order was sent twice"
    chains: dict[str, list[ExecutionResult]] = {}
    for result in bench.results():
        chains.setdefault(result.client_order_id, []).append(result)
    assert chains.keys() == names
    for name, chain in chains.items():
        assert len({result.event_id for result in chain}) == len(chain), "something was said twice"
        assert sum(result.status in FINAL for result in chain) == 1, [(each.event_id, each.status) for each in chain]
        assert chain[0].event_id == f"{name}:ACCEPTED"
        assert chain[-1].status in FINAL


@pytest.mark.timeout(400)
@pytest.mark.campaign
def test_two_gateways_killed_stopped_and_lied_to(bench: Bench, unique: str) -> None:
    """The second takes over from one that is dead or asleep; one that wakes up with an order in hand neither sends nor says anything."""
    randomly = random.Random(unique)
    running = {name: bench.start(name) for name in ("one", "two")}
    bench.until_active(*running)
    names: list[str] = []

    def feed() -> None:
        batch = [f"{unique}-{len(names) + n}" for n in range(10)]
        bench.venue.fault(kind="accept_then_time_out", count=1, hang_seconds=randomly.choice([0, 2]))
        bench.send(
            *(
                market(name, "BTCUSDT" if n % 4 < 2 else "ETHUSDT", Side.BUY if n % 2 else Side.SELL)
                for n, name in enumerate(batch, len(names))
            )
        )
        names.extend(batch)
        time.sleep(randomly.uniform(0.05, 0.6))

    for what in ("stop", "kill", "kill the other", "replace", "stop", "kill both"):
        bench.until_active(*running)
        active = bench.active()
        other = "two" if active == "one" else "one"
        feed()
        if what == "stop":
            running[active].send_signal(signal.SIGSTOP)
            feed()
            bench.until_active(other)
            time.sleep(randomly.uniform(0.0, 5.0))
            running[active].send_signal(signal.SIGCONT)
            continue
        victims = {"kill": [active], "kill the other": [other], "replace": [active], "kill both": [active, other]}[what]
        for victim in victims:
            running[victim].kill()
            running[victim].wait(10)
        if what == "replace":
            bench.until_active(other)
        for victim in victims:
            running[victim] = bench.start(victim)
    bench.until(lambda: bench.finished(set(names)) and bench.committed() == len(names), 90)
    assert [process.poll() for process in running.values()] == [None, None]
    check_against_the_venue(bench, set(names))
    check_that_each_is_there_once(bench, set(names))


def test_who_takes_a_partition_fences_who_had_it(bench: Bench, unique: str) -> None:
    topics = topics_of(bench.arguments)

    def accepted(name: str) -> list[Result[ExecutionResult]]:
        ledger = Ledger()
        ledger.expect(market(name), {}, 0)
        seen = OrderSeen(client_order_id=name, venue_order_id=name, status=OrderStatus.ACCEPTED, executed=Decimal(0), event_ts=1)
        return ledger.seen(seen, name)

    def log_of_results() -> ResultLog:
        made = ResultLog(bench.arguments.kafka, topics.said, unique)
        made.take([0])
        return made

    def say(results: ResultLog, *names: str) -> None:
        for name in names:
            for result in accepted(name):
                results.add(result)
        results.flush()

    first = log_of_results()
    say(first, "1", "2")
    open_producer = first._producers[0]
    open_producer.begin_transaction()
    open_producer.produce(topics.results, topics.result_codec.encode(accepted("3")[0].record), b"paper", 0)
    assert open_producer.flush(10) == 0
    second = log_of_results()
    say(second, "4")
    third = log_of_results()
    say(third, "5")
    with pytest.raises(FencedError):
        say(second, "6")
    assert second.lost == {0}
    say(second, "7")
    say(third, "8")
    third._begin(0, time.monotonic() + 10)
    waiting = [*accepted("8"), *accepted("9")]
    assert third._not_said(0, waiting) == waiting[1:]
    assert [result.client_order_id for result in bench.results()] == ["1", "2", "4", "5", "8"]


def test_what_cannot_be_read_is_passed_over(bench: Bench, unique: str) -> None:
    producer = Producer({"bootstrap.servers": bench.arguments.kafka})
    producer.produce(f"{bench.arguments.prefix}.command", b"rubbish", b"paper", partitions_of("paper")[0])
    assert producer.flush(10) == 0
    bench.send(market(unique))
    bench.start()
    bench.until(lambda: bench.finished({unique}) and bench.committed() == 2)
    assert "corrupt 0" in bench.log()


def test_an_entry_that_has_lain_too_long_is_not_sent_but_an_exit_is(bench: Bench, unique: str) -> None:
    topic = f"{bench.arguments.prefix}.command"
    codec: RecordCodec[OrderCommand] = RecordCodec(f"{topic}-value", OrderCommand, registry_at(bench.arguments.registry))
    entry, exit_ = market(f"{unique}-in"), market(f"{unique}-out", side=Side.SELL, origin=Origin.EXIT)
    producer = Producer({"bootstrap.servers": bench.arguments.kafka})
    for each in (entry, exit_):
        producer.produce(topic, codec.encode(each), b"paper", partitions_of("paper")[0], timestamp=time.time_ns() // 1_000_000 - 3_600_000)
    assert producer.flush(10) == 0
    bench.start()
    bench.until(lambda: bench.finished({f"{unique}-in", f"{unique}-out"}))
    last = {result.client_order_id: result for result in bench.results()}
    assert last[f"{unique}-in"].error_code == "COMMAND_TOO_OLD"
    assert last[f"{unique}-out"].status is OrderStatus.FILLED


def test_an_open_order_that_the_venue_has_forgotten_is_over(bench: Bench, unique: str) -> None:
    accepted = ExecutionResult(
        **{name: getattr(market(unique), name) for name in FACTS}, event_id=f"{unique}:ACCEPTED", event_ts=1, venue_order_id="1",
        status=OrderStatus.ACCEPTED, filled_quantity=Decimal(0), liquidity=Liquidity.NONE,
    )  # fmt: skip
    publisher = publisher_of(bench.arguments)
    publisher.send(f"{bench.arguments.prefix}.result", "paper", accepted)
    publisher.flush()
    bench.start()
    bench.until(lambda: bench.finished({unique}))
    assert [result.status for result in bench.results()] == [OrderStatus.ACCEPTED, OrderStatus.EXPIRED]
    assert bench.log().count("does not know it") == 3


def test_a_venue_that_is_away_is_waited_for(bench: Bench, unique: str, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    bench.arguments = msgspec.structs.replace(bench.arguments, usdm=f"http://127.0.0.1:{port}")
    bench.send(market(f"{unique}-1"), market(f"{unique}-2", "ETHUSDT"))
    gateway = bench.start()
    bench.until(lambda: bench.log().count("cannot be reached") >= 5)
    assert (gateway.poll(), bench.results(), bench.committed()) == (None, [], 0)
    with running_venue(tmp_path, usdm_port=port):
        bench.until(lambda: bench.finished({f"{unique}-1", f"{unique}-2"}) and bench.committed() == 2)


@pytest.mark.campaign
def test_a_second_process_takes_the_place_of_the_first(bench: Bench, unique: str) -> None:
    first = bench.start()
    bench.send(market(f"{unique}-1"))
    bench.until(lambda: bench.finished({f"{unique}-1"}))
    bench.start()
    bench.until(lambda: first.poll() is not None)
    assert first.returncode != 0
    bench.send(market(f"{unique}-2"))
    bench.until(lambda: bench.finished({f"{unique}-2"}))
    assert "FencedError" in bench.log()
    results: list[Record] = [record for record, _ in bench.read("result")]
    assert len({record.event_id for record in results}) == len(results)
