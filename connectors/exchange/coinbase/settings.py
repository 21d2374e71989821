"""Where Coinbase Exchange answers. Only its public market data are read, so the live venue is safe to name."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class CoinbaseSettings(BaseSettings):
    """Endpoints. Every field is an environment variable ``QUANTUM_COINBASE_<FIELD>``."""

    model_config = SettingsConfigDict(env_prefix="QUANTUM_COINBASE_", frozen=True, extra="forbid")

    rest_url: str = Field(default="https://api.exchange.coinbase.com", description="Base URL of REST.")
    stream_url: str = Field(default="wss://ws-feed.exchange.coinbase.com", description="URL of the public websocket.")
    timeout_s: float = Field(default=10.0, gt=0, description="Longest that a REST call may take, seconds.")
