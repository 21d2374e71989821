"""What the feed follows."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from connectors.exchange.venues import SPOT, USDM


class FeedSettings(BaseSettings):
    """What the live feed follows. Every field is an environment variable ``QUANTUM_FEED_<FIELD>``; lists are JSON."""

    model_config = SettingsConfigDict(env_prefix="QUANTUM_FEED_", frozen=True, extra="forbid")

    venues: tuple[str, ...] = Field(default=(USDM.name, SPOT.name), min_length=1, description="Venues that are followed.")
    symbols: tuple[str, ...] = Field(default=("BTCUSDT", "ETHUSDT"), min_length=1, description="Symbols that are followed at every venue.")
    depth: bool = Field(default=True, description="Whether order books are followed, besides trades and best prices.")
    backfill: int = Field(default=1_000, ge=0, le=100_000, description="Trades of a symbol that are fetched by REST at the start.")
    gap_fill: int = Field(default=20_000, ge=0, description="Most trades of a symbol that are fetched to fill a gap.")
    silence_s: float = Field(default=15.0, gt=0, description="Silence after which a connection is thrown away, seconds.")
    quiet_s: float = Field(default=5.0, gt=0, description="Silence after which no heartbeat vouches for a connection, seconds.")
    renew_s: float = Field(default=23 * 3_600.0, gt=0, description="Age at which a connection is renewed; the venue ends it at 24 h.")
    heartbeat_lag_s: float = Field(default=0.25, ge=0, lt=1, description="How long after a second its last events may still come, seconds.")
    symbols_per_connection: int = Field(default=60, ge=1, le=300, description="Symbols that share one connection.")
