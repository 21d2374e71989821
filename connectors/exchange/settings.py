"""What the feed follows."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from connectors.exchange.venues import SPOT, USDM

MOST_SILENT_S = 15.0
"""Entries stop when a venue's feed has said nothing of itself for this long, seconds of event time."""


class HealthSettings(BaseSettings):
    """When a feed can be relied on. Every field is an environment variable ``QUANTUM_HEALTH_<FIELD>``."""

    model_config = SettingsConfigDict(env_prefix="QUANTUM_HEALTH_", frozen=True, extra="forbid")

    every_s: float = Field(
        default=5.0, gt=0, le=MOST_SILENT_S / 3, description="How often the feed says how it is where nothing changes, seconds."
    )
    stale_s: float = Field(
        default=10.0, gt=0, description="Silence of a symbol's channel, or loss of its book, that never counts, seconds."
    )
    lifeless_s: float = Field(
        default=5.0, gt=0, description="Time without a frame or a pong after which a connection counts as dead, seconds."
    )
    settle_s: float = Field(default=5.0, ge=0, description="How long a symbol must be well again before it counts as healthy, seconds.")
    late_s: float = Field(default=2.0, gt=0, description="95th percentile of the frames' delay above which they are too late, seconds.")


class FeedSettings(BaseSettings):
    """What the live feed follows. Every field is an environment variable ``QUANTUM_FEED_<FIELD>``; lists are JSON."""

    model_config = SettingsConfigDict(env_prefix="QUANTUM_FEED_", frozen=True, extra="forbid")

    venues: tuple[str, ...] = Field(default=(USDM.name, SPOT.name), min_length=1, description="Venues that are followed.")
    symbols: tuple[str, ...] = Field(default=("BTCUSDT", "ETHUSDT"), min_length=1, description="Symbols that are followed at every venue.")
    depth: bool = Field(default=True, description="Whether order books are followed, besides trades and best prices.")
    backfill: int = Field(default=1_000, ge=0, le=100_000, description="Trades of a symbol that are fetched by REST at the start.")
    gap_fill: int = Field(default=20_000, ge=0, description="Most trades of a symbol that are fetched to fill a gap.")
    silence_s: float = Field(
        default=15.0,
        gt=0,
        description="Time without a sign of life, or without frames where that is unusual, after which a connection is given up, s.",
    )
    quiet_s: float = Field(default=5.0, gt=0, description="Silence after which no heartbeat vouches for a connection, seconds.")
    renew_s: float = Field(default=23 * 3_600.0, gt=0, description="Age at which a connection is renewed; the venue ends it at 24 h.")
    heartbeat_lag_s: float = Field(default=0.25, ge=0, lt=1, description="How long after a second its last events may still come, seconds.")
    open_interest_s: float = Field(
        default=15.0,
        ge=1,
        description="How often the open interest of a symbol is asked for by REST where the stream does not say it, seconds.",
    )
    ping_s: float = Field(default=2.0, gt=0, description="How often the websocket is pinged, seconds.")
    clock_every_s: float = Field(default=15.0, gt=0, description="How often the venue is asked for its time, seconds.")
    health: HealthSettings = Field(default_factory=HealthSettings, description="When the feed can be relied on.")
    symbols_per_connection: int = Field(default=60, ge=1, le=300, description="Symbols that share one connection.")
