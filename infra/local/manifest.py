"""What a home was made by, and the ports that its servers have: ``data/stack.json``."""

from __future__ import annotations

import msgspec

from infra.local import artefacts, ports
from infra.local.servers import ServerSpec
from quantum.errors import DependencyError
from quantum.home import Home

LAYOUT = 1


class HomeManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a home was made by, and the ports that its servers had last.

    Attributes
    ----------
    layout : int
        Version of the layout of the folder.
    kafka : str
        Version of Kafka that wrote the data last.
    registry : str
        Version of the registry that wrote the data last.
    ports : dict of str to dict of str to int
        By server and use.
    """

    layout: int
    kafka: str
    registry: str
    ports: dict[str, dict[str, int]]


def load(home: Home) -> HomeManifest:
    """Return the manifest of a home; of one that is not there yet, that of this program without ports.

    Raises
    ------
    DependencyError
        The home was made by a version whose data this one cannot serve.
    """
    current = HomeManifest(layout=LAYOUT, kafka=artefacts.KAFKA_VERSION, registry=artefacts.REGISTRY_VERSION, ports={})
    path = home.data / "stack.json"
    try:
        found = msgspec.json.decode(path.read_bytes(), type=HomeManifest)
    except FileNotFoundError:
        return current
    except msgspec.MsgspecError as error:
        raise _other_version(home, f"{path} cannot be read: {error}") from error
    if found.layout != LAYOUT:
        raise _other_version(home, f"its layout is version {found.layout}, this program's is {LAYOUT}")
    for name, theirs, ours in (("Kafka", found.kafka, current.kafka), ("the registry", found.registry, current.registry)):
        if _version(theirs) > _version(ours):
            raise _other_version(home, f"it was written by {name} {theirs}; this program runs {ours}, which may not be able to read it")
    return msgspec.structs.replace(current, ports=found.ports)


def remember(home: Home, server: str, chosen: dict[str, int]) -> None:
    """Keep the ports of a server for its next start."""
    manifest = load(home)
    manifest = msgspec.structs.replace(manifest, ports={**manifest.ports, server: chosen})
    path = home.data / "stack.json"
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2))
    temporary.replace(path)


def choose_ports(home: Home, server: ServerSpec, asked: int | None) -> dict[str, int]:
    """Choose the ports of a server, none of them one that another server of the home has.

    Parameters
    ----------
    home
        The home.
    server
        The server.
    asked
        The port that clients shall connect to; 0 for any free one but the usual, None for none in particular.

    Raises
    ------
    DependencyError
        The port that was asked for is in use.
    """
    held = load(home).ports
    last = held.get(server.name, {})
    taken = {port for other, theirs in held.items() if other != server.name for port in theirs.values()}
    chosen: dict[str, int] = {}
    for use, usual in server.usual_ports.items():
        first = not chosen  # only the port of the clients can be asked for; the others follow
        chosen[use] = ports.choose(
            server.name if first else f"{server.name} ({use})",
            explicit=asked if first else (None if asked is None else 0),
            remembered=last.get(use),
            usual=usual,
            taken=taken | set(chosen.values()),
        )
    return chosen


def _other_version(home: Home, why: str) -> DependencyError:
    return DependencyError(
        f"{home.root} was made by another version: {why}",
        "use the version that made it, or another home (QUANTUM_HOME); nothing was changed",
    )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())
