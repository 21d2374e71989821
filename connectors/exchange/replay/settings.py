"""What is replayed, and how fast."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from connectors.exchange.replay.span import LATEST_NS, Span, moment_ns
from connectors.exchange.settings import HealthSettings
from quantum.errors import ConfigurationError

MAX = "max"


class ReplaySettings(BaseSettings):
    """What is replayed. Every field is an environment variable ``QUANTUM_REPLAY_<FIELD>``."""

    model_config = SettingsConfigDict(env_prefix="QUANTUM_REPLAY_", frozen=True, extra="forbid")

    folder: Path = Field(
        description="Folder of recorded files, searched in depth; a folder called spot, usdm, cm and so on says the venue."
    )
    speed: str = Field(default="max", description="Times real time, for example 1 or 10; max is as fast as the sink takes it.")
    heartbeat_lag_s: float = Field(default=0.5, ge=0, description="How long after a second its last events may still come, seconds.")
    max_gap_s: int = Field(default=300, ge=1, description="A longer silence is a hole in the recording: its seconds are left out.")
    health: HealthSettings = Field(default_factory=HealthSettings, description="When what is replayed can be relied on.")
    begin: str = Field(default="", description="First time of receipt that is played: ISO 8601, UTC, or a length from the beginning on.")
    end: str = Field(default="", description="Time of receipt from which on nothing is played; as the beginning.")
    look_back_s: float = Field(default=900.0, ge=0, description="How old a book's snapshot may be to begin from when playing from a time.")
    sample: int = Field(default=5_000, ge=100, description="Lines at the beginning of each file that clock offset and rules are read off.")

    @field_validator("speed")
    @classmethod
    def _is_a_speed(cls, value: str) -> str:
        try:
            if value != MAX and not float(value) > 0:
                raise ValueError
        except ValueError:
            raise ConfigurationError(f"{value!r} is no speed of a replay", "use 1, 10, another positive number, or max") from None
        return value

    @field_validator("begin", "end")
    @classmethod
    def _is_a_time(cls, value: str) -> str:
        if value:
            moment_ns(value, 0)
        return value

    def span(self, first_ns: int) -> Span:
        """Return what is played of a recording that begins at a time, nanoseconds.

        Raises
        ------
        ConfigurationError
            It ends before it begins.
        """
        from_ns = moment_ns(self.begin, first_ns) if self.begin else 0
        to_ns = moment_ns(self.end, first_ns) if self.end else LATEST_NS
        if to_ns <= max(from_ns, first_ns):
            raise ConfigurationError(f"nothing is between {self.begin or 'the beginning'} and {self.end}", "let it end after it begins")
        return Span(from_ns if from_ns > first_ns else 0, to_ns, round(self.look_back_s * 1e9))

    @property
    def factor(self) -> float | None:
        """Times real time; None for as fast as possible."""
        return None if self.speed == MAX else float(self.speed)
