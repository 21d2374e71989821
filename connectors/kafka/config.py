"""What every Kafka client of the platform is configured with."""

from __future__ import annotations

import logging
from typing import Any

LOGGER = logging.getLogger("quantum.kafka")


def client_config(bootstrap: str, **settings: Any) -> dict[str, Any]:
    """Return a librdkafka configuration.

    Retries come soon (librdkafka's own back-off costs 100 ms a transaction), reconnects come back slowly enough not to flood
    the log while a broker is away, and what the library has to say goes to Python's logging.

    Parameters
    ----------
    bootstrap
        Bootstrap servers, host:port.
    settings
        Further settings, with ``_`` for ``.`` in their names.
    """
    return {
        "bootstrap.servers": bootstrap,
        "retry.backoff.ms": 5,
        "retry.backoff.max.ms": 200,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1000,
        "logger": LOGGER,
        **{name.replace("_", "."): value for name, value in settings.items()},
    }
