"""Settings of the stage ``learning`` and of the trainer."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class LearningSettings(BaseSettings):
    """When and how models are trained. Every field is an environment variable ``QUANTUM_LEARNING_<FIELD>``."""

    model_config = SettingsConfigDict(env_prefix="QUANTUM_LEARNING_", frozen=True)

    retrain_samples: int = Field(default=50, ge=1, description="New labelled samples that a scheduled training needs.")
    retrain_interval_s: int = Field(default=168 * 3600, ge=1, description="Least time between scheduled trainings, seconds.")
    drift_interval_s: int = Field(default=6 * 3600, ge=1, description="Least time between trainings because of drift, seconds.")
    retry_s: int = Field(default=3600, ge=1, description="Time after which a failed or unanswered request is made again, seconds.")
    window_s: int = Field(default=14 * 86_400, ge=60, description="Length of the history that is trained on, seconds.")
    max_bars: int = Field(
        default=50_000, ge=1000, description="Most bars of a symbol that are trained on; a longer window loses its start."
    )
    promotion_margin: float = Field(default=0.0, ge=0.0, description="Log loss by which a challenger must be better, nats.")
    horizon_bars: int = Field(default=30, ge=1, description="Horizon of a first model, bars; later ones keep the champion's.")
    flat_share: float = Field(
        default=0.4, gt=0.0, lt=1.0, description="Share of a first model's training rows that its threshold makes flat."
    )
    threads: int = Field(default=1, ge=1, description="Threads that train; more than one only where cores are idle.")
