"""What the order gateway trades, and how often it looks."""

from __future__ import annotations

from decimal import Decimal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from connectors.exchange.venues import USDM


class OrdersSettings(BaseSettings):
    """The order gateway. Every field is an environment variable ``QUANTUM_ORDERS_<FIELD>``."""

    model_config = SettingsConfigDict(env_prefix="QUANTUM_ORDERS_", frozen=True, extra="forbid")

    venue: str = Field(default=USDM.name, description="Venue that orders go to; commands for another one are rejected.")
    account: str = Field(default="paper", description="Account that the credentials belong to; commands for another one are rejected.")
    asset: str = Field(default="USDT", description="Asset whose balance is reported.")
    group: str = Field(default="orders", description="Consumer group.")
    instance: str = Field(default="orders-1", description="Name of this process in the group: its successor takes over at once.")
    poll_s: float = Field(default=2.0, gt=0, description="How often an open order is asked about, seconds.")
    first_poll_s: float = Field(default=0.3, gt=0, description="How soon a new order is asked about, seconds.")
    balance_s: float = Field(default=5.0, gt=0, description="How often the balance is read, seconds.")
    history_s: float = Field(default=7 * 86_400.0, gt=0, description="How far back results and transfers are read at the start, seconds.")
    reconcile_s: float = Field(default=60.0, gt=0, description="How often the platform is compared with the venue, seconds.")
    confirm_s: float = Field(default=5.0, gt=0, description="How long after a difference is looked at again, seconds.")
    tolerance: Decimal = Field(default=Decimal("0.01"), ge=0, description="Difference of balances that is not worth a note, in the asset.")
    in_hand: int = Field(default=500, ge=1, description="Most commands that are worked on at a time.")
    stall_s: float = Field(
        default=3.0, gt=0, description="After a pause this long nothing is sent before the group has confirmed the owner."
    )
    max_age_s: float = Field(
        default=60.0, gt=0, description="Age on the log at which an entry is no longer sent, seconds; exits always are."
    )
    lost_after: int = Field(default=10, ge=1, description="Times in a row that the venue does not know an open order before it is over.")
    listen_key_s: float = Field(
        default=1_800.0, gt=0, description="How often the user stream's key is renewed; the venue ends it at 60 min."
    )
    silence_s: float = Field(default=120.0, gt=0, description="Silence after which the user stream is connected again, seconds.")
