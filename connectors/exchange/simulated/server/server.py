"""The venue as a server: generated markets with an account, or an account alone on a market that is fed from outside."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from types import TracebackType
from typing import Self

from pydantic import SecretStr

from connectors.exchange.simulated.account.followed import FollowedMarket
from connectors.exchange.simulated.account.ledger import Rates
from connectors.exchange.simulated.account.refusal import refusal
from connectors.exchange.simulated.account.traded import BookMarket
from connectors.exchange.simulated.clock import MarketClock, wall_clock_us
from connectors.exchange.simulated.dialect.frames import Json
from connectors.exchange.simulated.faults.plan import Faults
from connectors.exchange.simulated.market.instruments import Instrument, Product
from connectors.exchange.simulated.market.synthetic import PRODUCTS, SyntheticMarket
from connectors.exchange.simulated.rest.endpoint import Credentials, Endpoint, Gate, Params
from connectors.exchange.simulated.rest.exchange_info import PREFIX, general_endpoints
from connectors.exchange.simulated.rest.limits import ORDERS_PER_MINUTE, Limits
from connectors.exchange.simulated.rest.private_account import AccountApi
from connectors.exchange.simulated.rest.private_algo import AlgoApi
from connectors.exchange.simulated.rest.private_orders import OrderApi
from connectors.exchange.simulated.rest.private_spot import SpotApi
from connectors.exchange.simulated.rest.public import MarketData
from connectors.exchange.simulated.server.control import Control
from connectors.exchange.simulated.server.hub import Hub
from connectors.exchange.simulated.server.listener import Listener
from connectors.exchange.simulated.venue.futures import DEFAULT_BALANCE, FollowingVenue, FuturesFollower, FuturesVenue
from connectors.exchange.simulated.venue.spot import SpotVenue
from connectors.exchange.simulated.venue.venue import DEFAULT_LATENCY_SECONDS, MarketFollower, SimulatedVenue

PLAY_SECONDS = 0.02
DEFAULT_KEY = "paper"
DEFAULT_SECRET = "paper-secret"  # guards nothing: play money on loopback


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
    """Listeners, the control endpoint where it is wanted, and one task that drives them."""

    def __init__(self) -> None:
        self.listeners: dict[Product, Listener] = {}
        self.control: Control | None = None
        self._driver: asyncio.Task[None] | None = None

    def url(self, product: Product) -> str:
        """Return the base URL of a product's REST endpoints; its websockets are at the same port."""
        return self.listeners[product].site.url

    async def start(self, ports: Mapping[Product, int] | None = None, control_port: int = 0) -> None:
        """Listen, on free ports where none is named, and begin to play.

        Raises
        ------
        DependencyError
            A port is taken.
        """
        try:
            for product, listener in self.listeners.items():
                await listener.start((ports or {}).get(product, 0))
            if self.control is not None:
                await self.control.site.start(control_port)
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
        if self.control is not None:
            await self.control.site.stop()

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
            self._advance()
            await asyncio.sleep(PLAY_SECONDS)

    @abstractmethod
    def _advance(self) -> None:
        """Do what is due."""


