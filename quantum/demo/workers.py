"""The processes of the demo, and what each of them is told."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from infra.local.supervisor import WorkerSpec
from processors.topology import STAGES
from quantum.settings import Settings

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
HISTORY_MINUTES = 76
TRAINING_MINUTES = 74  # three symbols of this stay within the venue's request weight of a minute
HORIZON_BARS = 20
FLAT_SHARE = 0.34
RETRAIN_SAMPLES = 5
RETRAIN_INTERVAL_S = 30


def free_port() -> int:
    """Return a port of loopback that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(settings: Settings, usdm_url: str, spot_url: str, key: str, secret: str) -> dict[str, str]:
    """Return what every process of the demo has in its environment besides this one's.

    Parameters
    ----------
    settings
        Settings of the platform.
    usdm_url, spot_url
        Where the venue answers.
    key, secret
        Credentials of the paper account at the venue.
    """
    symbols = "[" + ",".join(f'"{symbol}"' for symbol in SYMBOLS) + "]"
    return {
        "QUANTUM_HOME": str(settings.home),
        "QUANTUM_KAFKA": settings.kafka,
        "QUANTUM_REGISTRY": settings.registry,
        "QUANTUM_CLICKHOUSE": settings.clickhouse,
        "QUANTUM_PARTITIONS": str(settings.partitions),
        "QUANTUM_ACCOUNT": settings.account,
        "QUANTUM_FEATURE_INTERVAL": settings.feature_interval,
        "QUANTUM_FEED_SYMBOLS": symbols,
        "QUANTUM_ORDERS_ACCOUNT": settings.account,
        "QUANTUM_VENUE_ENVIRONMENT": "simulated",
        "QUANTUM_VENUE_USDM_URL": usdm_url,
        "QUANTUM_VENUE_SPOT_URL": spot_url,
        "QUANTUM_VENUE_API_KEY": key,
        "QUANTUM_VENUE_API_SECRET": secret,
        "QUANTUM_LEARNING_HORIZON_BARS": str(HORIZON_BARS),
        "QUANTUM_LEARNING_FLAT_SHARE": str(FLAT_SHARE),
        "QUANTUM_LEARNING_RETRAIN_SAMPLES": str(RETRAIN_SAMPLES),
        "QUANTUM_LEARNING_RETRAIN_INTERVAL_S": str(RETRAIN_INTERVAL_S),
    }


def simulated_venue(seed: int, usdm_port: int, spot_port: int, ready_file: Path, env: dict[str, str], *more: str) -> WorkerSpec:
    """Return the simulated venue's process, with more options; a later one wins."""
    argv = [
        sys.executable, "-m", "quantum", "venue", "--seed", str(seed), "--symbols", ",".join(SYMBOLS), "--products", "usdm,spot",
        "--usdm-port", str(usdm_port), "--spot-port", str(spot_port), "--history-minutes", str(HISTORY_MINUTES),
        "--api-key", env["QUANTUM_VENUE_API_KEY"], "--api-secret", env["QUANTUM_VENUE_API_SECRET"], "--ready-file", str(ready_file), *more,
    ]  # fmt: skip
    return WorkerSpec(name="venue-0", component="venue", argv=argv, env=env)


def component(name: str, env: dict[str, str]) -> WorkerSpec:
    """Return the process of a component."""
    return WorkerSpec(name=f"{name}-0", component=name, argv=[sys.executable, "-m", "quantum", "component", name], env=env)


def stages(env: dict[str, str]) -> list[WorkerSpec]:
    """Return one worker of every stage."""
    return [
        WorkerSpec(name=f"{stage}-0", component=stage, argv=[sys.executable, "-m", "quantum", "worker", stage], env=env) for stage in STAGES
    ]
