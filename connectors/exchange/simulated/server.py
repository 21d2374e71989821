"""The venue as a server: generated markets with an account, or an account alone on a market that is fed from outside."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from types import TracebackType
from typing import Self

from pydantic import SecretStr

from connectors.exchange.simulated.endpoint import Credentials, Endpoint, Params
from connectors.exchange.simulated.faults import Faults
from connectors.exchange.simulated.followed import FollowedMarket, GeneratedView
from connectors.exchange.simulated.frames import Json
from connectors.exchange.simulated.hub import Hub
from connectors.exchange.simulated.instruments import Instrument, Product, instrument
from connectors.exchange.simulated.ledger import Rates
from connectors.exchange.simulated.listener import HOST, Listener
from connectors.exchange.simulated.market import SyntheticMarket
from connectors.exchange.simulated.private_account import AccountApi
from connectors.exchange.simulated.private_orders import OrderApi
from connectors.exchange.simulated.public import PREFIX, MarketData, general_endpoints
from connectors.exchange.simulated.refusal import refusal
from connectors.exchange.simulated.venue import DEFAULT_BALANCE, DEFAULT_LATENCY_SECONDS, FollowingVenue, MarketFollower, SimulatedVenue

PLAY_SECONDS = 0.02
DEFAULT_KEY = "paper"
DEFAULT_SECRET = "paper-secret"  # guards nothing: play money on loopback


def wall_clock_us() -> int:
    """Return the time, microseconds UTC."""
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """The paper account.

    Attributes
    ----------
    credentials
        Its API key and secret.
    balance
        First wallet balance, USDT.
    rates
        Fees.
    latency
        Seconds between an order's arrival and its match.
    """

    credentials: Credentials = field(default_factory=lambda: Credentials(DEFAULT_KEY, SecretStr(DEFAULT_SECRET)))
    balance: Decimal = DEFAULT_BALANCE
    rates: Rates = field(default_factory=Rates)
    latency: float = DEFAULT_LATENCY_SECONDS


class _Server(ABC):
    """Listeners and one task that drives them."""

    def __init__(self) -> None:
        self.listeners: dict[Product, Listener] = {}
        self._driver: asyncio.Task[None] | None = None

    def url(self, product: Product) -> str:
        """Return the base URL of a product's REST endpoints; its websockets are at the same port."""
        return f"http://{HOST}:{self.listeners[product].port}"

    async def start(self, ports: Mapping[Product, int] | None = None) -> None:
        """Listen, on free ports where none is named, and begin to play.

        Raises
        ------
        DependencyError
            A port is taken.
        """
        try:
            for product, listener in self.listeners.items():
                await listener.start((ports or {}).get(product, 0))
        except BaseException:
            await self.stop()
            raise
        self._driver = asyncio.create_task(self._drive())

    async def stop(self) -> None:
        """Stop playing and listening."""
        if self._driver is not None:
            self._driver.cancel()
            await asyncio.gather(self._driver, return_exceptions=True)
            self._driver = None
        for listener in self.listeners.values():
            await listener.stop()

    async def wait(self) -> None:
        """Wait until the server stops, which it does by itself only with an error."""
        if self._driver is not None:
            await self._driver

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    async def _drive(self) -> None:
        while True:
            self._advance(wall_clock_us())
            await asyncio.sleep(PLAY_SECONDS)

    @abstractmethod
    def _advance(self, now_us: int) -> None:
        """Do what is due."""


