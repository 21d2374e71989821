"""A sink in a process of its own, to be killed: ``python -m tests.integration.sink_process KAFKA REGISTRY STORE TOPIC TABLE GROUP``."""

from __future__ import annotations

import logging
import signal
import sys
import threading

from connectors.clickhouse.client import open_client
from connectors.clickhouse.dead_letters import KafkaDeadLetters
from connectors.clickhouse.sink import Sink
from connectors.clickhouse.tables import TableSpec
from connectors.registry.client import Registry
from schemas.market.records import MarketTick

SESSION_S = 6.0


def main() -> None:
    kafka, registry, store, topic, table, group = sys.argv[1:]
    logging.basicConfig(level="INFO", format="%(asctime)s %(process)d %(message)s")
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    spec = TableSpec(topic, table, MarketTick)
    Sink(kafka, group, [spec], lambda: open_client(store), Registry(registry), KafkaDeadLetters(kafka), session_s=SESSION_S).run(stop)


if __name__ == "__main__":
    main()
