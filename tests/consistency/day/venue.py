"""What the campaign asks the venue itself, past the platform: its account, its trades, its faults."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from connectors.exchange.binance.settings import VenueSettings
from connectors.exchange.binance.signing import Parameter, signed_query

PAGE = 1_000


class Venue:
    """The venue's own words. Every call raises OSError where the venue does not answer, or refuses.

    Parameters
    ----------
    access
        Address and key.
    control
        URL of the control endpoint.
    """

    def __init__(self, access: VenueSettings, control: str) -> None:
        self._url = access.usdm_url
        self._key = access.api_key.get_secret_value()
        self._secret = access.api_secret.get_secret_value()
        self._control = control

    def signed(self, path: str, **parameters: Parameter) -> Any:
        """Return the answer to a signed question."""
        query = signed_query(self._secret, parameters, time.time_ns() // 1_000_000, 5_000)
        return self._answer(urllib.request.Request(f"{self._url}{path}?{query}", headers={"X-MBX-APIKEY": self._key}))

    def mark(self, symbol: str) -> Decimal:
        """Return the mark price of a symbol."""
        return Decimal(self._answer(urllib.request.Request(f"{self._url}/fapi/v1/premiumIndex?symbol={symbol}"))["markPrice"])

    def wallet(self) -> Decimal:
        """Return the balance without unrealised profit."""
        return Decimal(self.signed("/fapi/v2/balance")[0]["balance"])

    def positions(self) -> dict[str, Decimal]:
        """Return the open positions, negative where short."""
        rows = self.signed("/fapi/v2/positionRisk")
        return {row["symbol"]: Decimal(row["positionAmt"]) for row in rows if Decimal(row["positionAmt"])}

    def open_orders(self) -> int:
        """Return how many orders are open."""
        return len(self.signed("/fapi/v1/openOrders")) + len(self.signed("/fapi/v1/openAlgoOrders"))

    def fills(self, symbol: str) -> list[dict[str, Any]]:
        """Return every fill of the account in a symbol, oldest first."""
        found: list[dict[str, Any]] = []
        start = 0
        while rows := self.signed("/fapi/v1/userTrades", symbol=symbol, fromId=start, limit=PAGE):
            found += rows
            start = rows[-1]["id"] + 1
        return found

    def income(self) -> list[dict[str, Any]]:
        """Return the whole history of the account, oldest first."""
        return list(self._pages())

    def _pages(self) -> Iterator[dict[str, Any]]:
        page = 1
        while rows := self.signed("/fapi/v1/income", startTime=0, page=page, limit=PAGE):
            yield from rows
            page += 1

    def fault(self, **fault: object) -> None:
        """Ask for a fault."""
        self._control_call("faults", fault)

    def lift(self) -> None:
        """Take every fault out of force."""
        self._answer(urllib.request.Request(f"{self._control}/faults", method="DELETE"))

    def transfer(self, amount: Decimal) -> None:
        """Pay money into the account, or out of it."""
        self._control_call("transfers", {"amount": str(amount)})

    def strikes(self) -> list[dict[str, Any]]:
        """Return what the faults have done: rows of kind, what, product and count."""
        found: list[dict[str, Any]] = self._answer(urllib.request.Request(f"{self._control}/strikes"))
        return found

    def _control_call(self, what: str, body: object) -> None:
        self._answer(urllib.request.Request(f"{self._control}/{what}", json.dumps(body).encode(), {"Content-Type": "application/json"}))

    @staticmethod
    def _answer(request: urllib.request.Request) -> Any:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise OSError(f"{request.full_url}: {error.code} {error.read().decode(errors='replace')}") from error