class VenueServer(_Server):
    """Generated markets of both products, with an account on the perpetuals.

    Parameters
    ----------
    symbols
        Listed symbols.
    seed
        Seed of the markets.
    history_minutes, funding_minutes
        See :class:`~connectors.exchange.simulated.market.SyntheticMarket`.
    account
        The paper account.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        *,
        seed: int,
        history_minutes: int = 120,
        funding_minutes: int = 480,
        account: AccountSettings | None = None,
    ) -> None:
        super().__init__()
        now = wall_clock_us()
        settings = account or AccountSettings()
        self.market = SyntheticMarket(symbols, seed=seed, now_us=now, history_minutes=history_minutes, funding_minutes=funding_minutes)
        usdm = self.market.markets[Product.USDM]
        rules = {s: instrument(Product.USDM, s) for s in symbols}
        self.venue = _venue(GeneratedView(usdm), rules, settings, now)
        self._hubs: list[Hub] = []
        for product in Product:
            markets = self.market.markets[product]
            faults, traded = Faults(), product is Product.USDM
            hub = Hub(product, markets, wall_clock_us, self._listens if traded else _nothing)
            endpoints = general_endpoints(product, {s: instrument(product, s) for s in symbols}, wall_clock_us)
            endpoints += MarketData(product, markets, wall_clock_us).endpoints()
            if traded:
                endpoints += _account_endpoints(self.venue)
                self.venue.publish_to(hub.publish)
            self._hubs.append(hub)
            self.listeners[product] = Listener(product, endpoints, hub, settings.credentials, faults, wall_clock_us)
        follower = MarketFollower(self.venue)
        for market in usdm.values():
            market.listeners.append(follower)

    def _listens(self, name: str) -> bool:
        return name == self.venue.listen_key and self.venue.is_listening(wall_clock_us())

    def _advance(self, now_us: int) -> None:
        self.market.play(now_us)
        for hub in self._hubs:
            hub.tick(now_us)
        self.venue.expire_stream(now_us)


class FollowServer(_Server):
    """An account on perpetuals whose quotes and trades are fed from outside: call ``server.venue.on_quote`` and ``server.venue.on_trade``.

    Serves exchangeInfo, ticker/bookTicker, the bookTicker stream, and everything of the account. Orders and fills carry the time of the
    market that is fed; signatures are checked against the wall clock.

    Parameters
    ----------
    instruments
        What is listed.
    account
        The paper account.
    """

    def __init__(self, instruments: Iterable[Instrument], *, account: AccountSettings | None = None) -> None:
        super().__init__()
        settings = account or AccountSettings()
        self.market = FollowedMarket({i.symbol: i for i in instruments})
        self.venue = FollowingVenue(
            self.market,
            balance=settings.balance,
            rates=settings.rates,
            latency=settings.latency,
            first_order_id=wall_clock_us() // 1000,
        )
        self._hub = Hub(Product.USDM, {}, wall_clock_us, self._publishes)
        self.venue.publish_to(self._hub.publish)
        endpoints = general_endpoints(Product.USDM, self.market.instruments, wall_clock_us)
        endpoints.append(Endpoint("GET", f"{PREFIX[Product.USDM]}/ticker/bookTicker", self._book_ticker, 2))
        endpoints += _account_endpoints(self.venue)
        self.listeners[Product.USDM] = Listener(Product.USDM, endpoints, self._hub, settings.credentials, Faults(), wall_clock_us)

    async def _book_ticker(self, params: Params) -> list[Json] | Json:
        wanted = params.optional("symbol")
        if wanted is not None and wanted not in self.market.quotes:
            raise refusal(-1121)
        rows = [
            {
                "symbol": symbol,
                "bidPrice": f"{quote.bid:f}",
                "bidQty": f"{quote.bid_quantity:f}",
                "askPrice": f"{quote.ask:f}",
                "askQty": f"{quote.ask_quantity:f}",
                "lastUpdateId": quote.update_id,
                "time": self.market.now_us // 1000,
            }
            for symbol, quote in self.market.quotes.items()
            if wanted in (None, symbol)
        ]
        return rows if wanted is None else rows[0]

    def _publishes(self, name: str) -> bool:
        symbol, _, kind = name.partition("@")
        if kind == "bookTicker" and symbol.upper() in self.market.instruments:
            return True
        return name == self.venue.listen_key and self.venue.is_listening(wall_clock_us())

    def _advance(self, now_us: int) -> None:
        self.venue.expire_stream(now_us)


def _venue(view: GeneratedView, rules: Mapping[str, Instrument], settings: AccountSettings, now_us: int) -> SimulatedVenue:
    return SimulatedVenue(
        view,
        rules,
        clock=wall_clock_us,
        balance=settings.balance,
        rates=settings.rates,
        latency=settings.latency,
        first_order_id=now_us // 1000,
    )


def _account_endpoints(venue: SimulatedVenue) -> list[Endpoint]:
    return OrderApi(venue).endpoints() + AccountApi(venue, wall_clock_us).endpoints()


def _nothing(_name: str) -> bool:
    return False
