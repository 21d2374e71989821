"""Where Binance, its testnet or the simulated venue answers, and with which key.

No order of this platform may reach a real account: only the simulated venue and Binance's testnets are accepted.
"""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from connectors.exchange.venues import COINM, SPOT, USDM, Venue
from quantum.errors import ConfigurationError

TESTNET = {
    SPOT.name: ("https://testnet.binance.vision", "wss://stream.testnet.binance.vision"),
    USDM.name: ("https://testnet.binancefuture.com", "wss://fstream.binancefuture.com"),
    COINM.name: ("https://testnet.binancefuture.com", "wss://dstream.binancefuture.com"),
}
TESTNET_HOSTS = {urlsplit(url).hostname for urls in TESTNET.values() for url in urls} | {"demo-fapi.binance.com", "demo-dapi.binance.com"}
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class VenueSettings(BaseSettings):
    """Endpoints and credentials. Every field is an environment variable ``QUANTUM_VENUE_<FIELD>``."""

    model_config = SettingsConfigDict(env_prefix="QUANTUM_VENUE_", frozen=True, extra="forbid")

    environment: Literal["simulated", "testnet"] = Field(default="simulated", description="What is traded on; never real money.")
    usdm_url: str = Field(default="http://127.0.0.1:8200", description="Base URL of the simulated USD-margined market, REST and websocket.")
    spot_url: str = Field(default="http://127.0.0.1:8201", description="Base URL of the simulated spot market.")
    coinm_url: str = Field(default="http://127.0.0.1:8202", description="Base URL of the simulated COIN-margined market.")
    simulated_hosts: tuple[str, ...] = Field(default=(), description="Hosts, besides loopback, that a simulated venue may run on.")
    api_key: SecretStr = Field(default=SecretStr("paper"), description="API key; the default is the simulated venue's.")
    api_secret: SecretStr = Field(default=SecretStr("paper-secret"), description="API secret; the default is the simulated venue's.")
    timeout_s: float = Field(default=10.0, gt=0, description="Longest that a REST call may take, seconds.")
    recv_window_ms: int = Field(default=5_000, ge=100, le=60_000, description="How long a signed request is valid, milliseconds.")

    def rest_url(self, venue: Venue) -> str:
        """Return the REST base URL of a venue; raises ConfigurationError where it might be real money."""
        _require_binance(venue)
        return self._allowed(TESTNET[venue.name][0] if self.environment == "testnet" else self._simulated(venue))

    def stream_url(self, venue: Venue) -> str:
        """Return the websocket base URL of a venue; raises ConfigurationError where it might be real money."""
        _require_binance(venue)
        url = TESTNET[venue.name][1] if self.environment == "testnet" else "ws" + self._simulated(venue).removeprefix("http")
        return self._allowed(url)

    def _simulated(self, venue: Venue) -> str:
        urls = {SPOT.name: self.spot_url, USDM.name: self.usdm_url, COINM.name: self.coinm_url}
        return urls[venue.name]

    def _allowed(self, url: str) -> str:
        host = urlsplit(url).hostname
        simulated = LOOPBACK | {host for host in self.simulated_hosts if not host.rpartition("binance.")[1]}
        if host not in (TESTNET_HOSTS if self.environment == "testnet" else simulated):
            raise ConfigurationError(
                f"{url} is neither a simulated venue nor a testnet, and real money is never traded",
                "use QUANTUM_VENUE_ENVIRONMENT=testnet, or a simulated venue on loopback or on a host of QUANTUM_VENUE_SIMULATED_HOSTS",
            )
        return url.rstrip("/")


def _require_binance(venue: Venue) -> None:
    if venue.name not in TESTNET:
        raise ConfigurationError(f"{venue.name} is followed for its market data only", f"use one of {', '.join(TESTNET)}")
