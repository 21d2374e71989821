"""A broker of its own that clients can reach directly and through a proxy."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from typing import ClassVar

from connectors.kafka.topics import prepare_coordinators
from infra.local import manifest, process
from infra.local.ports import HOST
from infra.local.servers import Kafka
from quantum.home import Home
from tests.consistency.proxy import Proxy

_START_S = 60.0


class ProxiedKafka(Kafka):
    """Kafka with a second listener, which names the proxy's port as its own.

    Parameters
    ----------
    proxy
        Port of the proxy.
    """

    usual_ports: ClassVar[Mapping[str, int]] = {**Kafka.usual_ports, "proxied": 9094}

    def __init__(self, proxy: int) -> None:
        self._proxy = proxy

    def properties(self, data: Path, ports: Mapping[str, int]) -> dict[str, object]:
        """Return the settings of the local broker and the listener."""
        usual = super().properties(data, ports)
        return {
            **usual,
            "listeners": f"{usual['listeners']},PROXIED://{HOST}:{ports['proxied']}",
            "advertised.listeners": f"{usual['advertised.listeners']},PROXIED://{HOST}:{self._proxy}",
            "listener.security.protocol.map": f"{usual['listener.security.protocol.map']},PROXIED:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
        }


@dataclass(frozen=True, slots=True)
class Network:
    """A broker and a proxy before it.

    Attributes
    ----------
    direct
        Bootstrap servers of clients that are not disturbed.
    proxied
        Bootstrap servers of clients whose every connection passes the proxy.
    """

    proxy: Proxy
    direct: str
    proxied: str


@contextmanager
def network(folder: Path) -> Iterator[Network]:
    """Give a broker and its proxy for the time of a block."""
    home = Home(folder)
    with Proxy() as proxy:
        server = ProxiedKafka(proxy.port)
        for path in (home.data, home.logs, home.run):
            path.mkdir(parents=True, exist_ok=True)
        server.fetch(lambda _: None)
        ports = manifest.choose_ports(home, server, 0)
        launch = server.prepare(home, ports)
        record = process.spawn(
            home, server.name, launch.argv, kind="server", log=server.output(home), env=launch.env, cwd=launch.cwd, ports=ports,
            die_with_parent=SIGKILL,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + _START_S
            while not server.healthy(home, ports):
                assert process.is_alive(home, record), server.log(home).read_text()[-2000:]
                assert time.monotonic() < deadline, f"Kafka does not answer after {_START_S} s"
                time.sleep(0.05)
            proxy.start(ports["proxied"])
            prepare_coordinators(server.url(ports))
            yield Network(proxy, server.url(ports), f"{HOST}:{proxy.port}")
        finally:
            running = process.find(home, record)
            process.terminate([] if running is None else [running], 5.0)
            process.reap()
