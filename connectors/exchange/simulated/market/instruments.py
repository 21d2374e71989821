"""Trading rules of the symbols that the venue lists, per product.

The rules have the shape of the venue's own `exchangeInfo` filters. Prices and quantities are held as whole ticks and lots inside the
market, and as :class:`~decimal.Decimal` on the order path, so that no rounding of floats ever reaches an order.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from enum import StrEnum
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from quantum.errors import ConfigurationError

PricesT = TypeVar("PricesT", float, npt.NDArray[np.float64])


class Product(StrEnum):
    """What is traded: each product has its own listener, as the real venue has a host for each."""

    USDM = "usdm"
    SPOT = "spot"
    COINM = "coinm"

    @property
    def futures(self) -> bool:
        """Whether it trades perpetuals: mark price, funding, positions."""
        return self is not Product.SPOT


@dataclass(frozen=True, slots=True)
class Bracket:
    """One leverage bracket: positions with a notional from `floor` up to `cap` (USDT)."""

    number: int
    max_leverage: int
    floor: Decimal
    cap: Decimal
    maintenance_rate: Decimal
    deduction: Decimal
    """Amount taken off `notional * maintenance_rate`, so that maintenance margin is continuous at the floor."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """The rules of one symbol of one product; prices in the quote asset, quantities in the base asset or, COIN-margined, in contracts."""

    symbol: str
    product: Product
    tick_size: Decimal
    step_size: Decimal
    max_quantity: Decimal
    market_max_quantity: Decimal
    min_notional: Decimal
    price_decimals: int
    quantity_decimals: int
    brackets: tuple[Bracket, ...] = ()
    quote_asset: str = "USDT"
    contract_size: Decimal = Decimal(0)
    """Value of one contract in the quote asset; zero where quantities are in the base asset."""

    @property
    def base_asset(self) -> str:
        """The asset that is bought and sold, or that a contract is settled in."""
        return self.symbol.removesuffix("_PERP").removesuffix(self.quote_asset)

    @property
    def pair(self) -> str:
        """What a perpetual is on: the symbol without the kind of contract."""
        return self.symbol.removesuffix("_PERP")

    def lot_value(self, price: PricesT) -> PricesT:
        """Return what one lot is worth in the quote asset at a price or at prices."""
        if self.contract_size:
            return price * 0.0 + float(self.contract_size * self.step_size)
        return price * float(self.step_size)

    @property
    def min_quantity(self) -> Decimal:
        """The least quantity of an order: one lot."""
        return self.step_size

    @property
    def max_price(self) -> Decimal:
        """The greatest price of an order."""
        return self.tick_size * 10_000_000

    def price_text(self, ticks: int) -> str:
        """Return a price of whole `ticks` as the venue writes it."""
        return self._text(ticks, self.tick_size, self.price_decimals)

    def quantity_text(self, lots: int) -> str:
        """Return a quantity of whole `lots` as the venue writes it."""
        return self._text(lots, self.step_size, self.quantity_decimals)

    def price(self, ticks: int) -> Decimal:
        """Return a price of whole `ticks`."""
        return self.tick_size * ticks

    def quantity(self, lots: int) -> Decimal:
        """Return a quantity of whole `lots`."""
        return self.step_size * lots

    def ticks(self, price: Decimal) -> int:
        """Return `price` in whole ticks, rounded down."""
        return int((price / self.tick_size).to_integral_value(ROUND_FLOOR))

    def lots(self, quantity: Decimal) -> int:
        """Return `quantity` in whole lots, rounded down."""
        return int((quantity / self.step_size).to_integral_value(ROUND_FLOOR))

    def bracket(self, notional: Decimal) -> Bracket:
        """Return the bracket that a position of `notional` USDT falls into."""
        for bracket in self.brackets:
            if notional < bracket.cap:
                return bracket
        return self.brackets[-1]

    @staticmethod
    def _text(units: int, unit: Decimal, decimals: int) -> str:
        scaled = units * int(unit.scaleb(decimals))
        whole, part = divmod(scaled, 10**decimals)
        return f"{whole}.{part:0{decimals}d}" if decimals else str(whole)


@dataclass(frozen=True, slots=True)
class MarketProfile:
    """How the generated market of a symbol behaves."""

    price: float
    """First price, USDT."""
    volatility: float
    """Standard deviation of the noise of the log return over one second in a quiet market, as a fraction."""
    trades_per_second: float
    """Mean rate of trades of the perpetual in a quiet market."""
    trade_notional: float
    """Median notional of one trade, USDT."""
    depth_notional: float
    """Median notional resting at the best price, USDT."""


def _brackets(rows: tuple[tuple[int, str, str], ...]) -> tuple[Bracket, ...]:
    """Build brackets from (max leverage, cap in USDT, maintenance rate), with continuous maintenance margin."""
    built: list[Bracket] = []
    floor, rate_before, deduction = Decimal(0), Decimal(0), Decimal(0)
    for number, (leverage, cap, rate) in enumerate(rows, start=1):
        deduction += floor * (Decimal(rate) - rate_before)
        built.append(Bracket(number, leverage, floor, Decimal(cap), Decimal(rate), deduction))
        floor, rate_before = Decimal(cap), Decimal(rate)
    return tuple(built)


_DEEP = _brackets(
    (
        (125, "300000", "0.004"),
        (100, "800000", "0.005"),
        (75, "3000000", "0.0065"),
        (50, "12000000", "0.01"),
        (25, "70000000", "0.02"),
        (20, "100000000", "0.025"),
        (10, "230000000", "0.05"),
        (5, "480000000", "0.1"),
        (2, "800000000", "0.15"),
        (1, "1800000000", "0.5"),
    )
)
_SHALLOW = _brackets(
    (
        (75, "50000", "0.0065"),
        (50, "250000", "0.01"),
        (25, "1000000", "0.02"),
        (20, "5000000", "0.025"),
        (10, "20000000", "0.05"),
        (5, "40000000", "0.1"),
        (2, "80000000", "0.15"),
        (1, "150000000", "0.5"),
    )
)


def _usdm(
    symbol: str, tick: str, step: str, most: str, market_most: str, notional: str, decimals: tuple[int, int], *, deep: bool
) -> Instrument:
    return Instrument(
        symbol,
        Product.USDM,
        Decimal(tick),
        Decimal(step),
        Decimal(most),
        Decimal(market_most),
        Decimal(notional),
        *decimals,
        brackets=_DEEP if deep else _SHALLOW,
    )


def _spot(symbol: str, tick: str, step: str, most: str, market_most: str) -> Instrument:
    return Instrument(symbol, Product.SPOT, Decimal(tick), Decimal(step), Decimal(most), Decimal(market_most), Decimal(5), 8, 8)


def _coinm(underlying: str, tick: str, contract: str, decimals: int) -> Instrument:
    return Instrument(
        coin_margined(underlying),
        Product.COINM,
        Decimal(tick),
        Decimal(1),
        Decimal(1_000_000),
        Decimal(60_000),
        Decimal(0),
        decimals,
        0,
        quote_asset="USD",
        contract_size=Decimal(contract),
    )


def coin_margined(symbol: str) -> str:
    """Return the name of the COIN-margined perpetual beside a symbol: ``BTCUSD_PERP`` for ``BTCUSDT``."""
    return f"{symbol.removesuffix('USDT')}USD_PERP"


_INSTRUMENTS: dict[Product, dict[str, Instrument]] = {
    Product.USDM: {
        i.symbol: i
        for i in (
            _usdm("BTCUSDT", "0.10", "0.001", "1000", "120", "100", (2, 3), deep=True),
            _usdm("ETHUSDT", "0.01", "0.001", "10000", "2000", "20", (2, 3), deep=True),
            _usdm("SOLUSDT", "0.0100", "0.01", "1000000", "80000", "5", (4, 2), deep=False),
            _usdm("BNBUSDT", "0.010", "0.01", "100000", "2000", "5", (3, 2), deep=False),
            _usdm("XRPUSDT", "0.0001", "0.1", "10000000", "2000000", "5", (4, 1), deep=False),
            _usdm("DOGEUSDT", "0.000010", "1", "50000000", "30000000", "5", (6, 0), deep=False),
        )
    },
    Product.SPOT: {
        i.symbol: i
        for i in (
            _spot("BTCUSDT", "0.01", "0.00001", "9000", "150"),
            _spot("ETHUSDT", "0.01", "0.0001", "9000", "2500"),
            _spot("SOLUSDT", "0.01", "0.001", "90000", "40000"),
            _spot("BNBUSDT", "0.01", "0.001", "90000", "3000"),
            _spot("XRPUSDT", "0.0001", "0.1", "9222449", "2500000"),
            _spot("DOGEUSDT", "0.00001", "1", "9000000", "7000000"),
        )
    },
    Product.COINM: {
        i.symbol: i
        for i in (
            _coinm("BTCUSDT", "0.1", "100", 1),
            _coinm("ETHUSDT", "0.01", "10", 2),
            _coinm("SOLUSDT", "0.001", "10", 3),
            _coinm("BNBUSDT", "0.01", "10", 2),
            _coinm("XRPUSDT", "0.0001", "10", 4),
            _coinm("DOGEUSDT", "0.00001", "10", 5),
        )
    },
}

_PROFILES: dict[str, MarketProfile] = {
    "BTCUSDT": MarketProfile(61_800.0, 1.2e-4, 8.0, 900.0, 60_000.0),
    "ETHUSDT": MarketProfile(2_680.0, 1.3e-4, 7.0, 700.0, 40_000.0),
    "SOLUSDT": MarketProfile(162.0, 1.4e-4, 6.0, 400.0, 20_000.0),
    "BNBUSDT": MarketProfile(650.0, 1.0e-4, 5.0, 400.0, 20_000.0),
    "XRPUSDT": MarketProfile(2.20, 1.4e-4, 6.0, 400.0, 20_000.0),
    "DOGEUSDT": MarketProfile(0.190, 1.5e-4, 6.0, 300.0, 15_000.0),
}


def known_symbols() -> tuple[str, ...]:
    """Return the symbols that the venue has rules for."""
    return tuple(_INSTRUMENTS[Product.USDM])


def instrument(product: Product, symbol: str) -> Instrument:
    """Return the rules of `symbol`, or of the perpetual beside it that `product` lists: ``BTCUSD_PERP`` for ``BTCUSDT``.

    Raises
    ------
    ConfigurationError
        The venue does not list it.
    """
    found = _INSTRUMENTS[product].get(coin_margined(symbol) if product is Product.COINM else symbol)
    if found is None:
        raise ConfigurationError(f"the simulated venue does not list {symbol}", f"choose among {', '.join(known_symbols())}")
    return found


def profile(symbol: str) -> MarketProfile:
    """Return how the generated market of a listed `symbol` behaves."""
    return _PROFILES[symbol]
