"""The weight budget, the waiting times, and which URLs are allowed."""

from __future__ import annotations

from random import Random

import pytest

from connectors.exchange.binance.backoff import Backoff
from connectors.exchange.binance.limits import WeightBudget
from connectors.exchange.binance.settings import VenueSettings
from connectors.exchange.venues import COINM, SPOT, USDM
from quantum.errors import ConfigurationError


def test_what_is_left_of_the_minute_belongs_to_orders() -> None:
    budget = WeightBudget(1_000)
    budget.observe(850, now=100.0, second_of_minute=45.0)
    assert budget.wait_s(100.0) == pytest.approx(15.0)
    assert budget.wait_s(100.0, urgent=True) == 0.0
    budget.observe(1_000, now=101.0, second_of_minute=46.0)
    assert budget.wait_s(101.0, urgent=True) == pytest.approx(14.0)
    assert budget.wait_s(115.5, urgent=True) == 0.0


def test_a_ban_stops_everything_until_it_ends() -> None:
    budget = WeightBudget(1_000)
    budget.block(30.0, now=10.0)
    budget.block(1.0, now=11.0)
    assert budget.wait_s(11.0, urgent=True) == pytest.approx(29.0)
    assert budget.wait_s(40.0) == 0.0


def test_backoff_grows_within_its_bound_and_begins_anew() -> None:
    backoff = Backoff(Random(1), first_s=1.0, most_s=8.0)
    waits = [backoff.next_s() for _ in range(50)]
    assert all(0.1 * min(8.0, 2.0**n) <= wait <= min(8.0, 2.0**n) for n, wait in enumerate(waits))
    backoff.succeeded()
    assert backoff.next_s() <= 1.0


@pytest.mark.parametrize("url", ["https://fapi.binance.com", "https://api.binance.com", "http://10.0.0.5:8200", "https://api.binance.us"])
@pytest.mark.parametrize("hosts", [(), ("api.binance.com", "fapi.binance.com", "api.binance.us")])
def test_nothing_but_a_simulated_venue_or_a_testnet_is_allowed(url: str, hosts: tuple[str, ...]) -> None:
    for settings in (
        VenueSettings(usdm_url=url, spot_url=url, simulated_hosts=hosts),
        VenueSettings(usdm_url=url, coinm_url=url, spot_url=url),
    ):
        for venue in (USDM, SPOT):
            with pytest.raises(ConfigurationError, match="real money"):
                settings.rest_url(venue)
            with pytest.raises(ConfigurationError, match="real money"):
                settings.stream_url(venue)


def test_simulated_and_testnet_urls() -> None:
    simulated = VenueSettings(usdm_url="http://venue:8200/", simulated_hosts=("venue",))
    assert simulated.rest_url(USDM) == "http://venue:8200"
    assert simulated.stream_url(USDM) == "ws://venue:8200"
    testnet = VenueSettings(environment="testnet")
    assert [testnet.rest_url(venue) for venue in (SPOT, USDM, COINM)] == [
        "https://testnet.binance.vision",
        "https://testnet.binancefuture.com",
        "https://testnet.binancefuture.com",
    ]
    assert testnet.stream_url(SPOT) == "wss://stream.testnet.binance.vision"


def test_the_secret_is_not_printed() -> None:
    settings = VenueSettings(api_secret="very-secret")  # type: ignore[arg-type]  # pydantic makes it a SecretStr
    assert "very-secret" not in repr(settings)
