"""Event time of a process: the wall clock's, or that of a simulated venue whose markets run faster.

Whatever stamps a record with the present time does it by this clock, so that the records of all processes agree with the venue's own.
Deadlines, retries and signatures go by the wall clock at any speed.
"""

from __future__ import annotations

import time
from functools import cache

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ClockSettings(BaseSettings):
    """How event time passes. Every field is an environment variable ``QUANTUM_CLOCK_<FIELD>``."""

    model_config = SettingsConfigDict(env_prefix="QUANTUM_CLOCK_", frozen=True, extra="forbid")

    speed: float = Field(default=1.0, gt=0, description="Seconds of event time a second; another one than 1 for a simulated venue alone.")
    origin_us: int = Field(default=0, ge=0, description="When event time began to pass at that speed, microseconds since the epoch.")


@cache
def settings() -> ClockSettings:
    """Return the settings of this process."""
    return ClockSettings()


def event_time(wall_us: int) -> int:
    """Return the event time at a time of the wall clock, both microseconds since the epoch, UTC."""
    how = settings()
    return wall_us if how.speed == 1.0 else how.origin_us + round((wall_us - how.origin_us) * how.speed)


def span_us(seconds: float) -> int:
    """Return the event time that passes in some seconds of the wall clock, microseconds."""
    return round(seconds * 1e6 * settings().speed)


def now_us() -> int:
    """Return the event time, microseconds since the epoch, UTC."""
    return event_time(time.time_ns() // 1_000)
