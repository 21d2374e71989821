"""Run the local history store: ``python -m connectors.clickhouse.server --path DIR --host 127.0.0.1 --port 8123``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

from aiohttp import web
from pydantic import SecretStr

from connectors.clickhouse.server.engine import Budget, Engine
from connectors.clickhouse.server.http import HttpFace
from connectors.clickhouse.server.users import Analysts, Users
from quantum.errors import DependencyError, StopError

log = logging.getLogger("connectors.clickhouse.server")
_GRACE_S = 10.0


async def serve(engine: Engine, host: str, port: int, users: Users) -> None:
    """Answer requests until SIGTERM or SIGINT; running statements get ten seconds to end."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    face = HttpFace(engine, users)
    runner = web.AppRunner(
        face.application(),
        handler_cancellation=True,
        auto_decompress=False,
        access_log=None,
        shutdown_timeout=_GRACE_S,
        keepalive_timeout=75.0,
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise DependencyError(
                f"port {port} of {host} cannot be had: {error}", "choose another with --port, or stop what listens there"
            ) from error
        log.info("history store of %s answers on http://%s:%d (ClickHouse %s)", engine.path, host, port, engine.version)
        await stop.wait()
    finally:
        await runner.cleanup()


def main() -> int:
    """Parse the command line and serve; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m connectors.clickhouse.server", description="ClickHouse's HTTP interface over chDB.")
    parser.add_argument("--path", type=Path, required=True, help="folder of the data")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8123, help="port to listen on")
    parser.add_argument("--memory-mb", type=int, default=Budget().memory_bytes // 1_000_000, help="memory for queries and merges together")
    parser.add_argument(
        "--seconds", type=int, default=Budget().query_seconds, help="longest time of a query, where its client sets no other"
    )
    parser.add_argument("--analyst-seconds", type=int, default=Budget().analyst_seconds, help="longest time of an analyst's query")
    parser.add_argument("--users", type=Path, help="file of the analysts; see quantum history users")
    arguments = parser.parse_args()
    logging.basicConfig(level=os.environ.get("QUANTUM_LOG_LEVEL", "INFO"), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    memory = arguments.memory_mb * 1_000_000
    budget = Budget(
        memory_bytes=memory,
        query_memory_bytes=memory * 2 // 3,
        query_seconds=arguments.seconds,
        analyst_memory_bytes=memory // 3,
        analyst_seconds=arguments.analyst_seconds,
    )
    engine = Engine(arguments.path.absolute(), budget)
    password = SecretStr(os.environ.get("QUANTUM_CLICKHOUSE_PASSWORD", ""))
    analysts = Analysts(arguments.users) if arguments.users else None
    users = Users(os.environ.get("QUANTUM_CLICKHOUSE_USER", "default"), password, analysts)
    try:
        users.check()
        engine.open()
        try:
            asyncio.run(serve(engine, arguments.host, arguments.port, users))
        finally:
            engine.close()
    except StopError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
