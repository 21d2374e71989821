from __future__ import annotations

import gzip
import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from connectors.exchange.simulated.dialect import frames
from connectors.exchange.simulated.market.agents import Agent
from connectors.exchange.simulated.market.instruments import Product, instrument
from connectors.exchange.simulated.market.symbol import SymbolMarket
from connectors.exchange.simulated.market.synthetic import SyntheticMarket
from connectors.exchange.simulated.market.tape import has_klines
from connectors.exchange.simulated.rest.endpoint import Credentials

NOW = 1_790_000_123_456_000
RECORDED = Path(os.environ.get("QUANTUM_DATA", Path(__file__).parents[5] / "shared" / "data")) / "binance_raw"


def recorded_frames(product: Product) -> dict[str, dict[str, Any]]:
    """Return one recorded frame of each stream."""
    folder, symbol = ("cm", "btcusd_perp") if product is Product.COINM else (product.value, "btcusdt")
    path = RECORDED / folder / f"{symbol}_20240808.gz"
    if not path.exists():
        pytest.skip(f"no recorded data at {path}")
    found: dict[str, dict[str, Any]] = {}
    with gzip.open(path, "rt") as lines:
        for line in lines:
            frame = json.loads(line.split(" ", 1)[1])
            kind = frame.get("stream", "@").split("@")[1]
            found.setdefault(kind, frame.get("data", frame))
            if len(found) == 4:
                break
    return found


@pytest.fixture(params=list(Product))
def market(request: pytest.FixtureRequest) -> SymbolMarket:
    (market,) = (
        SyntheticMarket(("BTCUSDT",), seed=1, now_us=NOW, history_minutes=2, products=tuple(Product)).markets[request.param].values()
    )
    return market


def test_frames_have_the_fields_types_and_decimals_of_recorded_ones(market: SymbolMarket) -> None:
    real = recorded_frames(market.rules.product)
    trade = market.tape.last
    assert trade is not None
    feed = market.book.feed()
    maker = Agent("maker")
    for bid, price in ((True, market.book.bid - 3), (False, market.book.ask + 3)):
        market.book.add(maker, price, 12, bid=bid)
    change = feed.take(market.book.update_id)
    assert change is not None
    ours = {
        "trade": frames.trade(market.rules, trade, NOW // 1000),
        "bookTicker": frames.book_ticker(market, NOW // 1000),
        "depth": frames.depth_update(market, change, NOW // 1000),
        "": frames.depth_snapshot(market, 20, NOW // 1000),
    }
    for kind, frame in ours.items():
        assert list(frame) == list(real[kind]), kind
        assert {k: type(v) for k, v in frame.items()} == {k: type(v) for k, v in real[kind].items()}, kind
        for name, value in frame.items():
            if name in ("p", "q", "b", "B", "a", "A") and isinstance(value, str):
                assert len(value.partition(".")[2]) == len(real[kind][name].partition(".")[2]), (kind, name)
    level, real_level = ours["depth"]["a"][0], real["depth"]["a"][0]
    assert [len(x.partition(".")[2]) for x in level] == [len(x.partition(".")[2]) for x in real_level]


@pytest.mark.parametrize("product", [Product.USDM, Product.SPOT, Product.COINM])
def test_prices_and_quantities_are_written_exactly(product: Product) -> None:
    for symbol in ("BTCUSDT", "SOLUSDT", "DOGEUSDT"):
        rules = instrument(product, symbol)
        for units in (1, 7, 10, 12_345_678):
            assert rules.ticks(Decimal(rules.price_text(units))) == units
            assert rules.lots(Decimal(rules.quantity_text(units))) == units
    assert instrument(Product.USDM, "BTCUSDT").price_text(618_002) == "61800.20"
    assert instrument(Product.SPOT, "BTCUSDT").quantity_text(154_698) == "1.54698000"
    assert instrument(Product.USDM, "DOGEUSDT").quantity_text(25) == "25"


def test_a_kline_row_adds_up(market: SymbolMarket) -> None:
    if not has_klines(market.rules.product, "1m"):
        pytest.skip("contracts have no bars here")
    (bar,) = market.tape.bars("1m", NOW // 60_000_000 * 60_000_000 - 60_000_000, NOW // 60_000_000 * 60_000_000)
    row = frames.kline_row(market.rules, bar)
    assert len(row) == 12
    assert float(row[3]) <= float(row[4]) <= float(row[2])
    assert float(row[7]) / float(row[5]) == pytest.approx(float(row[4]), rel=0.01)
    assert row[6] - row[0] == 59_999
    assert row[8] == bar.last_id - bar.first_id + 1


def test_the_signature_is_that_of_the_documented_example() -> None:
    credentials = Credentials("key", SecretStr("2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"))
    query = "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000&timestamp=1591702613943"
    assert credentials.sign(query) == "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9"