class VenueServer(_Server):
    """Generated markets, with one account on the USD-margined perpetuals and one on spot.

    Parameters
    ----------
    symbols
        Symbols, for example ``("BTCUSDT", "ETHUSDT")``.
    seed
        Seed of the markets.
    history_minutes, funding_minutes, products, every
        See :class:`~connectors.exchange.simulated.market.synthetic.SyntheticMarket`.
    account
        The paper account.
    speed
        Market seconds a second. Requests are signed by the wall clock at any speed.
    orders_per_minute
        Orders that the venue takes of an account.
    control
        Whether there is a control endpoint.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        *,
        seed: int,
        history_minutes: int = 120,
        funding_minutes: int = 480,
        products: Sequence[Product] = PRODUCTS,
        account: AccountSettings | None = None,
        speed: float = 1.0,
        orders_per_minute: int = ORDERS_PER_MINUTE,
        every: int = 1,
        control: bool = False,
    ) -> None:
        super().__init__()
        self.clock = MarketClock(speed)
        self._settings = account or AccountSettings()
        self.market = SyntheticMarket(
            symbols,
            seed=seed,
            now_us=self.clock(),
            history_minutes=history_minutes,
            funding_minutes=funding_minutes,
            products=products,
            every=every,
        )
        self.faults = Faults(seed)
        self.venues: dict[Product, SimulatedVenue] = {}
        self.hubs: dict[Product, Hub] = {}
        for product, markets in self.market.markets.items():
            rules = {symbol: market.rules for symbol, market in markets.items()}
            limits = Limits(product, orders_per_minute)
            hub = self.hubs[product] = Hub(product, markets, self.clock, partial(self._listens, product), self.faults)
            endpoints = general_endpoints(product, rules, limits, wall_clock_us)
            endpoints += MarketData(product, markets, self.clock).endpoints()
            endpoints += self._account(product, BookMarket(markets), rules)
            gate = Gate(product, self._settings.credentials, limits, self.faults, wall_clock_us)
            self.listeners[product] = Listener(gate, endpoints, hub)
            if product in self.venues:
                self.venues[product].publish_to(hub.publish)
        if control:
            futures = self.venues.get(Product.USDM)
            self.control = Control(self.faults, self.hubs, wall_clock_us, futures if isinstance(futures, FuturesVenue) else None)

    def _account(self, product: Product, market: BookMarket, rules: Mapping[str, Instrument]) -> list[Endpoint]:
        """Open the account of a product that has one; return its endpoints."""
        settings, first_id = self._settings, self.clock() // 1000
        follower: MarketFollower
        if product is Product.USDM:
            futures = FuturesVenue(
                market,
                rules,
                clock=self.clock,
                balance=settings.balance,
                rates=settings.rates,
                latency=settings.latency,
                first_order_id=first_id,
            )
            self.venues[product], follower, endpoints = futures, FuturesFollower(futures), futures_endpoints(futures)
        elif product is Product.SPOT:
            balances = {instrument_.quote_asset: settings.balance for instrument_ in rules.values()}
            spot = SpotVenue(market, rules, clock=self.clock, balances=balances, latency=settings.latency, first_order_id=first_id)
            self.venues[product], follower, endpoints = spot, MarketFollower(spot), SpotApi(spot, wall_clock_us).endpoints()
        else:
            return []
        for symbol_market in self.market.markets[product].values():
            symbol_market.listeners.append(follower)
        return endpoints

    def _listens(self, product: Product, name: str) -> bool:
        venue = self.venues.get(product)
        return venue is not None and name == venue.listen_key and venue.is_listening(wall_clock_us())

    def _advance(self) -> None:
        now = self.clock()
        self.market.play(now)
        for hub in self.hubs.values():
            hub.tick(now)
        for venue in self.venues.values():
            venue.expire_stream(wall_clock_us())


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
        faults = Faults()
        self._hub = Hub(Product.USDM, {}, wall_clock_us, self._publishes, faults)
        self.venue.publish_to(self._hub.publish)
        limits = Limits(Product.USDM)
        endpoints = general_endpoints(Product.USDM, self.market.instruments, limits, wall_clock_us)
        endpoints.append(Endpoint("GET", f"{PREFIX[Product.USDM]}/ticker/bookTicker", self._book_ticker, 2))
        endpoints += futures_endpoints(self.venue)
        self.listeners[Product.USDM] = Listener(
            Gate(Product.USDM, settings.credentials, limits, faults, wall_clock_us), endpoints, self._hub
        )

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

    def _advance(self) -> None:
        self.venue.expire_stream(wall_clock_us())


def futures_endpoints(venue: FuturesVenue) -> list[Endpoint]:
    """Return the endpoints of a futures account."""
    return OrderApi(venue).endpoints() + AlgoApi(venue).endpoints() + AccountApi(venue, wall_clock_us).endpoints()
