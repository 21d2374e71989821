"""Signing, against the examples of Binance's own documentation."""

from __future__ import annotations

from decimal import Decimal

from pydantic import SecretStr

from connectors.exchange.binance.signing import Parameter, query_of, sign, signed_query
from connectors.exchange.simulated.rest.endpoint import Credentials

FUTURES_SECRET = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"
SPOT_SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"


def test_futures_example() -> None:
    query = "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000&timestamp=1591702613943"
    assert sign(FUTURES_SECRET, query) == "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9"


def test_spot_example_from_parameters() -> None:
    parameters: dict[str, Parameter] = {
        "symbol": "LTCBTC",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": Decimal(1),
        "price": Decimal("0.1"),
    }
    query = signed_query(SPOT_SECRET, parameters, 1499827319559, 5000)
    assert query == (
        "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
        "&signature=c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"
    )


def test_spot_example_in_query_and_body_is_signed_without_anything_between_them() -> None:
    query, body = "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC", "quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
    expected = "0fd168b8ddb4876a0358a8d14d0c9f3da0e9b20c5d52b2a00fcf7d1c602f9a77"
    assert sign(SPOT_SECRET, query + body) == expected
    assert Credentials("key", SecretStr(SPOT_SECRET)).sign(query + body) == expected, "the simulated venue checks the same"


def test_parameters_are_written_as_the_venue_reads_them() -> None:
    assert query_of({"quantity": Decimal("1E-7"), "reduceOnly": True, "limit": 5}) == "quantity=0.0000001&reduceOnly=true&limit=5"
