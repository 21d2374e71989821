"""What is replayed, and how fast."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from quantum.errors import ConfigurationError

MAX = "max"


class ReplaySettings(BaseSettings):
    """What is replayed. Every field is an environment variable ``QUANTUM_REPLAY_<FIELD>``."""

    model_config = SettingsConfigDict(env_prefix="QUANTUM_REPLAY_", frozen=True, extra="forbid")

    folder: Path = Field(description="Folder of recorded files, searched in depth; a folder called spot, usdm or cm says the venue.")
    speed: str = Field(default="max", description="Times real time, for example 1 or 10; max is as fast as the sink takes it.")
    heartbeat_lag_s: float = Field(default=0.5, ge=0, description="How long after a second its last events may still come, seconds.")
    max_gap_s: int = Field(default=300, ge=1, description="A longer silence is a hole in the recording: its seconds are left out.")
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

    @property
    def factor(self) -> float | None:
        """Times real time; None for as fast as possible."""
        return None if self.speed == MAX else float(self.speed)
