"""Where Bybit answers. Only its public market data are read, so the live venue is safe to name."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class BybitSettings(BaseSettings):
    """Endpoints. Every field is an environment variable ``QUANTUM_BYBIT_<FIELD>``."""

    model_config = SettingsConfigDict(env_prefix="QUANTUM_BYBIT_", frozen=True, extra="forbid")

    rest_url: str = Field(default="https://api.bybit.com", description="Base URL of REST.")
    stream_url: str = Field(default="wss://stream.bybit.com", description="Base URL of the public websockets.")
    timeout_s: float = Field(default=10.0, gt=0, description="Longest that a REST call may take, seconds.")
