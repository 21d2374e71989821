"""Settings of the stage ``signals``."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class SignalSettings(BaseSettings):
    """How models' answers become a signal. Every field is an environment variable ``QUANTUM_SIGNALS_<FIELD>``."""

    model_config = SettingsConfigDict(env_prefix="QUANTUM_SIGNALS_", frozen=True)

    margin: float = Field(
        default=0.05, ge=0.0, le=1.0, description="Least difference of the probabilities of rise and fall for a direction."
    )
    sharpness: float = Field(default=8.0, ge=0.0, description="How fast a member's weight falls with its log loss, per nat.")
    memory: int = Field(default=200, ge=1, description="Resolved predictions that a member's recent log loss remembers.")
    max_model_age_h: float = Field(default=720.0, gt=0.0, description="Age of a model's training window from which it is stale, hours.")
