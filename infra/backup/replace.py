"""What a local home holds, moved aside, so that another platform has room in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from infra.backup.restore import MARK
from infra.local.stack import Stack
from quantum.errors import ConfigurationError
from quantum.home import Endpoints
from quantum.settings import Settings

MOVED = ("data", "state", "models", "schemas", MARK)


def move_aside(settings: Settings, tell: Callable[[str], None]) -> tuple[Path, Endpoints]:
    """End the servers of a home, move its data to a folder within it, and start the servers on nothing.

    Parameters
    ----------
    settings
        The home; Kafka, registry and store must be its own.
    tell
        Told what happens, a line each.

    Returns
    -------
    tuple[Path, Endpoints]
        The folder, and where the servers answer.

    Raises
    ------
    ConfigurationError
        The settings name servers that are not this home's.
    """
    home = settings.folders
    own = home.endpoints()
    if own is None or (own.kafka, own.registry, own.clickhouse) != (settings.kafka, settings.registry, settings.clickhouse):
        raise ConfigurationError(
            f"{home.root} has not started the servers that QUANTUM_KAFKA, QUANTUM_REGISTRY and QUANTUM_CLICKHOUSE name",
            "servers that others started are made empty by those who run them; --replace is for the local stack",
        )
    ports = {
        "kafka": int(own.kafka.rpartition(":")[2]),
        "registry": urlsplit(own.registry).port or 0,
        "store": urlsplit(own.clickhouse).port or 0,
    }
    stack = Stack(home, ports=ports)  # where clients know them; what remembers the ports is moved with the data
    stack.down(tell)
    aside = home.root / f"replaced-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    aside.mkdir()
    for name in MOVED:
        if (home.root / name).exists():
            shutil.move(home.root / name, aside / name)
    tell(f"what was there is in {aside}")
    return aside, stack.up(tell)
