"""What is recorded where, and how it is cut into files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class RecorderSettings(BaseSettings):
    """How the recorder writes. Every field is an environment variable ``QUANTUM_RECORDER_<FIELD>``."""

    model_config = SettingsConfigDict(env_prefix="QUANTUM_RECORDER_", frozen=True, extra="forbid")

    folder: Path = Field(description="Folder of the recording.")
    rotate: Literal["hour", "day"] = Field(default="hour", description="A file of a symbol holds this much, UTC, by time of receipt.")
    max_mb: float = Field(default=512.0, gt=0, description="A file that has become larger is followed by another one, megabytes.")
    commit_s: float = Field(default=10.0, gt=0, description="How long frames may wait to be written together, seconds.")
    pending_mb: float = Field(default=32.0, gt=0, description="Frames that wait are written at the latest at this size, megabytes.")
