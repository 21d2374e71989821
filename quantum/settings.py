"""Settings of the platform: read once at the edge of a process, from the environment, and passed down.

The environment wins over what ``quantum up`` wrote, which wins over the defaults.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from quantum.home import Home

#: The fields of :class:`Settings` that what a stage decides can depend on; the others say where things are.
DECISIVE = ("partitions", "account", "venue", "feature_interval", "feature_intervals", "models", "quorum")

Interval = Literal["1s", "1m", "5m", "15m", "1h"]


class Settings(BaseSettings):
    """What every process of the platform needs to know. Every field is an environment variable ``QUANTUM_<FIELD>``."""

    model_config = SettingsConfigDict(env_prefix="QUANTUM_", frozen=True, extra="forbid")

    home: Path = Field(default=Path(".quantum"), description="Folder of data, logs, models and pid files.")
    kafka: str = Field(default="127.0.0.1:9092", description="Bootstrap servers of Kafka.")
    registry: str = Field(default="http://127.0.0.1:8081/apis/ccompat/v7", description="Base URL of the schema registry.")
    clickhouse: str = Field(default="http://127.0.0.1:8123", description="URL of ClickHouse's HTTP interface.")
    clickhouse_user: str = Field(default="default", description="ClickHouse user.")
    clickhouse_password: SecretStr = Field(default=SecretStr(""), description="ClickHouse password.")
    partitions: int = Field(default=4, ge=1, le=256, description="Partitions of every topic.")
    replication: int = Field(default=1, ge=1, description="Replicas of every topic.")
    account: str = Field(default="paper", description="Account that is traded.")
    venue: str = Field(default="binance-usdm", description="Venue that is traded; features are computed from its bars.")
    feature_interval: Interval = Field(default="1m", description="Bar that signals, sizes, exits and regimes are decided on.")
    feature_intervals: tuple[Interval, ...] = Field(
        default=("1s", "1m", "5m", "15m", "1h"), description="Bars at whose close a feature vector is written, besides that one."
    )
    models: tuple[str, ...] = Field(default=("xgb",), description="Models of the ensemble.")
    quorum: int = Field(default=1, ge=1, description="Models that must answer for a signal.")
    metrics_host: str = Field(default="127.0.0.1", description="Address that processes answer GET /metrics on.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="Least level that is logged.")

    @model_validator(mode="after")
    def _quorum_can_be_met(self) -> Self:
        if self.quorum > len(self.models):
            raise ValueError(f"QUANTUM_QUORUM is {self.quorum} but QUANTUM_MODELS names {len(self.models)} models; lower it or add models")
        return self

    @property
    def folders(self) -> Home:
        """The paths below ``home``."""
        return Home(self.home)


def load() -> Settings:
    """Return the settings of this process."""
    home = Home()
    endpoints = home.endpoints()
    running = {} if endpoints is None else {"kafka": endpoints.kafka, "registry": endpoints.registry, "clickhouse": endpoints.clickhouse}
    explicit = Settings()
    return Settings(**{**running, **{name: getattr(explicit, name) for name in explicit.model_fields_set}, "home": home.root})
